import { basename, dirname, join } from "node:path";
import { expectWritableFolder, writeFileAtomically } from "../../atomic-file.ts";
import type { MethodName } from "../../cam/index.ts";
import type { EvaluateConfig } from "../../config/index.ts";
import { BatchCamError } from "../../errors.ts";
import { readRegularText } from "../../regular-file.ts";
import { setNumThreads } from "../../tensor/index.ts";
import { evaluateSplit } from "../../train/index.ts";
import {
  type ExplanationMetrics,
  explanationMetrics,
  type LoadedRun,
  METRIC_DEFINITIONS,
  SPURIOUS_DEFINITIONS,
  spuriousRecord,
} from "../../workflows/internal.ts";
import type { CommandCall, Outcome } from "../command.ts";
import { methodsOf } from "../explain/plan.ts";
import { warnTo } from "../warn.ts";
import { type EvaluationRecord, formatEvaluation, withoutUndefined } from "./evaluation-lines.ts";
import { EvaluationProgress } from "./progress.ts";
import { openSubject } from "./subject.ts";

type EvaluateCall = Pick<CommandCall, "stdout" | "stderr" | "signal"> & {
  input: Readonly<Record<string, unknown>>;
  config: EvaluateConfig;
};

/** Evaluates a run and writes the record into its directory, replacing an earlier one. */
export async function runEvaluate(call: EvaluateCall): Promise<Outcome> {
  const { input, config, stdout, stderr } = call;
  if (config.threads !== undefined) setNumThreads(config.threads);
  const methods = methodsOf("evaluate", config.method);
  const subject = await openSubject({ input, config }, warnTo(stderr));
  const progress = new EvaluationProgress(stderr);
  try {
    const name = config.split === "test" ? "evaluation.json" : `evaluation-${config.split}.json`;
    const folder = config.model === undefined ? dirname(dirname(subject.checkpoint)) : config.output;
    const file = folder === undefined ? null : join(folder, name);
    if (folder !== undefined) await expectWritableFolder(folder);
    const record = await evaluateRun(subject, methods, { call, progress });
    progress.stop();
    const kept = file === null ? [] : await earlier(file, record);
    const all = { ...record, explanations: [...record.explanations, ...kept] };
    if (file !== null) await writeFileAtomically(file, `${JSON.stringify(all, null, 2)}\n`);
    if (config.json) stdout.write(`${JSON.stringify(record, null, 2)}\n`);
    else {
      stdout.write(formatEvaluation(record, subject, stdout.isTTY ? stdout.columns : undefined));
      if (file !== null)
        stdout.write(`definitions and all values${kept.length > 0 ? ", and those of earlier calls" : ""}: ${file}\n`);
    }
    return "done";
  } finally {
    progress.stop();
    subject.dispose();
  }
}

interface Evaluating {
  call: EvaluateCall;
  progress: EvaluationProgress;
}

async function evaluateRun(
  subject: LoadedRun,
  methods: readonly MethodName[],
  { call: { config, signal }, progress }: Evaluating,
): Promise<EvaluationRecord> {
  const { checkpoint, camLayer, prototypes, amp, channelsLast } = subject;
  const { batchSize } = config;
  const split = subject.data[config.split];
  const accuracy = progress.part("images for the accuracy");
  const onImages = (count: number) => accuracy(count, split.labels.numel);
  const options = { camLayer, prototypes, amp, channelsLast, batchSize, onImages, signal };
  const classification = await evaluateSplit(subject.model, split, options);
  if (!Number.isFinite(classification.crossEntropy))
    throw new BatchCamError("E_NUMERIC", `evaluate: the model of ${checkpoint} gives logits that are not finite`);
  const cued = { batchSize, onImages: progress.part("images for the cue"), signal };
  const spurious = config.split === "test" ? await spuriousRecord(subject, cued) : null;
  const explanations: ExplanationMetrics[] = [];
  for (const method of methods) {
    const listeners = progress.method(method, Math.min(config.limit, split.labels.numel));
    const found = await explanationMetrics(subject, split, { ...config, ...listeners, method, signal });
    explanations.push(withoutUndefined(found));
  }
  const definitions = { ...METRIC_DEFINITIONS, ...(spurious === null ? {} : SPURIOUS_DEFINITIONS) };
  return {
    schemaVersion: 1,
    checkpoint,
    split: config.split,
    data: subject.data.differences,
    classification,
    explanations,
    spurious,
    definitions,
  };
}

/** The results of earlier calls for the same checkpoint and split, with other methods or on other images. */
async function earlier(file: string, record: EvaluationRecord): Promise<ExplanationMetrics[]> {
  const about = (one: ExplanationMetrics) =>
    [one.method, one.target, one.images, one.layer, one.steps, one.seed].join();
  const replaced = new Set(record.explanations.map(about));
  try {
    const before = JSON.parse(await readRegularText(file)) as EvaluationRecord;
    // The weights are taken to be the same if the accuracies almost agree: other batches may round differently.
    const sameData = JSON.stringify(before.data ?? []) === JSON.stringify(record.data);
    const same =
      sameData &&
      basename(before.checkpoint) === basename(record.checkpoint) &&
      Math.abs(before.classification.accuracy - record.classification.accuracy) < 0.002;
    return same ? before.explanations.filter((one) => one.values !== undefined && !replaced.has(about(one))) : [];
  } catch {
    return []; // the file does not exist, or it is damaged
  }
}
