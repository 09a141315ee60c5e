import type { TrainConfig } from "../../config/index.ts";
import type { EpochRecord, SplitRecord } from "../../train/run/events.ts";
import type { ExplanationMetrics } from "../evaluate/explanation-metrics.ts";
import type { SpuriousRecord } from "../evaluate/spurious.ts";

/**
 * What a method is to a comparison: `plain` training; a Batch-CAM objective; a published `baseline` without annotations; a
 * `reference` that sees masks, so an upper bound and no rival; or a `control`, which says what an effect is not due to.
 */
export type MethodKind = "plain" | "guided" | "baseline" | "reference" | "control";

/** One training run of a grid. */
export interface Cell {
  /** Hash of all that its numbers depend on: its file's name in the store. */
  id: string;
  /** Names of the grid's rows: as its file or flags have them. */
  model: string;
  dataset: string;
  method: string;
  kind: MethodKind;
  seed: number;
  config: TrainConfig;
  /** Digest of the images, where they are one's own; absent for the package's, and from records of versions that kept none. */
  data?: string;
}

/** What a grid keeps of a cell: `cells/<id>.json`. */
export type CellRecord = DoneCell | FailedCell;

export interface DoneCell extends Cell {
  schemaVersion: 1;
  status: "done";
  /** The best epoch's model, by the validation split. */
  test: SplitRecord;
  history: EpochRecord[];
  bestEpoch: number;
  steps: number;
  /** How many images the run used, after any limit; absent from records of versions that did not keep it. */
  images?: Readonly<Record<"train" | "val" | "test", number>>;
  /** In training steps alone. */
  seconds: number;
  /** Median of a step, data to optimizer, after the first five. */
  secondsPerStep: number;
  /** Trainable numbers of the model. */
  parameters: number;
  /** Faithfulness and localisation of Grad-CAM's maps; null where the grid asks for none. */
  explanations: ExplanationMetrics | null;
  /** Null where the data set has no spurious cue. */
  spurious: SpuriousRecord | null;
  samples: CellSamples;
  environment: Record<string, unknown>;
}

export interface FailedCell extends Cell {
  schemaVersion: 1;
  status: "failed";
  error: { code: string; message: string };
}

/**
 * The same test images for every cell of a data set: the first of each class, with their maps, and what all maps of a class
 * are on average. Pictures are bytes, 0 to 255 for 0 to 1, row by row, in base64; images channel by channel.
 */
export interface CellSamples {
  classNames: readonly string[];
  height: number;
  width: number;
  channels: number;
  labels: number[];
  predictions: number[];
  images: string[];
  maps: string[];
  /** Mean map of each class over the test split: the reconstruction of its prototype. */
  meanMaps: string[];
  prototypes: string[];
}
