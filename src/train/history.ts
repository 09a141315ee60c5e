import type { EpochRecord, SplitRecord } from "./events.ts";

/** The last epoch that was validated; 0 before the first. */
export const lastValidated = (history: readonly EpochRecord[]): number => history.at(-1)?.epoch ?? 0;

/** The first epoch of the highest validation accuracy, from which patience counts; 0 before the first. */
export function mostAccurate(history: readonly EpochRecord[]): number {
  const most = Math.max(...history.map(({ val }) => val.accuracy));
  return history.find(({ val }) => val.accuracy === most)?.epoch ?? 0;
}

/** The more accurate; of those that are alike, as happens where few images judge, the one that is surer of the right classes. */
export const isBetter = (val: SplitRecord, than: SplitRecord): boolean =>
  val.accuracy > than.accuracy || (val.accuracy === than.accuracy && val.crossEntropy < than.crossEntropy);
