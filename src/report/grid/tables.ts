import { counted } from "../../counted.ts";
import { MEASURES, whyMissing } from "../../measures.ts";
import type { AnalysedMethod, AnalysisGroup, MeasureId } from "../../workflows/internal.ts";
import {
  capital,
  columnHead,
  columnName,
  differenceUnit,
  shownValue,
  signedText,
  spreadText,
} from "../text/measure-text.ts";
import { DASH, formatCount, formatNumber, pText } from "../text/numbers.ts";
import { type ColumnPlan, fillTable, type ReportTable, type TablePlan } from "./table.ts";

const BOLD = "Bold: the best of its group among the methods that use no masks; bold does not imply a test.";

const FAITHFULNESS = [
  ...(["averageDrop", "increaseInConfidence", "averageGain", "deletionAuc", "insertionAuc", "roadCombined"] as const),
  ...(["pointingGame", "relevanceRankAccuracy", "energyInMask", "sparseness", "maxSensitivity"] as const),
];
const CUE = [
  ...(["alignedAccuracy", "randomAccuracy", "worstClass", "cleanAccuracy", "adversarialAccuracy"] as const),
  ...(["energyInPatch", "wrongReason"] as const),
];
const TESTED = [
  ...(["mapL1", "mapL2", "mapSsim", "coherence", "deadMaps", "energyInForeground"] as const),
  ...(["randomAccuracy", "energyInPatch", "wrongReason"] as const),
];

/** The plans of all tables, in their order. */
const TABLES: readonly TablePlan[] = [
  {
    name: "accuracy",
    caption: "Accuracy on the test split: mean ± standard deviation over seeds",
    note: `${BOLD} Intervals (95 %) and p are of the differences from plain training of the same seeds, by Student’s paired t; Holm’s p is corrected for all methods of the group.`,
    columns: [spreadColumn("accuracy"), spreadColumn("crossEntropy"), ...effectColumns("accuracy")],
  },
  {
    name: "reconstruction",
    caption: "Maps against the prototypes of their classes",
    note: `${BOLD} A map that is zero everywhere scores well in L1 and L2: read them together with SSIM and the dead maps.`,
    columns: (["mapL1", "mapL2", "mapSsim", "coherence", "energyInForeground", "deadMaps"] as const).map(spreadColumn),
  },
  {
    name: "faithfulness",
    caption: "Faithfulness and localisation of Grad-CAM’s maps",
    note: BOLD,
    columns: FAITHFULNESS.map(spreadColumn),
  },
  {
    name: "cue",
    caption: "Reliance on the cue",
    note: `${BOLD} Gap closed: the share of the accuracy gap between plain training and the best reference, on random cues. Compare a method with the controls.`,
    columns: [...CUE.map(spreadColumn), gapColumn()],
  },
  {
    name: "time",
    caption: "Time",
    note: "Medians of a run’s steps. Other work on the machine changes them, so runs that shared the machine are not a benchmark.",
    columns: [spreadColumn("secondsPerStep"), overheadColumn(), spreadColumn("seconds")],
  },
  {
    name: "tests",
    caption: "Differences from plain training",
    note: "Mean of m − plain over seeds, and its 95 % interval if there are three seeds or more; p after Holm’s correction.",
    columns: TESTED.map(testColumn),
  },
];

/** The tables of a comparison that have something to show. */
export function reportTables(groups: readonly AnalysisGroup[]): ReportTable[] {
  return TABLES.map((plan) => fillTable(plan, groups)).filter((table) => table !== null);
}

function spreadColumn(id: MeasureId): ColumnPlan {
  const label = MEASURES[id];
  return {
    head: columnHead(label),
    better: label.better,
    csv: [`${id}.mean`, `${id}.deviation`],
    gaps: (groups) => gapsOf(id, groups),
    // The values are compared as they are shown, so that equal texts are equally good.
    rank: ({ values }) => (Number.isFinite(values[id].mean) ? shownValue(label, values[id].mean) : null),
    cell: ({ values }) => {
      const { mean, deviation } = values[id];
      const text = Number.isFinite(mean) ? spreadText(label, values[id], { unit: "" }) : DASH;
      return { text, csv: [finite(mean), finite(deviation)] };
    },
  };
}

