import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { writeFileAtomically } from "../atomic-file.ts";
import type { EvaluateConfig } from "../config/index.ts";
import { BatchCamError } from "../errors.ts";
import {
  type ExplanationMetrics,
  explanationMetrics,
  METRIC_DEFINITIONS,
  type MetricName,
  type MetricValue,
} from "../evaluate/explanation-metrics.ts";
import { openRun, type RunSubject } from "../evaluate/subject.ts";
import { setNumThreads } from "../tensor/index.ts";
import type { SplitRecord } from "../train/events.ts";
import { evaluateSplit } from "../train/validation.ts";
import type { CommandCall, Outcome } from "./command.ts";
import { createCounter } from "./counter.ts";
import { methodsOf } from "./explanation-plan.ts";
import { percent, short } from "./progress-lines.ts";
import { formatTable } from "./table.ts";

type EvaluateCall = Pick<CommandCall, "stdout" | "stderr" | "signal"> & { config: EvaluateConfig };

/** What `evaluation.json` holds. */
export interface EvaluationRecord {
  schemaVersion: 1;
  checkpoint: string;
  split: "test" | "val";
  /** Over the whole split, with the maps of the true class. */
  classification: SplitRecord;
  explanations: ExplanationMetrics[];
  definitions: Record<MetricName, string>;
}

/** Judges a run and keeps the record in it; one that is there is replaced. */
export async function runEvaluate({ config, stdout, stderr, signal }: EvaluateCall): Promise<Outcome> {
  if (config.threads !== undefined) setNumThreads(config.threads);
  const methods = methodsOf("evaluate", config.method);
  const subject = await openRun(config.run, "evaluate");
  const split = subject.data[config.split];
  const total = methods.length * Math.min(config.limit, split.labels.numel);
  const counter = createCounter(stderr, "judged", total);
  const onImages = (count: number) => {
    for (let image = 0; image < count; image++) counter.step();
  };
  try {
    const { checkpoint, camLayer, prototypes, amp, channelsLast } = subject;
    const { batchSize } = config;
    const options = { camLayer, prototypes, amp, channelsLast, batchSize, signal };
    const classification = await evaluateSplit(subject.model, split, options);
    if (!Number.isFinite(classification.crossEntropy))
      throw new BatchCamError("E_NUMERIC", `evaluate: the model of ${checkpoint} gives logits that are not finite`);
    const explanations: ExplanationMetrics[] = [];
    for (const method of methods)
      explanations.push(await explanationMetrics(subject, split, { ...config, method, onImages, signal }));
    counter.stop();
    const definitions = METRIC_DEFINITIONS;
    const name = config.split === "test" ? "evaluation.json" : `evaluation-${config.split}.json`;
    const file = join(dirname(dirname(checkpoint)), name);
    const record: EvaluationRecord = {
      schemaVersion: 1,
      ...{ checkpoint, split: config.split, classification, explanations, definitions },
    };
    const kept = await earlier(file, record);
    const all = { ...record, explanations: [...explanations, ...kept] };
    await writeFileAtomically(file, `${JSON.stringify(all, null, 2)}\n`);
    stdout.write(config.json ? `${JSON.stringify(record, null, 2)}\n` : formatEvaluation(record, subject));
    if (!config.json)
      stdout.write(`definitions and all values${kept.length > 0 ? ", and those of earlier calls" : ""}: ${file}\n`);
    return "done";
  } finally {
    counter.stop();
    subject.dispose();
  }
}

/** What an earlier call found of the same checkpoint and split by other methods, or on other images. */
async function earlier(file: string, record: EvaluationRecord): Promise<ExplanationMetrics[]> {
  const about = (one: ExplanationMetrics) =>
    [one.method, one.target, one.images, one.layer, one.steps, one.seed].join();
  const replaced = new Set(record.explanations.map(about));
  try {
    const before = JSON.parse(await readFile(file, "utf8")) as EvaluationRecord;
    // The same weights, as far as two calls agree: their batches may round differently.
    const same =
      basename(before.checkpoint) === basename(record.checkpoint) &&
      Math.abs(before.classification.accuracy - record.classification.accuracy) < 0.002;
    return same ? before.explanations.filter((one) => one.values !== undefined && !replaced.has(about(one))) : [];
  } catch {
    return []; // there is none, or it is damaged
  }
}

/** The record as text: accuracy, a row for each metric, a column for each method, and the randomisation check. */
export function formatEvaluation(
  { checkpoint, classification, explanations }: EvaluationRecord,
  { camLayer, amp }: Pick<RunSubject, "camLayer" | "amp">,
): string {
  const { split, images, accuracy, crossEntropy } = classification;
  const precision = amp ? "bfloat16" : "float32";
  const head = `${checkpoint}\n${split}, ${images} images: accuracy ${percent(accuracy)}, cross-entropy ${short(crossEntropy)} (${precision})`;
  const [first] = explanations as [ExplanationMetrics];
  const about = `maps of the ${first.target === "label" ? "true" : "predicted"} class at ${camLayer}, first ${first.images} images`;
  const rows = (Object.keys(first.values) as MetricName[]).map((name) => [
    `${name} ${DIRECTIONS[name] ?? ""}`.trim(),
    ...explanations.map(({ values }) => cell(values[name] as MetricValue)),
  ]);
  const table = formatTable(["metric", ...explanations.map(({ method }) => method)], rows);
  const missing = explanations.some(({ values }) => Object.values(values).some((value) => value.undefined > 0));
  const note = missing ? ["(-n): not defined for n of the images, such as those with a dead map", ""] : [];
  return [head, "", about, table, ...note, ...explanations.flatMap(randomisationText)].join("\n");
}

/** Which way a metric is better, as its definition says. */
const DIRECTIONS: Partial<Record<MetricName, string>> = Object.fromEntries(
  Object.entries(METRIC_DEFINITIONS).flatMap(([name, text]) => {
    if (text.includes("lower is better")) return [[name, "↓"]];
    return text.includes("higher is better") ? [[name, "↑"]] : [];
  }),
);

/** A mean, and in brackets for how many images there is none. */
function cell({ mean, undefined: missing }: MetricValue): string {
  return `${mean.toFixed(3)}${missing > 0 ? ` (-${missing})` : ""}`;
}

function randomisationText({ method, randomisation }: ExplanationMetrics): string[] {
  if (randomisation === null) return [];
  const steps = randomisation.map(({ layer, spearman }) => `${layer} ${spearman.mean.toFixed(2)}`);
  return [
    `${method}, rank correlation of the maps with those of random weights, from the top down: ${steps.join(", ")}`,
    "",
  ];
}
