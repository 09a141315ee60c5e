import { z } from "zod";
import { DATASET_NAMES, type DatasetName, dataFields } from "./data-fields.ts";
import { count, device, group, path, runName } from "./fields.ts";
import { figures } from "./normalization.ts";
import { checkTogether } from "./train-checks.ts";

export { DATASET_NAMES, type DatasetName };

/** The names that the registries must cover. */
export const MODEL_NAMES = [
  "simple-cnn",
  "resnet18",
  "resnet34",
  "convnextv2_atto",
  "convnextv2_femto",
  "convnextv2_pico",
  "convnextv2_nano",
  "convnextv2_tiny",
  "convnextv2_base",
] as const;
export const BASELINE_NAMES = ["rrr", "rrr-g", "hint", "saliency-guided"] as const;
export const PROTOTYPE_SOURCES = ["class", "shuffled", "global", "constant", "clean"] as const;
export type ModelName = (typeof MODEL_NAMES)[number];

/** The engine's generator takes no more bits: a larger seed would share its weights with a smaller one. */
const MOST_SEED = 2 ** 32 - 1;

const steps = () => z.int().nonnegative();
const weight = () => z.number().nonnegative();

const model = group("Model", {
  model: z.enum(MODEL_NAMES).default("simple-cnn").describe("architecture to train"),
  head: z
    .enum(["mlp", "gap"])
    .optional()
    .describe("simple-cnn: two linear layers after the last map (mlp, the default), or global average pooling and one"),
  norm: z
    .enum(["none", "batch"])
    .optional()
    .describe("simple-cnn: normalisation after each convolution (default: none)"),
  dropout: z.number().min(0).lt(1).optional().describe("simple-cnn: share that is dropped before the last layer"),
  stem: z
    .enum(["imagenet", "small"])
    .optional()
    .describe("resnet: 7x7 of stride 2 and a pool, or 3x3 of stride 1 (default: small below 64 pixels)"),
  width: count().max(4096).optional().describe("resnet: channels of the first stage (default: 64)"),
  zeroInitLast: z.boolean().optional().describe("resnet: zero weights in the last norm of each block at the start"),
  patchSize: z
    .literal([1, 2, 4])
    .optional()
    .describe("convnextv2: side and stride of the stem (default: 4, and below 64 pixels a stem of stride 2)"),
  stemStride: z.literal(2).optional().describe("convnextv2: a plain 2x2 stem of stride 2, in place of patchSize"),
  dropPath: z.number().min(0).lt(1).optional().describe("convnextv2: stochastic depth of the last block"),
  weights: path()
    .optional()
    .describe(
      "weights to start from: safetensors or a file of torch.save of torchvision, timm or transformers, a folder of transformers, a run or its checkpoint",
    ),
  weightsKey: path()
    .optional()
    .describe(
      "with weights: key of the state dict in a checkpoint, keys joined by dots, or what the names begin with (default: the first of state_dict, model_state_dict, model, net ... that holds tensors)",
    ),
  camLayer: path()
    .optional()
    .describe(
      "module path of the layer whose maps are guided (default: the last stage whose map has 7x7 cells or more)",
    ),
});

const selection = group("Data", {
  valImages: count()
    .optional()
    .describe(
      "training images held out, by seed, to choose the best epoch, of your own about so many; the test split is never used for that (default: about a tenth, at most 5000)",
    ),
  sampler: z
    .enum(["shuffle", "balanced"])
    .default("shuffle")
    .describe("each training image once an epoch, or drawn so that all classes come equally often"),
  overfitBatches: count()
    .optional()
    .describe("to see that a model can learn at all: train on this many batches, and validate on the same images"),
  normalization: z
    .enum(["data", "imagenet", "none"])
    .optional()
    .describe(
      "mean and deviation that pixels are normalised by: the training images', ImageNet's, or none (default: with weights those of their run or folder, else imagenet; data without weights)",
    ),
  mean: figures()
    .optional()
    .describe("mean of the pixels in [0, 1], a number for each channel, in place of normalization"),
  std: figures().optional().describe("deviation of the pixels in [0, 1], a number for each channel"),
  limitTrain: count().optional().describe("use only the first N of the shuffled training images"),
  limitTest: count().optional().describe("use only the first N test images"),
  limitVal: count().optional().describe("use only N validation images"),
  limitTrainBatches: count()
    .optional()
    .describe("end each epoch after this many steps; the next one draws other images"),
});

