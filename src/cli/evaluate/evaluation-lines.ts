import { counted } from "../../counted.ts";
import { DATASETS } from "../../data/description.ts";
import { CUE_SETS, DECOY_SIDE } from "../../data/internal.ts";
import { arrowOf, EXPLANATION_MEASURES, MEASURES, whyMissing } from "../../measures.ts";
import type { SplitRecord } from "../../train/index.ts";
import type { SpuriousRecord } from "../../workflows/index.ts";
import type { ExplanationMetrics, LoadedRun, MetricName, MetricValue } from "../../workflows/internal.ts";
import { formatTable, formatTables } from "../table.ts";
import { percent, short } from "../train/progress-lines.ts";

/** The content of `evaluation.json`. */
export interface EvaluationRecord {
  schemaVersion: 1;
  checkpoint: string;
  split: "test" | "val";
  /** How the images differ from those that the run was trained with; empty if they are the same. */
  data: string[];
  /** The measures over the whole split, with the maps of the true class. */
  classification: SplitRecord;
  /** For each method its metrics, and in `leftOut` those that are not defined for any of its images. */
  explanations: (ExplanationMetrics & { leftOut?: readonly LeftOut[] })[];
  /** Null if the data set has no spurious cue, and for the validation split, which has the same cue as the training split. */
  spurious: SpuriousRecord | null;
  definitions: Readonly<Record<string, string>>;
}

/**
 * Formats the record as text: accuracy, a table with a row per metric and a column per method, and the randomisation check. The table is at
 * most `width` characters wide, if that is given.
 */
export function formatEvaluation(
  { checkpoint, classification, explanations, spurious }: EvaluationRecord,
  subject: LoadedRun,
  width?: number,
): string {
  const { camLayer, amp, data } = subject;
  const { split, images, accuracy, crossEntropy } = classification;
  const precision = amp ? "bfloat16" : "float32";
  const head = `${checkpoint}\n${split}, ${counted(images, "image")}: accuracy ${percent(accuracy)}, cross-entropy ${short(crossEntropy)} (${precision})`;
  const [first] = explanations as [ExplanationMetrics];
  const about = `maps of the ${first.target === "label" ? "true" : "predicted"} class at ${camLayer}, ${counted(first.images, "image")}`;
  const names = EXPLANATION_MEASURES.filter((name) => explanations.some(({ values }) => values[name] !== undefined));
  const rows = names.map((name) => [headOf(name), ...explanations.map(({ values }) => cell(values[name]))]);
  const headers = ["metric (0 to 1 unless stated)", ...explanations.map(({ method }) => method)];
  const table = formatTables(headers, rows, { width });
  const missing = explanations.some(({ values }) => Object.values(values).some((value) => value.undefined > 0));
  const note = missing ? [UNDEFINED, ""] : [];
  const gaps = leftOutLines(explanations);
  const cues = spurious === null ? [] : spuriousLines(spurious, subject);
  const classes = classLines(classification, data.test.classNames);
  const lines = [
    head,
    ...classes,
    "",
    ...cues,
    about,
    table,
    ...gaps,
    ...note,
    ...explanations.flatMap(randomisationText),
  ];
  return `${lines.join("\n").trimEnd()}\n`;
}

/** The number of classes listed, the worst first. */
const MOST_CLASSES = 10;

function classLines({ classAccuracy = [] }: SplitRecord, names: readonly string[]): string[] {
  const known = names.flatMap((name, i) => {
    const accuracy = classAccuracy[i] ?? Number.NaN;
    return Number.isFinite(accuracy) ? [{ name, accuracy }] : [];
  });
  const worst = known.sort((a, b) => a.accuracy - b.accuracy).slice(0, MOST_CLASSES);
  if (worst.length === 0) return [];
  const more = known.length > worst.length ? " ..." : "";
  return [`by class: ${worst.map(({ name, accuracy }) => `${name} ${percent(accuracy)}`).join(", ")}${more}`];
}

/** The metric's name and direction, and its unit if its values are not between 0 and 1. */
function headOf(name: MetricName): string {
  const { counts } = MEASURES[name];
  return [name, arrowOf(MEASURES[name]), counts === undefined ? "" : `(${counts})`].filter(Boolean).join(" ");
}

