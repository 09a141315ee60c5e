import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { BatchCamError } from "../errors.ts";
import { evaluateSamples } from "../evaluate/index.ts";
import { type DemoRun, renderDemoReport } from "../report/index.ts";
import type { TrainResult } from "../train/events.ts";
import { readLog } from "../train/metrics-log.ts";
import { quoted } from "./training.ts";

/**
 * One HTML page about finished runs, at most one plain and one guided: results, maps of the same test images, curves and configs.
 * @throws BatchCamError E_CHECKPOINT where a run directory lacks one of its files
 */
export async function renderReport(results: readonly TrainResult[], commands?: readonly string[]): Promise<string> {
  const reported = [];
  for (const result of results) reported.push(await describeRun(result));
  const [first] = reported;
  if (!first) throw new BatchCamError("E_ARGUMENT", "renderReport: results must hold at least one run, got none");
  const { images, labels, height, width, prototypes, classNames } = first.samples;
  return renderDemoReport({
    title: `Batch-CAM: ${first.model} on ${first.dataset}, ${reported.map(({ run }) => run.name).join(" and ")}`,
    runs: reported.map(({ run }) => run),
    samples: { images, labels, height, width },
    prototypes,
    classNames,
    environment: first.environment,
    commands: commands ?? [againCommand(first.run.result.runDirectory)],
  });
}

/** The run anew, under a name of its own: the one that the report is about stays. */
function againCommand(runDirectory: string): string {
  return `npx batch-cam train --config ${quoted(join(runDirectory, "config.json"))} --experiment ${quoted(`${basename(runDirectory)}-again`)}`;
}

async function describeRun(result: TrainResult) {
  const { runDirectory } = result;
  const { samples, config } = await evaluateSamples(runDirectory);
  const log = await readLog(join(runDirectory, "metrics.jsonl"));
  const steps = log.flatMap((row) => (row.kind === "step" ? [{ step: row.step, metrics: row }] : []));
  const { maps, dead, predictions } = samples;
  const run: DemoRun = { name: config.plain ? "plain" : "guided", config, result, steps, maps, dead, predictions };
  return {
    run,
    samples,
    environment: await readEnvironment(runDirectory),
    model: config.model,
    dataset: config.dataset,
  };
}

async function readEnvironment(runDirectory: string): Promise<Record<string, string | number>> {
  const path = join(runDirectory, "environment.json");
  try {
    const environment = JSON.parse(await readFile(path, "utf8")) as Record<string, string | number | null>;
    return Object.fromEntries(
      Object.entries(environment).flatMap(([key, value]) => (value === null ? [] : [[key, value]])),
    );
  } catch (cause) {
    throw new BatchCamError("E_CHECKPOINT", `cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
}
