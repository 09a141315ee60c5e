import type { TrainConfig } from "../../config/index.ts";
import type { PrototypeShape } from "../../data/index.ts";
import type { ModelOptions } from "../../models/index.ts";
import type { ProfileReport } from "../../profile/index.ts";

/**
 * The events that a training run sends to its caller, in order: `start`, then `step`, `balance`, `epoch`, `maps`, `checkpoint`,
 * `profile`, `warning` and `note`, then `end`. A warning asks for a decision; a note says what was chosen.
 */
export type TrainEvent =
  | StartEvent
  | StepEvent
  | BalanceEvent
  | { type: "epoch"; epoch: number; epochs: number; record: EpochRecord }
  | { type: "checkpoint"; step: number; path: string }
  | { type: "maps"; epoch: number; samples: MapSamples }
  | ProfileEvent
  | { type: "warning"; message: string }
  | { type: "note"; message: string }
  | { type: "end"; result: TrainResult };

/** Sent once, before the first step. */
export interface StartEvent {
  type: "start";
  runDirectory: string;
  /** Steps that a resumed run has already taken; 0 for a new one. */
  resumedFromStep: number;
  /**
   * The rows that an earlier part of the run logged for this step and later ones are no longer valid. Rows from here on that are still
   * valid are sent again. 0 for a new run.
   */
  voidFromStep: number;
  /** The model's options, from the config or chosen for the size of the images. */
  modelOptions: ModelOptions;
  /** Number of trainable parameters of the model. */
  parameters: number;
  /** Height and width of the guided maps, before they are upsampled. */
  mapSize: readonly [number, number];
  /** Module path of the layer that the maps are taken from. */
  camLayer: string;
  stepsPerEpoch: number;
  epochs: number;
  trainImages: number;
  valImages: number;
  testImages: number;
  threads: number;
  classNames: readonly string[];
  /** The names of the terms that a program added to the loss; absent if there are none. */
  losses?: readonly string[];
  /** The data type that the network computes in; maps and losses are always float32. */
  precision: "float32" | "bfloat16";
  /** The measurement that chose the precision and layout; absent if the options, a short run or the processor decided. */
  timings?: readonly PrecisionTiming[];
  /**
   * The amount of shape in the mean images that the maps are guided to; absent if they are guided to other prototypes, or if there are
   * few images.
   */
  prototypeShape?: PrototypeShape;
  /** The effective config. For a resumed run it is the saved one, with the options that may change. */
  config: TrainConfig;
}

/** The time of a plain step in one precision and memory layout. */
export interface PrecisionTiming {
  /** whether in bfloat16 */
  amp: boolean;
  channelsLast: boolean;
  /** of the fastest of a few steps; null if the network cannot compute in this precision */
  milliseconds: number | null;
}

/** Sent every `logEvery` steps. Epochs and steps count from 1. */
export interface StepEvent {
  type: "step";
  epoch: number;
  /** Steps since the run began. */
  step: number;
  stepInEpoch: number;
  stepsPerEpoch: number;
  /** With the terms that a program added to the loss, by their names. */
  metrics: StepMetrics & ExtraMetrics;
  /** Over the steps of this epoch since the last event, because guided and other steps take different times. */
  imagesPerSecond: number;
}

/** Sent every `lossBalanceEvery` steps. */
export interface BalanceEvent {
  type: "balance";
  epoch: number;
  step: number;
  terms: TermBalance[];
}

/** One term of a step's loss, over the step's first batch. */
export interface TermBalance {
  /** The name of the term in `StepMetrics`. */
  term: string;
  /**
   * The weight at this step, including the warm-up, as a mean over guided and other steps, so that the gradients can be compared; 1 for the
   * cross-entropy.
   */
  weight: number;
  /** The value, not yet multiplied by its weight. */
  value: number;
  /** L2 norm of the gradient of weight · value with respect to all parameters. */
  gradNorm: number;
  /** Cosine of that gradient with the cross-entropy's, −1 to 1; null if one of them is zero. */
  cosine: number | null;
}

/** Sent once if the config asks for a profile, after its window or the run's end. */
export interface ProfileEvent {
  type: "profile";
  report: ProfileReport;
  /** The report as JSON. */
  path: string;
  /** The trace for chrome://tracing and ui.perfetto.dev. */
  tracePath: string;
}

/**
 * One step's numbers, with each term of `loss = crossEntropy + lambdaPrototype * prototypeLoss + lambdaBatch * batchCamLoss`, to
 * which the baseline's term and those of the option `loss` are added.
 */
