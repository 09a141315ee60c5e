import type { EpochRecord, JudgedRun, SplitRecord } from "../run/events.ts";

/** The validated epochs and, if the best of them was validated again, that result. */
type Judged = Pick<JudgedRun, "history" | "rejudged">;

/** The last epoch that was validated; 0 before the first. */
export const lastValidated = (history: readonly EpochRecord[]): number => history.at(-1)?.epoch ?? 0;

/**
 * The epochs that a new epoch is compared with: all earlier ones or, if the best of them was validated again on other images, that result
 * and the epochs after it.
 */
function comparable({ history, rejudged }: Judged): { epoch: number; val: SplitRecord }[] {
  if (rejudged === undefined) return [...history];
  const { after, val } = rejudged;
  const since = history.filter(({ epoch }) => epoch > after);
  return val === null ? since : [{ epoch: after, val }, ...since];
}

export const isBestSoFar = (val: SplitRecord, judged: Judged): boolean =>
  comparable(judged).every(({ val: earlier }) => isBetter(val, earlier));

/**
 * The epoch from which patience counts: the first with the highest validation accuracy; 0 before there is one. If the best
 * epoch was validated again, patience starts over there, because the epochs before it were validated on other images.
 */
export function patienceFrom(judged: Judged): number {
  const epochs = comparable(judged);
  const most = Math.max(...epochs.map(({ val }) => val.accuracy));
  return epochs.find(({ val }) => val.accuracy === most)?.epoch ?? judged.rejudged?.after ?? 0;
}

/** Compares by accuracy. Equal accuracies, which are common with few validation images, are decided by the cross-entropy. */
const isBetter = (val: SplitRecord, than: SplitRecord): boolean =>
  val.accuracy > than.accuracy || (val.accuracy === than.accuracy && val.crossEntropy < than.crossEntropy);