/** A sentence on methods for which a measure has no value, or is not defined for some of the images. */
function gapsOf(id: MeasureId, groups: readonly AnalysisGroup[]): string | null {
  const found = groups.flatMap(({ methods }) => methods.map(({ values, coverage }) => ({ values, of: coverage[id] })));
  const name = capital(columnName(MEASURES[id]));
  const lacking = found.find(({ of }) => of?.defined === 0);
  if (lacking !== undefined) return `${name} is ${DASH} because ${whyMissing(id, lacking.values.deadMaps.mean)}.`;
  const parts = found.flatMap(({ of }) => (of !== null && of.defined < of.images ? [of] : []));
  if (parts.length === 0) return null;
  const least = parts.reduce((a, b) => (b.defined / b.images < a.defined / a.images ? b : a));
  return `${name} is defined for ${formatCount(least.defined)} of ${counted(least.images, "image", formatCount)} at least: the others have a dead map or, for measures of the foreground, none that can be separated.`;
}

/** Formats a difference with its confidence interval, p, and p after Holm's correction. */
function effectColumns(id: MeasureId): ColumnPlan[] {
  const label = MEASURES[id];
  const column = (
    head: string,
    csv: string[],
    cell: (effect: Effect) => ReturnType<ColumnPlan["cell"]>,
  ): ColumnPlan => ({
    ...{ head, better: null, csv, rank: () => null },
    cell: ({ effects }) => (effects === null ? { text: DASH, csv: csv.map(() => null) } : cell(effects[id])),
  });
  const p = (value: number | null) => ({
    text: value === null ? DASH : pText(value, "").replace(/^ = ?/, "").trim(),
    csv: [value],
  });
  return [
    column(`− plain, ${differenceUnit(label)}`, ["difference.mean", "difference.low", "difference.high"], (effect) => ({
      text: intervalText(id, effect),
      csv: [effect.mean, effect.low, effect.high],
    })),
    column("p", ["difference.p"], (effect) => p(effect.p)),
    column("Holm’s p", ["difference.holm"], (effect) => p(effect.adjusted)),
  ];
}

type Effect = NonNullable<AnalysedMethod["effects"]>[MeasureId];

function intervalText(id: MeasureId, { mean, low, high }: Effect): string {
  if (mean === null) return DASH;
  const label = MEASURES[id];
  const reach = low === null || high === null ? "" : ` [${signedText(label, low)}, ${signedText(label, high)}]`;
  return `${signedText(label, mean)}${reach}`;
}

function testColumn(id: MeasureId): ColumnPlan {
  const short = columnName(MEASURES[id]);
  const csv = [`${id}.mean`, `${id}.deviation`, `${id}.low`, `${id}.high`, `${id}.p`, `${id}.holm`, `${id}.pairs`];
  return {
    ...{ head: MEASURES[id].unit === "%" ? `${short}, points` : short, better: null, csv, rank: () => null },
    cell: ({ effects }) => {
      const effect = effects?.[id];
      if (effect === undefined || effect.mean === null) return { text: DASH, csv: csv.map(() => null) };
      const { mean, deviation, low, high, p, adjusted, pairs } = effect;
      const tested = adjusted === null ? "" : `, ${pText(adjusted)}`;
      return { text: `${intervalText(id, effect)}${tested}`, csv: [mean, deviation, low, high, p, adjusted, pairs] };
    },
  };
}

function gapColumn(): ColumnPlan {
  return {
    ...{ head: "gap closed %", better: null, csv: ["gapClosed"], rank: () => null },
    cell: ({ gapClosed }) => ({ text: gapClosed === null ? DASH : formatNumber(100 * gapClosed, 0), csv: [gapClosed] }),
  };
}

/** The time of a step relative to plain training with the same seed. */
function overheadColumn(): ColumnPlan {
  return {
    ...{ head: "× plain", better: null, csv: ["overhead.mean", "overhead.deviation"], rank: () => null },
    cell: ({ overhead }) => {
      const { mean, deviation } = overhead;
      const spread = Number.isFinite(deviation) ? ` ± ${formatNumber(deviation, 2)}` : "";
      const text = Number.isFinite(mean) ? `${formatNumber(mean, 2)}${spread}` : DASH;
      return { text, csv: [finite(mean), finite(deviation)] };
    },
  };
}

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
