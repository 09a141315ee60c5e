import type { MeasureName } from "../../measures.ts";
import type { DoneRun } from "./records.ts";

/** Functions that read each measure that a grid compares from the record of a run. */
const READERS = {
  accuracy: ({ test }) => test.accuracy,
  crossEntropy: ({ test }) => test.crossEntropy,
  mapL1: ({ test }) => test.mapL1,
  mapL2: ({ test }) => test.mapL2,
  mapSsim: ({ test }) => test.mapSsim,
  coherence: ({ test }) => test.coherence,
  deadMaps: ({ test }) => test.deadMaps,
  energyInForeground: ({ test }) => test.energyInForeground,
  secondsPerStep: ({ secondsPerStep }) => secondsPerStep,
  seconds: ({ seconds }) => seconds,
  ...explained("averageDrop", "increaseInConfidence", "averageGain", "deletionAuc", "insertionAuc"),
  ...explained("roadCombined", "pointingGame", "relevanceRankAccuracy", "sparseness", "maxSensitivity"),
  ...explained("energyInMask"),
  alignedAccuracy: ({ spurious }) => spurious?.accuracy.aligned,
  randomAccuracy: ({ spurious }) => spurious?.accuracy.random,
  cleanAccuracy: ({ spurious }) => spurious?.accuracy.clean,
  adversarialAccuracy: ({ spurious }) => spurious?.accuracy.adversarial,
  worstClass: ({ spurious }) => spurious?.worstClass.random,
  energyInPatch: ({ spurious }) => spurious?.energyInPatch,
  wrongReason: ({ spurious }) => spurious?.wrongReason?.score,
} as const satisfies Partial<Record<MeasureName, (record: DoneRun) => number | null | undefined>>;

export type MeasureId = keyof typeof READERS;
export const MEASURE_IDS = Object.keys(READERS) as MeasureId[];

/** The value of a measure, or null if the record has none. JSON stores values that are not finite, such as NaN, as null. */
export function measured(record: DoneRun, id: MeasureId): number | null {
  const value = READERS[id](record);
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

type MetricName = keyof NonNullable<DoneRun["explanations"]>["values"];

function explained<T extends MetricName>(...names: T[]): Record<T, (record: DoneRun) => number | undefined> {
  const entries = names.map((name) => [name, ({ explanations }: DoneRun) => explanations?.values?.[name]?.mean]);
  return Object.fromEntries(entries);
}

/** The images for which a run's measure is defined, and those that were measured. */
export interface Coverage {
  defined: number;
  images: number;
}

/** How many images a measure of maps is defined for, in the run with the fewest; null if no run was judged by it. */
export function coverageOf(records: readonly DoneRun[], id: MeasureId): Coverage | null {
  const found = records.flatMap((record) => coverageOfRun(record, id) ?? []);
  if (found.length === 0) return null;
  return found.reduce((a, b) => (b.defined / b.images < a.defined / a.images ? b : a));
}

function coverageOfRun(record: DoneRun, id: MeasureId): Coverage | null {
  const { explanations, test } = record;
  const value = (explanations?.values as Record<string, { undefined: number } | undefined> | undefined)?.[id];
  const isOfTest = Object.hasOwn(test, id);
  const images = isOfTest ? test.images : (explanations?.images ?? 0);
  if (!isOfTest && value === undefined) return null;
  const missing = isOfTest ? 0 : (value?.undefined ?? 0);
  return { defined: measured(record, id) === null ? 0 : images - missing, images };
}
