import type { Module } from "../../nn/index.ts";
import type { DType, Tensor } from "../../tensor/index.ts";
import type { ValueName } from "./program.ts";

/** The model around the nodes of a program, as far as they depend on it. */
export interface Surroundings {
  /** The module at a path. */
  moduleOf(path: string): Module;
  /** The dtype that replaces a dtype of the file, given the model's present dtype. */
  dtypeOf(dtype: DType): DType;
  /** The dtype of the file's weights, and that of the model now. */
  readonly fileDType: DType;
  readonly dtype: DType;
  readonly device: string;
  /** The counter of batches that belongs to the running mean of a batch norm; null if the model has none. */
  batchCounterOf(runningMean: ValueName): (() => Tensor) | null;
  /** Nodes that cannot be run, with the reasons. */
  readonly problems: string[];
}
