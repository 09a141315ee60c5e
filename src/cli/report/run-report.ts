import { join } from "node:path";
import { writeFileAtomically } from "../../atomic-file.ts";
import type { TrainConfig } from "../../config/index.ts";
import { dataName, GIVEN } from "../../config/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { exportedName } from "../../models/internal.ts";
import { type DecoyShown, type ReportedRun, renderRunReport } from "../../report/index.ts";
import { DECOY_RUNS, type DecoyResults } from "../../report/internal.ts";
import type {
  EpochRecord,
  ExtraMetrics,
  JudgedRun,
  Rejudged,
  StartEvent,
  StepMetrics,
  TrainResult,
} from "../../train/index.ts";
import {
  environmentInWords,
  environmentUntil,
  type LogRow,
  readEnvironment,
  readGiven,
  readLog,
} from "../../train/internal.ts";
import { type EvaluateOptions, type Evaluation, evaluateSamples } from "../../workflows/index.ts";
import { evaluateForReport } from "../../workflows/internal.ts";
import { describeRun } from "../shell-commands.ts";

export interface RunReportOptions {
  /** The start event of the only run, if it has just ended. */
  start?: StartEvent;
  /** The commands that make the page again; by default the command that made the first run. */
  commands?: readonly string[];
  /** The runs on a decoy set, which have a separate section. */
  decoy?: DecoyResults;
}

/**
 * An HTML page about finished runs, at most one plain and one guided: results, maps of the same test images, curves and configs.
 * @throws BatchCamError E_CHECKPOINT if a run directory lacks one of its files
 */
export async function renderReport(
  results: readonly (JudgedRun & Partial<Pick<TrainResult, "endedBy">>)[],
  options: RunReportOptions = {},
): Promise<string> {
  const { start, commands, decoy } = options;
  const reported = [];
  for (const result of results) {
    const { runDirectory } = result;
    const log = await readLog(join(runDirectory, "metrics.jsonl"));
    const evaluation = await evaluateSamples(runDirectory);
    reported.push(await showRun(result, { ...evaluation, log, start }));
  }
  return pageOf(reported, { commands, decoy: decoy && (await showDecoy(decoy)) });
}

/** The runs on a decoy set with their maps of the same test images, and the prototypes of the guided run. */
async function showDecoy(results: DecoyResults): Promise<DecoyShown> {
  const found = await Promise.all(DECOY_RUNS.map((name) => evaluateSamples(results[name].runDirectory)));
  const runs = found.map(({ config, samples: { maps, dead, predictions } }, index) => {
    const name = DECOY_RUNS[index] as (typeof DECOY_RUNS)[number];
    return { name, config: { ...config }, result: results[name], maps, dead, predictions };
  });
  const { images, labels, height, width, prototypes, classNames } = (found[1] as (typeof found)[number]).samples;
  return { runs, samples: { images, labels, height, width }, prototypes, classNames };
}

interface PageOptions {
  commands?: readonly string[] | undefined;
  decoy?: DecoyShown | undefined;
}

function pageOf(reported: readonly Described[], { commands, decoy }: PageOptions = {}): Promise<string> {
  const [first] = reported;
  if (!first) throw new BatchCamError("E_ARGUMENT", "renderReport: results must contain at least one run, got none");
  const { images, labels, height, width, prototypes, classNames } = first.samples;
  return renderRunReport({
    title: `Batch-CAM: ${first.model} on ${first.dataset}${decoy ? ` and ${decoy.runs[0]?.config.dataset}` : ""}, ${reported.map(({ run }) => run.name).join(" and ")}`,
    runs: reported.map(({ run }) => run),
    samples: { images, labels, height, width },
    prototypes,
    classNames,
    environment: first.environment,
    commands: commands ?? [first.command],
    caveats: reported.flatMap(({ caveats }) => caveats),
    ...(decoy && { decoy }),
  });
}

/**
 * Writes `report.html` of a run directory, for its best epoch so far, which is tested again: results, maps, curves and options.
 * `batch-cam report` does the same for a run whose model and images no program gave.
 *
 * @returns the path of the page
 * @throws BatchCamError E_CHECKPOINT if the run has no checkpoint of an epoch, or if one of its files cannot be read
 */
export async function reportRun(runDirectory: string, options: EvaluateOptions = {}): Promise<string> {
  const log = await readLog(join(runDirectory, "metrics.jsonl"));
  const history = log.flatMap((row) => (row.kind === "epoch" ? [row] : []));
  const rejudged = log.findLast((row) => row.kind === "rejudged");
  const evaluation = await evaluateForReport(runDirectory, options);
  const { config, checkpoint, test } = evaluation;
  const step = log.reduce((last, row) => Math.max(last, row.step), 0);
  const result: JudgedRun = {
    ...{ runDirectory, interrupted: isUnfinished(history, config), step, history, test, checkpoint, best: checkpoint },
    bestEpoch: bestOf(history, rejudged),
    ...(rejudged === undefined ? {} : { rejudged }),
    seconds: history.reduce((sum, { secondsPerEpoch }) => sum + secondsPerEpoch, 0),
  };
  const page = join(runDirectory, "report.html");
  await writeFileAtomically(page, await pageOf([await showRun(result, { ...evaluation, log })]));
  return page;
}

/** The best epoch of a log, or 0 if there is none. */
function bestOf(history: readonly EpochRecord[], rejudged: Rejudged | undefined): number {
  const from = rejudged?.val === null ? rejudged.after : 0;
  return history.findLast(({ epoch, bestSoFar }) => bestSoFar && epoch > from)?.epoch ?? 0;
}

/** Whether epochs are missing for no other reason than an interruption. */
function isUnfinished(
  history: readonly EpochRecord[],
  { epochs, maxSteps, maxSeconds, patience }: TrainConfig,
): boolean {
  const mayEndEarly = [maxSteps, maxSeconds, patience].some((limit) => limit !== undefined);
  return !mayEndEarly && (history.at(-1)?.epoch ?? 0) < epochs;
}

type Described = Awaited<ReturnType<typeof showRun>>;

interface Shown extends Pick<Evaluation, "samples" | "config"> {
  log: readonly LogRow[];
  start?: StartEvent | undefined;
}

/** The numbers of a logged step, those of a program's terms included. */
const numbersOf = (row: Extract<LogRow, { kind: "step" }>): StepMetrics & ExtraMetrics =>
  Object.fromEntries(Object.entries(row).filter(([key]) => key !== "kind")) as StepMetrics & ExtraMetrics;

async function showRun(
  result: JudgedRun & Partial<Pick<TrainResult, "endedBy">>,
  { samples, config: trained, log, start }: Shown,
) {
  const steps = log.flatMap((row) => (row.kind === "step" ? [{ step: row.step, metrics: numbersOf(row) }] : []));
  const balance = log.flatMap((row) => (row.kind === "balance" ? [row] : []));
  const { maps, dead, predictions } = samples;
  const { runDirectory, step, endedBy } = result;
  const environment = environmentUntil(await readEnvironment(runDirectory), step);
  const about = { environment, step, endedBy, config: start?.config };
  const { config, command, caveats } = await describeRun(runDirectory, about);
  const name = trained.plain ? "plain" : "guided";
  const { losses, model: given } = await readGiven(runDirectory);
  const run: ReportedRun = { name, config, result, steps, losses, balance, maps, dead, predictions };
  const dataset = trained.dataset === GIVEN ? "images of a program" : dataName(trained);
  const titled = { model: given?.type ?? exportedName(trained.model), dataset };
  return { run, samples, environment: environmentInWords(environment), ...titled, command, caveats };
}
