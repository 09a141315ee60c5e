import { describeValue, expectInteger } from "../arguments.ts";
import { counted } from "../counted.ts";
import { BatchCamError } from "../errors.ts";
import { expectTensor, isTensor } from "./core.ts";
import { tensor } from "./create.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Throws unless each tensor has the shape of its pattern. Equal letters are equal sizes, and numbers are exact sizes:
 * `expectShapes("f", { maps: [maps, "N H W"], labels: [labels, "N"] })`.
 */
export function expectShapes(
  operation: string,
  tensors: Record<string, readonly [Tensor, string]>,
): Record<string, number> {
  const sizes: Record<string, number> = {};
  for (const [argument, [tensor, pattern]] of Object.entries(tensors)) {
    expectTensor(tensor, `${operation}: ${argument}`);
    const letters = pattern.split(" ");
    const shape = tensor.sizes;
    const fits =
      shape.length === letters.length &&
      letters.every((letter, i) => {
        if (/^\d+$/.test(letter)) return Number(letter) === shape[i];
        sizes[letter] ??= shape[i] as number;
        return sizes[letter] === shape[i];
      });
    if (!fits) {
      const wanted = letters.map((letter, i) =>
        sizes[letter] !== undefined && sizes[letter] !== shape[i] ? `${letter}=${sizes[letter]}` : letter,
      );
      throw new BatchCamError(
        "E_SHAPE",
        `${operation}: ${argument} must be [${wanted.join(", ")}], got [${shape.join(", ")}]`,
      );
    }
  }
  return sizes;
}

/** Class indices as a tensor and as an array of numbers. */
export interface Labels {
  /** (N), int64 */
  readonly tensor: Tensor;
  readonly values: readonly number[];
}

/**
 * Checks class indices: an integer tensor (N) or an array of N integers, each in 0 … numClasses − 1.
 *
 * @throws E_SHAPE for a wrong rank or count, E_DTYPE for fractions, E_ARGUMENT for a class out of range.
 */
export function readLabels(
  operation: string,
  labels: Tensor | readonly number[],
  { count, numClasses }: { count: number; numClasses?: number },
): Labels {
  const values = isTensor(labels) ? valuesOf(operation, labels) : listOf(operation, labels);
  if (values.length !== count) {
    throw new BatchCamError(
      "E_SHAPE",
      `${operation}: expected ${counted(count, "label")}, one for each sample, got ${values.length}`,
    );
  }
  for (const [index, value] of values.entries()) {
    if (!Number.isInteger(value)) {
      throw new BatchCamError(
        "E_DTYPE",
        `${operation}: label ${index} must be a class index, got ${describeValue(value)}`,
      );
    }
    if (value < 0 || (numClasses !== undefined && value >= numClasses)) {
      const range = numClasses === undefined ? ">= 0" : `0 to ${numClasses - 1}`;
      throw new BatchCamError(
        "E_ARGUMENT",
        `${operation}: label ${index} must be ${range}, got ${describeValue(value)}`,
      );
    }
  }
  if (isTensor(labels) && labels.dtype === "int64") return { tensor: labels, values };
  return { tensor: tensor(BigInt64Array.from(values, BigInt)), values };
}

function listOf(operation: string, labels: readonly number[]): readonly number[] {
  if (Array.isArray(labels) || (ArrayBuffer.isView(labels) && !(labels instanceof DataView)))
    return Array.from(labels, (label) => (typeof label === "bigint" ? Number(label) : label));
  throw new BatchCamError(
    "E_ARGUMENT",
    `${operation}: labels must be a tensor or an array of class indices, got ${describeValue(labels)}`,
  );
}

function valuesOf(operation: string, labels: Tensor): number[] {
  expectTensor(labels, `${operation}: labels`);
  if (labels.ndim !== 1) throw new BatchCamError("E_SHAPE", `${operation}: labels must be [N], got [${labels.shape}]`);
  if (labels.dtype.includes("float") || labels.dtype === "bool") {
    throw new BatchCamError("E_DTYPE", `${operation}: labels must be integers (int64), got ${labels.dtype}`);
  }
  return Array.from(labels.data() as ArrayLike<number | bigint>, Number);
}

/** Throws for a value that is not a number of classes, or that is too large for a table in memory. */
export function expectClassCount(operation: string, numClasses: unknown): void {
  expectInteger(`${operation}: numClasses`, numClasses, 1, 2 ** 24);
}

/** Throws E_ARGUMENT unless every value is an integer of at least 1. */
export function expectCounts(operation: string, counts: Record<string, number | readonly number[]>): void {
  for (const [argument, value] of Object.entries(counts)) {
    const valid = Array.isArray(value) ? value.length > 0 && value.every(isCount) : isCount(value);
    if (valid) continue;
    throw new BatchCamError(
      "E_ARGUMENT",
      `${operation}: ${argument} must be an integer >= 1, got ${describeValue(value)}`,
    );
  }
}

const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 1;

/** Throws E_SHAPE unless x is (N, channels, H, W). */
export function expectImages(operation: string, x: Tensor, channels?: number): void {
  expectTensor(x, `${operation}: x`);
  const shape = x.sizes;
  if (shape.length === 4 && (channels === undefined || shape[1] === channels)) return;
  const expected = `[N, ${channels ?? "C"}, H, W]`;
  throw new BatchCamError("E_SHAPE", `${operation}: x must be ${expected}, got [${shape.join(", ")}]`);
}

/** Throws E_SHAPE unless x is (N, channels, H, W) and large enough for a last map of at least one pixel. */
export function expectInput(
  operation: string,
  x: Tensor,
  { channels, leastSide }: { channels?: number; leastSide: number },
): void {
  expectImages(operation, x, channels);
  const [height = 0, width = 0] = x.sizes.slice(2);
  if (Math.min(height, width) >= leastSide) return;
  throw new ImagesTooSmall("E_SHAPE", operation, { height, width, leastSide });
}

/** Images of fewer pixels than a network can take. */
export class ImagesTooSmall extends BatchCamError {
  constructor(
    code: "E_SHAPE" | "E_CONFIG",
    operation: string,
    { height, width, leastSide }: { height: number; width: number; leastSide: number },
  ) {
    const needed = `${leastSide}x${leastSide}`;
    super(code, `${operation}: images of ${height}x${width} are too small; it needs at least ${needed}`);
  }
}

/** Throws E_SHAPE unless the last dimension of x has `size` elements. */
export function expectLast(operation: string, x: Tensor, size: number): void {
  expectTensor(x, `${operation}: x`);
  const shape = x.sizes;
  if (shape.at(-1) === size) return;
  throw new BatchCamError("E_SHAPE", `${operation}: x must be [..., ${size}], got [${shape.join(", ")}]`);
}
