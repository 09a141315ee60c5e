import { counted } from "../counted.ts";
import type { ExplanationMetrics, MetricName, MetricValue } from "../evaluate/explanation-metrics.ts";
import type { SpuriousRecord } from "../evaluate/spurious.ts";
import type { RunSubject } from "../evaluate/subject.ts";
import { arrowOf, EXPLANATION_MEASURES, MEASURES } from "../measures.ts";
import type { SplitRecord } from "../train/events.ts";
import { percent, short } from "./progress-lines.ts";
import { spuriousLines } from "./spurious-lines.ts";
import { formatTables } from "./table.ts";
import { type LeftOut, leftOutLines } from "./undefined-metrics.ts";

/** What `evaluation.json` holds. */
export interface EvaluationRecord {
  schemaVersion: 1;
  checkpoint: string;
  split: "test" | "val";
  /** In what the images differ from those that the run was trained with; empty for the run's own. */
  data: string[];
  /** Over the whole split, with the maps of the true class. */
  classification: SplitRecord;
  /** Each with the metrics that none of its images has, if there are such. */
  explanations: (ExplanationMetrics & { leftOut?: readonly LeftOut[] })[];
  /** Null where the data set has no spurious cue, and for the validation split, whose images all carry it as in training. */
  spurious: SpuriousRecord | null;
  definitions: Readonly<Record<string, string>>;
}

/** The record as text: accuracy, a row for each metric, a column for each method, and the randomisation check; the table within `width` characters, if given. */
export function formatEvaluation(
  { checkpoint, classification, explanations, spurious }: EvaluationRecord,
  subject: RunSubject,
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
  const headers = ["metric (0 to 1 unless it says)", ...explanations.map(({ method }) => method)];
  const table = formatTables(headers, rows, { width });
  const missing = explanations.some(({ values }) => Object.values(values).some((value) => value.undefined > 0));
  const note = missing ? ["(-n): not defined for n of the images, such as those with a dead map", ""] : [];
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

/** Classes on a line, the worst first. */
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

/** The metric's name, its direction, and what it counts if its values are not between 0 and 1. */
function headOf(name: MetricName): string {
  const { counts } = MEASURES[name];
  return [name, arrowOf(MEASURES[name]), counts === undefined ? "" : `(${counts})`].filter(Boolean).join(" ");
}

/** A mean, and in brackets for how many images there is none. */
function cell(value: MetricValue | undefined): string {
  if (value === undefined) return "-";
  const { mean, undefined: missing } = value;
  return `${defined(mean, 3)}${missing > 0 ? ` (-${missing})` : ""}`;
}

/** A dash where there is no number, as of maps that are all dead. */
const defined = (value: number, digits: number): string => (Number.isFinite(value) ? value.toFixed(digits) : "-");

function randomisationText({ method, randomisation }: ExplanationMetrics): string[] {
  if (randomisation === null) return [];
  const steps = randomisation.map(({ layer, spearman }) => `${layer} ${defined(spearman.mean, 2)}`);
  return [
    `${method}, rank correlation of the maps with those of random weights, from the top down: ${steps.join(", ")}`,
    "",
  ];
}
