import { MEASURES } from "../../measures.ts";
import type { JudgedRun } from "../../train/index.ts";
import { differenceText, valueText } from "../text/measure-text.ts";
import { isNumber, mean } from "../text/numbers.ts";

/** The measures in the table of results, in its order. */
export const JUDGED_BY = [
  ...(["accuracy", "mapSsim", "mapL1", "mapL2", "coherence", "energyInForeground", "deadMaps"] as const),
  "secondsPerEpoch",
] as const;

export type JudgedBy = (typeof JUDGED_BY)[number];

/** A run's value of a measure; null if it is missing. */
export function runValue(name: JudgedBy, { test, history }: JudgedRun): number | null {
  if (name === "secondsPerEpoch") return mean(history.map(({ secondsPerEpoch }) => secondsPerEpoch));
  const value = test?.[name];
  return isNumber(value) ? value : null;
}

/** A run's value of a measure as text. */
export const resultText = (name: JudgedBy, run: JudgedRun): string => valueText(MEASURES[name], runValue(name, run));

/** The interpretation of a difference between the two runs. */
export type Verdict =
  | "better"
  | "worse"
  | "equal"
  | "within sampling error"
  | "varies with the machine’s load"
  | "unknown";

/** The difference guided − plain of a measure, as text, and its interpretation. */
export function compare(name: JudgedBy, plain: JudgedRun, guided: JudgedRun): { text: string; verdict: Verdict } {
  const [before, after] = [runValue(name, plain), runValue(name, guided)];
  if (before === null || after === null) return { text: "", verdict: "unknown" };
  const difference = after - before;
  const text = differenceText(MEASURES[name], difference);
  const verdict = (): Verdict => {
    if (!/[1-9]/.test(text)) return "equal";
    if (name === "secondsPerEpoch") return "varies with the machine’s load";
    const error = name === "accuracy" ? accuracyError(plain, guided) : null;
    if (error !== null && Math.abs(difference) <= error) return "within sampling error";
    return difference > 0 === (MEASURES[name].better === "higher") ? "better" : "worse";
  };
  return { text, verdict: verdict() };
}

/**
 * Twice the standard error of the difference of two accuracies, `2·√(p₁(1 − p₁)/n₁ + p₂(1 − p₂)/n₂)`: smaller differences are not
 * significant on test splits of this size. Both runs are tested on the same images, so the true error is somewhat smaller.
 */
export function accuracyError(plain: JudgedRun, guided: JudgedRun): number | null {
  let variance = 0;
  for (const { test } of [plain, guided]) {
    if (!test || !isNumber(test.accuracy) || !(test.images > 0)) return null;
    variance += (test.accuracy * (1 - test.accuracy)) / test.images;
  }
  return 2 * Math.sqrt(variance);
}
