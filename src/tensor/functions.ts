import { wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import * as aten from "./generated/aten.ts";
import { isScalar, type Operand, Tensor } from "./tensor.ts";

function nonEmpty(operation: string, tensors: readonly Tensor[]): readonly Tensor[] {
  if (!Array.isArray(tensors)) throw wrongArgument(`${operation}: tensors`, "an array of tensors", tensors);
  if (tensors.length === 0) throw new BatchCamError("E_ARGUMENT", `${operation}: needs at least one tensor`);
  return tensors;
}

/** Joins tensors along an existing dimension. */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  return new Tensor(aten.cat(nonEmpty("cat", tensors), dim));
}

/** Joins tensors of one shape along a new dimension. */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  return new Tensor(aten.stack(nonEmpty("stack", tensors), dim));
}

/**
 * Takes each element from `yes` if the condition is true there, and otherwise from `no`. A number gets the other
 * operand's dtype if that can represent it, as in torch.
 */
export function where(condition: Tensor, yes: Operand, no: Operand): Tensor {
  if (isScalar(yes)) {
    return new Tensor(isScalar(no) ? aten.whereScalar(condition, yes, no) : aten.whereScalarSelf(condition, yes, no));
  }
  return new Tensor(isScalar(no) ? aten.whereScalarOther(condition, yes, no) : aten.whereSelf(condition, yes, no));
}

/** Converts labels (N) to zeros and ones (N, numClasses), int64. */
export function oneHot(labels: Tensor, numClasses: number): Tensor {
  return new Tensor(aten.oneHot(labels, numClasses));
}

/**
 * Eigenvalues (…, n) in ascending order, and eigenvectors (…, n, n) in columns, of symmetric matrices (…, n, n). Only the lower triangle
 * is read.
 */
export function eigh(a: Tensor): { values: Tensor; vectors: Tensor } {
  const [values, vectors] = aten.linalgEigh(a);
  return { values: new Tensor(values), vectors: new Tensor(vectors) };
}

/** Solves a x = b for x, with square a (…, n, n) and b (…, n, k). */
export function solve(a: Tensor, b: Tensor): Tensor {
  return new Tensor(aten.linalgSolve(a, b));
}

const PADDING = { zeros: 0, border: 1, reflection: 2 } as const;

/**
 * The sampling positions (B, H, W, 2) of affine matrices (B, 2, 3), in coordinates from −1 to 1 at the image's edges:
 * torch's `affine_grid`.
 */
export function affineGrid(matrices: Tensor, sizes: readonly number[]): Tensor {
  return new Tensor(aten.affineGridGenerator(matrices, [...sizes], false));
}

/** Samples x (B, C, H, W) bilinearly at positions (B, H', W', 2): torch's `grid_sample` with `align_corners=False`. */
export function gridSample(x: Tensor, grid: Tensor, { padding }: { padding: keyof typeof PADDING }): Tensor {
  return new Tensor(aten.gridSampler2d(x, grid, 0, PADDING[padding], false));
}
