import type { NamedTrainConfig } from "../../config/index.ts";
import type { EpochRecord, SplitRecord } from "../../train/index.ts";
import type { ExplanationMetrics } from "../evaluate/explanation-metrics.ts";
import type { SpuriousRecord } from "../evaluate/spurious.ts";

/**
 * The role of a method in a comparison: `plain` training; `guided` by a Batch-CAM objective; a published `baseline` without annotations; a
 * `reference` that uses masks, and is therefore an upper bound rather than a competitor; or a `control`, which shows how large an effect is
 * without the proposed cause.
 */
export type MethodKind = "plain" | "guided" | "baseline" | "reference" | "control";

/** One training run of a grid. */
export interface GridRun {
  /** A hash of everything that its numbers depend on, which is also its file name in the store. */
  id: string;
  /** The names of the grid's rows, as in its file or flags. */
  model: string;
  dataset: string;
  method: string;
  kind: MethodKind;
  seed: number;
  config: NamedTrainConfig;
  /** Digest of the user's own images. It is absent for data sets of the package, and in records of versions that did not store it. */
  data?: string;
  /** SHA-256 of an exported model. It is absent for the models of the package, and for a file that cannot be read. */
  file?: string;
}

/** The result of a run, stored as `cells/<id>.json`. */
export type GridRunRecord = DoneRun | FailedRun;

export interface DoneRun extends GridRun {
  schemaVersion: 1;
  status: "done";
  /** Measures of the model of the best epoch, which was chosen on the validation split. */
  test: SplitRecord;
  history: EpochRecord[];
  bestEpoch: number;
  steps: number;
  /** The number of images that the run used, after any limit. It is absent from records of versions that did not store it. */
  images?: Readonly<Record<"train" | "val" | "test", number>>;
  /** Time in training steps, without evaluation. */
  seconds: number;
  /** Median time of a step from data to optimizer, without the first five steps. */
  secondsPerStep: number;
  /** Number of trainable parameters of the model. */
  parameters: number;
  /** Faithfulness and localisation of the Grad-CAM maps, or null if the grid does not ask for them. */
  explanations: ExplanationMetrics | null;
  /** Null if the data set has no spurious cue. */
  spurious: SpuriousRecord | null;
  samples: RunSamples;
  environment: Record<string, unknown>;
}

export interface FailedRun extends GridRun {
  schemaVersion: 1;
  status: "failed";
  error: { code: string; message: string };
}

/**
 * Sample images: the first test image of each class, the same for every run of a data set, with their maps, and the mean map of each
 * class. Pictures are stored in base64 as bytes, 0 to 255 for 0 to 1, row by row, and images channel by channel.
 */
export interface RunSamples {
  classNames: readonly string[];
  height: number;
  width: number;
  channels: number;
  labels: number[];
  predictions: number[];
  images: string[];
  maps: string[];
  /** The mean map of each class over the test split, which is the reconstruction of its prototype. */
  meanMaps: string[];
  prototypes: string[];
}
