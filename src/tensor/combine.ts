import { wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import * as aten from "./generated/aten.ts";
import { isScalar, type Operand, Tensor } from "./tensor.ts";

function nonEmpty(operation: string, tensors: readonly Tensor[]): readonly Tensor[] {
  if (!Array.isArray(tensors)) throw wrongArgument(`${operation}: tensors`, "an array of tensors", tensors);
  if (tensors.length === 0) throw new BatchCamError("E_ARGUMENT", `${operation}: needs at least one tensor`);
  return tensors;
}

/** Joins tensors along a dimension that they have. */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  return new Tensor(aten.cat(nonEmpty("cat", tensors), dim));
}

/** Joins tensors of one shape along a new dimension. */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  return new Tensor(aten.stack(nonEmpty("stack", tensors), dim));
}

/** `yes` where the condition holds, `no` elsewhere; a number takes the other's dtype where that can hold it, as in torch. */
export function where(condition: Tensor, yes: Operand, no: Operand): Tensor {
  if (isScalar(yes)) {
    return new Tensor(isScalar(no) ? aten.whereScalar(condition, yes, no) : aten.whereScalarSelf(condition, yes, no));
  }
  return new Tensor(isScalar(no) ? aten.whereScalarOther(condition, yes, no) : aten.whereSelf(condition, yes, no));
}

/** (N) labels as (N, numClasses) zeros and ones, int64. */
export function oneHot(labels: Tensor, numClasses: number): Tensor {
  return new Tensor(aten.oneHot(labels, numClasses));
}