const share = (most: number) => z.number().min(0).max(most).default(0);

const augmentation = group("Augmentation", {
  augShift: share(1).describe("largest shift of a training image along either axis, as a share of its side"),
  augRotate: share(180).describe("largest turn of a training image, in degrees"),
  augScale: share(0.9).describe("largest change of a training image's size, as a share: 0.2 for 0.8 to 1.25 times"),
  augFlip: z.boolean().default(false).describe("mirror half the training images, left to right"),
  augErase: share(1).describe("share of the training images of which a rectangle is made grey"),
  augCrop: share(0.99).describe(
    "largest share of a training image's area that is cut away; the rest, of 3:4 to 4:3, is brought to the full size",
  ),
  randAugment: share(10).describe(
    "magnitude of RandAugment: operations drawn for each image, moving it or changing its shades",
  ),
  randAugmentOps: count().max(16).default(2).describe("operations of RandAugment for each image"),
  augBrightness: share(1).describe("largest change of a training image's brightness, as a share"),
});

const optimisation = group("Optimisation", {
  epochs: count().default(3).describe("passes over the training images"),
  batchSize: count().default(128).describe("images per step").meta({ short: "b" }),
  opt: z.enum(["adam", "adamw", "sgd"]).default("adam").describe("optimiser"),
  lr: z.number().positive().default(1e-3).describe("learning rate"),
  momentum: z.number().min(0).lt(1).default(0.9).describe("momentum of sgd"),
  nesterov: z.boolean().default(false).describe("Nesterov momentum, sgd only"),
  weightDecay: weight().default(0).describe("weight decay: decoupled in adamw, an L2 term in adam and sgd"),
  sched: z
    .enum(["constant", "cosine", "onecycle"])
    .default("constant")
    .describe("learning-rate schedule over the whole run"),
  warmupSteps: steps().default(0).describe("steps over which the learning rate rises linearly to lr"),
  minLr: weight().default(0).describe("learning rate at the end of the cosine schedule"),
  layerDecay: z
    .number()
    .positive()
    .max(1)
    .default(1)
    .describe("factor of the learning rate from each layer to the one before it, for fine-tuning"),
  decayNormAndBias: z.boolean().default(false).describe("let the weight decay act on norms and biases too"),
  gradAccumSteps: count().default(1).describe("batches whose gradients are added up for one step"),
  freeze: path()
    .optional()
    .describe("module paths, separated by commas, whose weights and running statistics stay as they are"),
  modelEma: z.boolean().default(false).describe("judge and keep a running average of the weights"),
  modelEmaDecay: z
    .number()
    .min(0)
    .lt(1)
    .default(0.9998)
    .describe("share that the average of the weights keeps at each step"),
  modelEmaWarmup: z.boolean().default(true).describe("let that share rise to its value over the first steps"),
  classWeights: z
    .enum(["none", "balanced"])
    .default("none")
    .describe("balanced: the loss of an image weighs the less, the more images its class has"),
  mixup: share(1).describe(
    "mix each image with another of its batch, by a share drawn from Beta(mixup, mixup); only without maps, which would have two classes",
  ),
  labelSmoothing: z.number().min(0).lt(1).default(0).describe("share of the target spread evenly over all classes"),
  clipGrad: z
    .number()
    .positive()
    .optional()
    .describe("largest norm of the gradient; a larger one is scaled down to it"),
});

