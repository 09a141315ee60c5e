import { describeValue, optionsOf } from "../arguments.ts";
import { hint } from "../config/internal.ts";
import { counted } from "../counted.ts";
import { BatchCamError } from "../errors.ts";
import type { Tensor } from "../tensor/index.ts";
import { expectImages } from "../tensor/internal.ts";

/** Throws E_CONFIG unless every value is an integer of at least 1. */
export function expectSizes(model: string, sizes: Record<string, number>): void {
  for (const [option, value] of Object.entries(sizes)) {
    if (isSize(value)) continue;
    throw new BatchCamError("E_CONFIG", `${model}: ${option} must be an integer >= 1, got ${describeValue(value)}`);
  }
}

/** Throws E_CONFIG unless every value is a list of `length` integers of at least 1. */
export function expectSizeLists(model: string, length: number, lists: Record<string, readonly number[]>): void {
  for (const [option, list] of Object.entries(lists)) {
    if (Array.isArray(list) && list.length === length && list.every(isSize)) continue;
    throw new BatchCamError(
      "E_CONFIG",
      `${model}: ${option} must be a list of ${counted(length, "integer")} >= 1, got ${describeValue(list)}`,
    );
  }
}

const isSize = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 1;

/** Throws E_CONFIG unless the value is one of the choices. */
export function expectOneOf<T extends string | number | boolean>(
  model: string,
  option: string,
  [value, choices]: readonly [T, readonly T[]],
): void {
  if (choices.includes(value)) return;
  const known = choices.map((choice) => JSON.stringify(choice)).join(" or ");
  throw new BatchCamError("E_CONFIG", `${model}: ${option} must be ${known}, got ${describeValue(value)}`);
}

/** Returns the options. Throws E_CONFIG for an option that the model does not have, unless its value is undefined. */
export function knownOptions<T extends object>(model: string, options: T, known: readonly string[]): T {
  const wrong = Object.entries(optionsOf(model, options)).find(
    ([option, value]) => value !== undefined && !known.includes(option),
  );
  if (wrong !== undefined) {
    throw new BatchCamError(
      "E_CONFIG",
      `${model}: unknown option ${describeValue(wrong[0])}${hint(wrong[0], known)}; known: ${known.join(", ")}`,
    );
  }
  return options;
}

/** Throws E_SHAPE unless x is (N, channels, H, W) and large enough for a last map of at least one pixel. */
export function expectInput(
  model: string,
  x: Tensor,
  { channels, leastSide }: { channels?: number; leastSide: number },
): void {
  expectImages(model, x, channels);
  const [height = 0, width = 0] = x.sizes.slice(2);
  if (Math.min(height, width) >= leastSide) return;
  throw new BatchCamError(
    "E_SHAPE",
    `${model}: images of ${height}x${width} collapse to nothing; it needs at least ${leastSide}x${leastSide}`,
  );
}

/** Throws E_CONFIG unless a drop rate is at least 0 and below 1. */
export function expectRate(model: string, option: string, rate: number): void {
  if (typeof rate === "number" && rate >= 0 && rate < 1) return;
  throw new BatchCamError("E_CONFIG", `${model}: ${option} must lie in [0, 1), got ${describeValue(rate)}`);
}
