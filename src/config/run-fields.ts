import { z } from "zod";
import { count, device, group, path, runName } from "./fields.ts";

/** The engine's generator uses 32 bits of the seed, so a larger seed would give the same weights as a smaller one. */
const MOST_SEED = 2 ** 32 - 1;

/** The fields of a run: where and how long it computes, and what it writes. */
export const runFields = group("Run", {
  seed: z
    .int()
    .nonnegative()
    .max(MOST_SEED)
    .default(0)
    .describe("seed of the initial weights, the shuffling and the validation split"),
  device: device(),
  amp: z
    .enum(["auto", "on", "off"])
    .default("auto")
    .describe(
      "run the network in bfloat16 (autocast); auto: if the processor has bfloat16 instructions and, in runs of 200 steps or more, steps of this network measured faster",
    ),
  channelsLast: z
    .enum(["auto", "on", "off"])
    .default("auto")
    .describe(
      "store activations in channels-last memory format; auto: if the processor has bfloat16 instructions, or as measured with amp auto",
    ),
  threads: count()
    .max(1024)
    .optional()
    .describe("threads of the engine (default: the physical cores this process may use)"),
  output: path().default("runs").describe("folder in which the run directory is created"),
  experiment: runName()
    .optional()
    .describe("name of the run directory (default: made from the model, data set, objective and seed)"),
  resume: z
    .union([z.boolean(), path()])
    .default(false)
    .describe("continue an interrupted run: the one named by --experiment, or the given run directory"),
  acceptNewData: z
    .boolean()
    .default(false)
    .describe("with --resume: continue even if the images differ from those that the run started with"),
  overwrite: z
    .boolean()
    .default(false)
    .describe(
      "delete an existing run directory of the same name first; without this option, training refuses to start",
    ),
  checkpointEvery: count().default(200).describe("steps between checkpoints"),
  checkpointSeconds: z
    .number()
    .positive()
    .optional()
    .describe("also write a checkpoint if this many seconds have passed since the last one"),
  logEvery: count().default(20).describe("steps between rows of the metrics log"),
  valInterval: count().default(1).describe("epochs between validations; the last epoch is always validated"),
  lossBalanceEvery: count()
    .optional()
    .describe(
      "steps between reports of the size of each loss term's gradient; such a step costs one more backward pass per term",
    ),
  fastDevRun: z
    .boolean()
    .default(false)
    .describe(
      "train two steps and evaluate one batch of each split, in a separate folder, to check that everything works",
    ),
  deterministic: z
    .boolean()
    .default(false)
    .describe(
      "refuse to resume a run if its numbers would change because the threads, kernels, precision or libtorch differ",
    ),
  profile: z
    .boolean()
    .default(false)
    .describe("print how the time of a step is spent, and write profile.json and profile-trace.json"),
  profileSteps: count()
    .default(10)
    .describe(
      "number of steps that the profile records, after five warm-up steps; rounded up to a multiple of guideEvery",
    ),
  figures: z
    .boolean()
    .default(true)
    .describe("draw a figure of the maps after each epoch, and write report.html at the end"),
  tensorboard: z
    .boolean()
    .default(false)
    .describe("also write TensorBoard event files: every loss term, and the maps of each epoch"),
  maxSteps: count().optional().describe("stop after this many steps"),
  maxSeconds: z.number().positive().optional().describe("stop when the training steps have taken this many seconds"),
  patience: count()
    .optional()
    .describe("early stopping: stop after this many epochs without a better validation accuracy"),
  keepEpochs: z
    .int()
    .nonnegative()
    .default(0)
    .describe("also keep the weights of the last N epochs, besides the best and the last"),
});