const guidance = group("Guidance", {
  plain: z.boolean().default(false).describe("train without guidance: short for both weights 0"),
  distance: z.enum(["ssim", "l1", "l2"]).default("ssim").describe("distance between a map and its prototype"),
  lambdaPrototype: weight()
    .optional()
    .describe("weight of the Prototype Loss (default: 0.5 for ssim, 2 for l1 and l2)"),
  lambdaBatch: weight().default(0).describe("weight of the Batch-CAM Loss"),
  lambdaWarmup: steps()
    .optional()
    .describe(
      "steps over which the weights of the guidance rise linearly from 0 (default: a third of the run's steps, at most 150)",
    ),
  baseline: z
    .enum(BASELINE_NAMES)
    .optional()
    .describe(
      "a published way to guide, to compare with, by itself unless lambdaPrototype is given: input gradients off the masks (rrr), maps off them (rrr-g), maps on the object (hint), saliency-guided training",
    ),
  lambdaBaseline: weight().default(1).describe("weight of the baseline's term"),
  batchTarget: z
    .enum(["prototype", "batch-mean"])
    .default("prototype")
    .describe("what the Batch-CAM Loss compares a class's maps with"),
  detachBatchMean: z.boolean().default(true).describe("treat the batch mean as a constant"),
  order: z
    .enum(["second", "first"])
    .default("second")
    .describe("let the gradient flow through the channel weights too, or treat them as constants"),
  camEps: z.number().positive().default(1e-2).describe("added to max - min when a training map is normalised"),
  statistic: z
    .enum(["mean", "median", "trimmed", "cam-ema"])
    .default("mean")
    .describe("what a class's prototype is: a statistic of its images, or a running mean of its maps"),
  prototypes: z
    .enum(PROTOTYPE_SOURCES)
    .default("class")
    .describe(
      "whose image a map is pulled to: its class's; or, as controls, that of another class (shuffled), the mean of all (global), an even grey (constant), or that of images without the decoy (clean, decoy sets)",
    ),
  trim: z.number().min(0).lt(0.5).default(0.1).describe("share cut from each end by the trimmed mean"),
  emaDecay: z.number().min(0).lt(1).default(0.99).describe("share that a cam-ema prototype keeps at each step"),
});

const run = group("Run", {
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
    .describe("bfloat16 autocast of the network; auto where the processor computes in bfloat16"),
  channelsLast: z
    .enum(["auto", "on", "off"])
    .default("auto")
    .describe("lay activations out channels last; auto where the processor computes in bfloat16"),
  threads: count()
    .max(1024)
    .optional()
    .describe("threads of the engine (default: the physical cores this process may use)"),
  output: path().default("runs").describe("folder that holds the run directories"),
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
    .describe("with resume: go on although the images are not those that the run was begun with"),
  overwrite: z
    .boolean()
    .default(false)
    .describe("delete a run directory of the same name first; without it an existing one is refused"),
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
      "steps between reports of how large each term's gradient is; such a step costs a backward pass a term more",
    ),
  fastDevRun: z
    .boolean()
    .default(false)
    .describe("two steps and one batch of each split, into a folder of its own, to see that everything works"),
  deterministic: z
    .boolean()
    .default(false)
    .describe(
      "refuse to go on with a run where its numbers would come out otherwise: other threads, kernels, precision or libtorch",
    ),
  profile: z
    .boolean()
    .default(false)
    .describe("print where the time of a step goes, and write profile.json and profile-trace.json"),
  profileSteps: count().default(10).describe("steps that a profile records, after five of warm-up"),
  figures: z.boolean().default(true).describe("draw a figure of the maps after each epoch, and a report at the end"),
  tensorboard: z
    .boolean()
    .default(false)
    .describe("write the run for TensorBoard too: every term, the maps of each epoch"),
  maxSteps: count().optional().describe("stop after this many steps"),
  maxSeconds: z.number().positive().optional().describe("stop after this much time in training steps"),
  patience: count()
    .optional()
    .describe("stop early: after this many epochs whose validation accuracy was no better than the best before"),
  keepEpochs: z
    .int()
    .nonnegative()
    .default(0)
    .describe("keep the weights of this many last epochs, beside best and last"),
});

/**
 * What `train` takes. The one source of the types, the flags and their help, the files' keys and the checks:
 * names are camelCase here and in files, `--kebab-case` on the command line, spelt as in timm where timm has the option.
 */
export const TrainConfig = z
  .strictObject({ ...model, ...dataFields, ...selection, ...augmentation, ...optimisation, ...guidance, ...run })
  .superRefine(checkTogether);

/**
 * What a caller writes: every key optional. Generated, so that editors show what each key means: after a change here, run
 * `npm run build && node scripts/generate-config-types.mjs`.
 */
export type { TrainConfigInput } from "./generated/inputs.ts";
/** Checked and with the defaults that need no other key. */
export type ParsedTrainConfig = z.output<typeof TrainConfig>;
/** What a run uses, and `config.json` keeps. `plain` is true exactly when both weights are 0. */
export type TrainConfig = Omit<ParsedTrainConfig, "lambdaPrototype" | "experiment" | "mean" | "std"> & {
  lambdaPrototype: number;
  experiment: string;
  /** Numbers with commas between them. */
  mean?: string | undefined;
  std?: string | undefined;
};
