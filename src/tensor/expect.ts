import { BatchCamError } from "../errors.ts";
import { handleOf } from "./core.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Fails unless each tensor has the shape that its pattern names: letters are sizes that must agree wherever the letter
 * stands again, numbers are sizes. `expectShapes("f", { maps: [maps, "N H W"], labels: [labels, "N"] })`.
 */
export function expectShapes(
  operation: string,
  tensors: Record<string, readonly [Tensor, string]>,
): Record<string, number> {
  const sizes: Record<string, number> = {};
  for (const [argument, [tensor, pattern]] of Object.entries(tensors)) {
    handleOf(tensor, `${operation}: ${argument}`);
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
