import type { TrainConfig } from "../../config/index.ts";

/**
 * The number of steps of which one is guided. A config whose number is not decided yet, because no run has begun with it, guides every
 * step.
 */
export const everyOf = ({ guideEvery }: Pick<TrainConfig, "guideEvery">): number =>
  typeof guideEvery === "number" ? guideEvery : 1;

/** Whether the maps of a step (from 0) are guided: with 4, those of the 4th, 8th ... step. A resumed run therefore guides the same steps. */
export const isGuidedStep = (step: number, every: number): boolean => (step + 1) % every === 0;

/**
 * The number of images of a batch that are guided; they are the first ones. The batch is in random order, so this is a random choice. Both
 * parts have at least `smallestBatch` images, or the whole batch is guided.
 */
export function guidedCount(
  batch: number,
  { config: { guideShare }, smallestBatch = 1 }: { config: Pick<TrainConfig, "guideShare">; smallestBatch?: number },
): number {
  const count = Math.max(smallestBatch, Math.round(batch * guideShare));
  return batch - count < smallestBatch ? batch : count;
}

/**
 * Whether the balance of the terms is due at a step (from 0): at every `due`th step or, if only one of `every` steps is guided, at the next
 * guided step from there on, because the others have no terms to compare.
 */
export function isBalanceStep(step: number, due: number, every: number): boolean {
  const number = step + 1;
  return number % every === 0 && Math.floor(number / due) > Math.floor((number - every) / due);
}