export type StepMetrics = {
  loss: number;
  crossEntropy: number;
  /** Before its weight; null if the objective has no such term, or not at this step (`guideEvery`). */
  prototypeLoss: number | null;
  /** Before its weight; null if the objective has no such term, or not at this step. */
  batchCamLoss: number | null;
  /** The term of the baseline, not yet multiplied by its weight; null if the config has no baseline, or not at this step. */
  baselineLoss: number | null;
  /** Weight at this step, warm-up included: `guideEvery` times the run's weight at a guided step, and 0 at the others. */
  lambdaPrototype: number;
  /** Weight at this step, in the same way. */
  lambdaBatch: number;
  /** Share of the guided maps that are zero everywhere, 0 to 1; null if the step needs no maps. */
  deadMaps: number | null;
  /** Largest value of the guided maps before they are normalised; null if the step needs no maps. */
  rawMapMax: number | null;
  /** L2 norm of the gradient of all parameters, before it is clipped. */
  gradNorm: number;
  lr: number;
};

/** The terms that a program added to the loss, by their names: numbers, as they were added to the loss. */
export type ExtraMetrics = { readonly [term: string]: number | null | undefined };

/** One validated epoch's numbers; a row of `summary.csv`. */
export interface EpochRecord {
  epoch: number;
  /** Steps since the run began. */
  step: number;
  /**
   * Means over the steps since the last validation. These are the steps of the epoch, unless `valInterval` skips validations. Terms and maps
   * are means over the guided steps among them; null if there were none.
   */
  train: StepMetrics & { accuracy: number } & ExtraMetrics;
  val: SplitRecord;
  secondsPerEpoch: number;
  /** Whether the validation split chose this epoch over all earlier ones. */
  bestSoFar: boolean;
}

/**
 * The result of validating the best epoch again when the run was resumed, because epochs that were validated on different images cannot
 * be compared.
 */
export interface Rejudged {
  /** The number of steps that were taken before. */
  step: number;
  /** The best epoch until then; 0 for none. */
  epoch: number;
  /** The last epoch that was validated before. */
  after: number;
  /** Whether the validation images differ from those before. */
  otherImages: boolean;
  /** Null if its weights could not be validated. The best epoch is then one of the later ones. */
  val: SplitRecord | null;
}

/** A model's numbers on one split. Maps are compared with the prototype of their true class, at the image's size. */
export interface SplitRecord {
  split: "val" | "test";
  images: number;
  /** 0 to 1. */
  accuracy: number;
  /**
   * Accuracy on the images of each class; NaN (null in files) for a class without images. Absent in records of earlier
   * versions.
   */
  classAccuracy?: readonly (number | null)[];
  crossEntropy: number;
  /** Mean of |map - prototype| over pixels and images. */
  mapL1: number;
  /** Mean of (map - prototype)^2 over pixels and images. */
  mapL2: number;
  /** Mean structural similarity of map and prototype, -1 to 1; higher is closer. */
  mapSsim: number;
  /** Mean over classes of the mean pairwise cosine of a class's maps, 0 to 1. */
  coherence: number;
  /** Share of the maps that are zero everywhere, 0 to 1. */
  deadMaps: number;
  /**
   * Share of the maps' energy on pixels brighter than 0.1, 0 to 1; NaN if those are more than 80 % of the images, as in
   * photographs.
   */
  energyInForeground: number;
}

/** One image of each class of the validation split with its map, as plain arrays of height * width values in [0, 1]. */
export interface MapSamples {
  classNames: readonly string[];
  height: number;
  width: number;
  /** (C, H, W) in [0, 1] each. */
  images: Float32Array[];
  labels: number[];
  predictions: number[];
  /** The map of the true class, normalised, at the image's size. */
  maps: Float32Array[];
  dead: boolean[];
  /** One for each class. */
  prototypes: Float32Array[];
}

/** The result of `train`. */
export interface TrainResult extends JudgedRun {
  /** The reason why it ended: all epochs, `maxSteps`, `maxSeconds`, `patience`, or the signal. */
  endedBy: "epochs" | "maxSteps" | "maxSeconds" | "patience" | "signal";
}

/** The results of a run. */
export interface JudgedRun {
  runDirectory: string;
  /** True when the signal stopped the run before its end; it can be resumed. */
  interrupted: boolean;
  /** Steps since the run began. */
  step: number;
  history: EpochRecord[];
  /** The best epoch's model on the test split; null if the run was interrupted or was given no test images. */
  test: SplitRecord | null;
  bestEpoch: number;
  /** The result of the last time that the best epoch was validated again; absent if it never was. */
  rejudged?: Rejudged;
  /** Path of the last checkpoint. */
  checkpoint: string;
  /** Path of the best epoch's checkpoint; null before the first epoch's end. */
  best: string | null;
  seconds: number;
}
