import type { Module } from "../../nn/index.ts";
import type { DType, Tensor } from "../../tensor/index.ts";
import type { ValueName } from "./program.ts";

/** What the nodes of a program have to know of the model around them. */
export interface Surroundings {
  /** The module at a path. */
  moduleOf(path: string): Module;
  /** The dtype that a dtype of the file stands for, in the model's present dtype. */
  dtypeOf(dtype: DType): DType;
  /** The dtype of the file's weights, and that of the model now. */
  readonly fileDType: DType;
  readonly dtype: DType;
  readonly device: string;
  /** The counter of batches beside the running mean of a batch norm; null if the model has none. */
  batchCounterOf(runningMean: ValueName): (() => Tensor) | null;
  /** Nodes that cannot be run, with the reasons. */
  readonly problems: string[];
}
