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
    .describe("seed of the weights, the shuffling and the validation split"),
  device: device(),
  amp: z
    .enum(["auto", "on", "off"])
    .default("auto")
    .describe("bfloat16 autocast of the network; auto uses it if the processor computes in bfloat16"),
  channelsLast: z
    .enum(["auto", "on", "off"])
    .default("auto")
    .describe("channels-last memory format of activations; auto uses it if the processor computes in bfloat16"),
  threads: count()
    .max(1024)
    .optional()
    .describe("threads of the engine (default: the physical cores this process may use)"),
  output: path().default("runs").describe("folder of the run directories"),
  experiment: runName()
    .optional()
    .describe("name of the run directory (default: from model, data set, objective and seed)"),
  resume: z
    .union([z.boolean(), path()])
    .default(false)
    .describe("continue the run named by --experiment, or the run directory given"),
  acceptNewData: z
    .boolean()
    .default(false)
    .describe("with resume: continue although the images are not those that the run was started with"),
  overwrite: z
    .boolean()
    .default(false)
    .describe("first delete a run directory of the same name; without this an existing one is an error"),
  checkpointEvery: count().default(200).describe("steps between checkpoints"),
  checkpointSeconds: z
    .number()
    .positive()
    .optional()
    .describe("also write a checkpoint when this many seconds have passed since the last"),
  logEvery: count().default(20).describe("steps between logged rows of the metrics"),
  valInterval: count().default(1).describe("epochs between validations; the last epoch is validated in any case"),
  lossBalanceEvery: count()
    .optional()
    .describe(
      "steps between reports of the size of each term's gradient; such a step takes an additional backward pass for each term",
    ),
  fastDevRun: z
    .boolean()
    .default(false)
    .describe("run two steps and one batch of each split, in a separate folder, to check that everything works"),
  deterministic: z
    .boolean()
    .default(false)
    .describe(
      "refuse to resume a run if its results would differ, because of other threads, kernels, precision or libtorch",
    ),
  profile: z
    .boolean()
    .default(false)
    .describe("print where the time of a step is spent, and write profile.json and profile-trace.json"),
  profileSteps: count().default(10).describe("number of steps that a profile records, after five warm-up steps"),
  figures: z.boolean().default(true).describe("draw a figure of the maps after each epoch, and a report at the end"),
  tensorboard: z
    .boolean()
    .default(false)
    .describe("also write the run for TensorBoard: every term, and the maps of each epoch"),
  maxSteps: count().optional().describe("stop after this many steps"),
  maxSeconds: z.number().positive().optional().describe("stop after this much time in training steps"),
  patience: count()
    .optional()
    .describe("stop early: after this many epochs whose validation accuracy was no better than the best before"),
  keepEpochs: z
    .int()
    .nonnegative()
    .default(0)
    .describe("keep the weights of this many last epochs, in addition to best and last"),
});
