import { BatchCamError } from "../errors.ts";
import type { Scalar } from "../native/dispatch.ts";
import { handleOf } from "./core.ts";
import * as aten from "./generated/aten.ts";
import { full } from "./create.ts";
import { type Operand, Tensor } from "./tensor.ts";

function nonEmpty(operation: string, tensors: readonly Tensor[]): readonly Tensor[] {
  if (tensors.length === 0) throw new BatchCamError("E_ARGUMENT", `${operation}: needs at least one tensor`);
  return tensors;
}

/** Joins tensors along a dimension that they have. */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  return new Tensor(aten.cat(nonEmpty("cat", tensors).map(handleOf), dim));
}

/** Joins tensors of one shape along a new dimension. */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  return new Tensor(aten.stack(nonEmpty("stack", tensors).map(handleOf), dim));
}

/** `yes` where the condition holds, `no` elsewhere. */
export function where(condition: Tensor, yes: Operand, no: Operand): Tensor {
  const other = yes instanceof Tensor ? yes : no instanceof Tensor ? no : undefined;
  const operand = (value: Tensor | Scalar) =>
    value instanceof Tensor ? value : full([], value, { dtype: other?.dtype ?? "float32" });
  return new Tensor(aten.whereSelf(handleOf(condition), handleOf(operand(yes)), handleOf(operand(no))));
}

/** (N) labels as (N, numClasses) zeros and ones, int64. */
export function oneHot(labels: Tensor, numClasses: number): Tensor {
  return new Tensor(aten.oneHot(handleOf(labels), numClasses));
}
