import { BatchCamError } from "../errors.ts";
import { handleOf } from "../tensor/core.ts";
import type { Tensor } from "../tensor/index.ts";

/** A bfloat16 or float16 tensor as float32; any other tensor unchanged. */
export function upcastHalf(x: Tensor): Tensor {
  return x.dtype === "bfloat16" || x.dtype === "float16" ? x.to("float32") : x;
}

/** Two stacks of images of one shape, (N, …), none of it empty; 16-bit values come out in float32. */
export function imagePair(operation: string, x: Tensor, y: Tensor): [Tensor, Tensor] {
  for (const [argument, value] of Object.entries({ x, y })) {
    handleOf(value, `${operation}: ${argument}`);
    expectFloating(operation, argument, value);
  }
  const same = x.ndim === y.ndim && x.sizes.every((size, i) => size === y.sizes[i]);
  if (same && x.ndim >= 2 && x.numel > 0) return [upcastHalf(x), upcastHalf(y)];
  const got = `x [${x.shape.join(", ")}] and y [${y.shape.join(", ")}]`;
  throw new BatchCamError(
    "E_SHAPE",
    `${operation}: needs two stacks of images of one shape (N, ...) with values, got ${got}`,
  );
}

export function expectFloating(operation: string, argument: string, value: Tensor): void {
  if (value.dtype.includes("float")) return;
  const advice = 'convert it with to("float32"), and images to [0, 1]';
  throw new BatchCamError(
    "E_DTYPE",
    `${operation}: ${argument} must be of floating point, got ${value.dtype}: ${advice}`,
  );
}

/** Maps (B, H, W) of at least one sample and one pixel. */
export function expectMaps(operation: string, maps: Tensor): void {
  expectFloating(operation, "maps", maps);
  if (maps.numel > 0) return;
  throw new BatchCamError(
    "E_SHAPE",
    `${operation}: maps hold no value, got [${maps.shape.join(", ")}]: an empty batch has no loss`,
  );
}