/** The mean of a metric, followed by the number of images for which it is not defined, if there are any. */
function cell(value: MetricValue | undefined): string {
  if (value === undefined) return "-";
  const { mean, undefined: missing } = value;
  return `${defined(mean, 3)}${missing > 0 ? ` (-${missing})` : ""}`;
}

/** A dash if the number is not finite, for example if all maps are dead. */
const defined = (value: number, digits: number): string => (Number.isFinite(value) ? value.toFixed(digits) : "-");

function randomisationText({ method, randomisation }: ExplanationMetrics): string[] {
  if (randomisation === null) return [];
  const steps = randomisation.map(({ layer, spearman }) => `${layer} ${defined(spearman.mean, 2)}`);
  return [
    `${method}, rank correlation of the maps with those after randomising the weights, layer by layer from the last: ${steps.join(", ")}`,
    "",
  ];
}

const inPercent = (share: number) => (share * 100).toFixed(1);

/** Lines on how much a model relies on its data set's cue: a table of the four test sets, and the part of the maps that is on the patch. */
function spuriousLines(
  record: SpuriousRecord,
  { config: { dataset, decoyVariant }, imageSize }: Pick<LoadedRun, "config" | "imageSize">,
): string[] {
  const patched = DATASETS.some(({ name, options }) => name === dataset && "decoyVariant" in options);
  const cue = patched ? `the patch (${decoyVariant})` : "the colour";
  const rows = CUE_SETS.map((set) => [set, inPercent(record.accuracy[set]), inPercent(record.worstClass[set])]);
  const [height, width] = imageSize;
  const area = DECOY_SIDE[decoyVariant] ** 2 / (height * width);
  return [
    `how much the model relies on ${cue}, ${counted(record.images, "test image")}`,
    formatTable([patched ? "patch" : "colour", "accuracy %", "worst class %"], rows),
    "aligned: the cue of the image's own class; random: of a random class; clean: no cue; adversarial: of class 9 − y",
    ...(patched ? mapLines(record, area) : []),
    "",
  ];
}

function mapLines({ energyInPatch, wrongReason }: SpuriousRecord, area: number): string[] {
  if (energyInPatch === null || wrongReason === null) return ["maps of the random set: all of them are dead"];
  const { score, dropped } = wrongReason;
  const maps = `maps of the random set: ${percent(energyInPatch)} of their sum is on the patch, which covers ${percent(area)} of the image`;
  return [
    `${maps}; wrong-reason score ${percent(score)}${dropped > 0 ? ` (without ${counted(dropped, "dead map")})` : ""}`,
  ];
}

/** Metrics that are not defined for any of a method's images, and the reason. */
export interface LeftOut {
  metrics: MetricName[];
  why: string;
}

/** Moves the metrics that are not defined for any image out of a method's values and into `leftOut`, with the reason. */
export function withoutUndefined(found: ExplanationMetrics): ExplanationMetrics & { leftOut: LeftOut[] } {
  const entries = Object.entries(found.values) as [MetricName, { mean: number }][];
  const isMissing = ([, { mean }]: (typeof entries)[number]) => !Number.isFinite(mean);
  const missing = entries.filter(isMissing).map(([name]) => name);
  const values = Object.fromEntries(entries.filter((entry) => !isMissing(entry))) as ExplanationMetrics["values"];
  return { ...found, values, leftOut: reasonsOf(missing, found) };
}

function reasonsOf(missing: readonly MetricName[], { values }: ExplanationMetrics): LeftOut[] {
  const reasonOf = (name: MetricName): string => whyMissing(name, values.deadMaps?.mean);
  const reasons = [...new Set(missing.map(reasonOf))];
  return reasons.map((why) => ({ metrics: missing.filter((name) => reasonOf(name) === why), why }));
}

/** The legend of "(-n)" after a mean. */
const UNDEFINED =
  "(-n): the metric is not defined for n of the images, such as those with a dead map or, of the foreground, those with more than 80 % of their pixels above 0.1";

/** One line for each reason, which also names the method if there are several. */
export function leftOutLines(explanations: readonly { method: string; leftOut?: readonly LeftOut[] }[]): string[] {
  return explanations.flatMap(({ method, leftOut = [] }) => {
    const of = explanations.length > 1 ? `${method}: ` : "";
    return leftOut.map(({ metrics, why }) => `${of}left out: ${metrics.join(", ")}, because ${why}`);
  });
}
