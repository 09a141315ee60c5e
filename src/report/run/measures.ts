import type { JudgedRun, SplitRecord } from "../../train/events.ts";
import { formatNumber, formatPercent, formatSigned, isNumber, mean } from "../text/numbers.ts";

/** One row of the table of results. */
export interface Measure {
  label: string;
  better: "higher" | "lower";
  /** Set where the machine's other work moves the number more than the runs differ: it is shown, and never judged. */
  noisy?: true;
  /** The run's number; null where there is none. */
  of(result: JudgedRun): number | null;
  format(value: number | null): string;
  formatDifference(value: number | null): string;
}

/** What the runs are judged by, in the order in which it is shown. */
export const MEASURES = {
  accuracy: onTest("accuracy", { label: "Test accuracy", better: "higher", share: true }),
  ssim: onTest("mapSsim", { label: "SSIM of map and prototype", better: "higher" }),
  l1: onTest("mapL1", { label: "L1 of map and prototype", better: "lower" }),
  l2: onTest("mapL2", { label: "L2 of map and prototype", better: "lower" }),
  coherence: onTest("coherence", { label: "Coherence of the maps of a class", better: "higher" }),
  energy: onTest("energyInForeground", { label: "Energy in the foreground", better: "higher", share: true }),
  dead: onTest("deadMaps", { label: "Dead maps", better: "lower", share: true }),
  seconds: {
    label: "Seconds per epoch",
    better: "lower",
    noisy: true,
    of: ({ history }) => mean(history.map(({ secondsPerEpoch }) => secondsPerEpoch)),
    format: (value) => formatNumber(value, 1),
    formatDifference: (value) => formatSigned(value, 1),
  },
} as const satisfies Record<string, Measure>;

/** Names of the measures; the definitions on the page have them as anchors. */
export type MeasureName = keyof typeof MEASURES;

type TestNumber = Exclude<keyof SplitRecord, "split" | "images" | "classAccuracy">;

interface OnTest {
  label: string;
  better: "higher" | "lower";
  /** In [0, 1], shown as a percentage. */
  share?: boolean;
}

function onTest(key: TestNumber, row: OnTest): Measure {
  const { label, better, share = false } = row;
  return {
    label,
    better,
    of: ({ test }) => (isNumber(test?.[key]) ? test[key] : null),
    format: (value) => (share ? formatPercent(value) : formatNumber(value)),
    formatDifference: (value) => (share ? points(value) : formatSigned(value)),
  };
}

function points(value: number | null): string {
  return value === null ? formatSigned(value) : `${formatSigned(value * 100, 2)} points`;
}

/** How a difference between the two runs is to be read. */
export type Verdict =
  | "better"
  | "worse"
  | "equal"
  | "within sampling error"
  | "varies with the machine’s load"
  | "unknown";

/** The difference guided − plain of a measure, and what it says. */
export function compare(measure: Measure, plain: JudgedRun, guided: JudgedRun): [number | null, Verdict] {
  const [before, after] = [measure.of(plain), measure.of(guided)];
  if (before === null || after === null) return [null, "unknown"];
  const difference = after - before;
  if (!/[1-9]/.test(measure.formatDifference(difference))) return [difference, "equal"];
  if (measure.noisy) return [difference, "varies with the machine’s load"];
  if (measure === MEASURES.accuracy) {
    const error = accuracyError(plain, guided);
    if (error !== null && Math.abs(difference) <= error) return [difference, "within sampling error"];
  }
  return [difference, difference > 0 === (measure.better === "higher") ? "better" : "worse"];
}

/**
 * Twice the standard error of the difference of two accuracies, `2·√(p₁(1 − p₁)/n₁ + p₂(1 − p₂)/n₂)`: what test
 * splits of this size allow to tell apart. Both runs see the same images, so the true error is rather smaller.
 */
export function accuracyError(plain: JudgedRun, guided: JudgedRun): number | null {
  let variance = 0;
  for (const { test } of [plain, guided]) {
    if (!test || !isNumber(test.accuracy) || !(test.images > 0)) return null;
    variance += (test.accuracy * (1 - test.accuracy)) / test.images;
  }
  return 2 * Math.sqrt(variance);
}
