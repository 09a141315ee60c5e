import { describeValue } from "../../arguments.ts";
import { BatchCamError } from "../../errors.ts";
import type { Tensor } from "../../tensor/index.ts";
import { handleOf } from "../../tensor/internal.ts";

/** Fails with E_ARGUMENT unless every value is an integer of at least 1. */
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

/** Fails with E_SHAPE unless x is (N, channels, H, W). */
export function expectImages(operation: string, x: Tensor, channels?: number): void {
  handleOf(x, `${operation}: x`);
  const shape = x.sizes;
  if (shape.length === 4 && (channels === undefined || shape[1] === channels)) return;
  const expected = `[N, ${channels ?? "C"}, H, W]`;
  throw new BatchCamError("E_SHAPE", `${operation}: x must be ${expected}, got [${shape.join(", ")}]`);
}

/** Fails with E_SHAPE unless the last dimension of x has `size` elements. */
export function expectLast(operation: string, x: Tensor, size: number): void {
  handleOf(x, `${operation}: x`);
  const shape = x.sizes;
  if (shape.at(-1) === size) return;
  throw new BatchCamError("E_SHAPE", `${operation}: x must be [..., ${size}], got [${shape.join(", ")}]`);
}
