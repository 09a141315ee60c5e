import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { describeResumedRun } from "../../config/index.ts";
import { setRngState, type Tensor } from "../../tensor/index.ts";
import type { GivenSplits } from "../data/given-splits.ts";
import { type RunPlan, writeRunData } from "../data/run-data.ts";
import { rejudge } from "../loop/rejudge.ts";
import {
  disposeAll,
  lastCheckpoint,
  loadCheckpoint,
  loadCheckpointed,
  type Progress,
  restoreBest,
  saveCheckpoint,
} from "./checkpoint.ts";
import { expectSameEnvironment, readEnvironment, resumedEnvironment } from "./environment.ts";
import type { Rejudged } from "./events.ts";
import { writeJson } from "./run-directory.ts";
import { expectReachable } from "./session-checks.ts";
import { resumedRunData, type SessionData } from "./session-data.ts";
import { environmentOf, type Session, snapshot } from "./session-state.ts";

/** The data that a resumed run continues with. */
export interface ResumedData {
  data: SessionData;
  plan: RunPlan;
  /** The warnings about the data. */
  warnings: readonly string[];
  given?: GivenSplits | undefined;
  signal?: AbortSignal | undefined;
}

/** Restores the state of the last checkpoint, and records the changes of options, data and environment. */
export async function resume(session: Session, resumed: ResumedData): Promise<void> {
  const { run, config } = session;
  if (config.deterministic) expectSameEnvironment(await readEnvironment(run.directory), environmentOf(session));
  const { model, state, progress } = await loadCheckpoint(run.directory);
  try {
    expectReachable(config, progress);
    continueFrom(session, progress);
    await restoreBest(run.directory, progress.bestEpoch);
    const { optimizer, weightEma } = session.optimisation;
    loadCheckpointed(session.trained.model, model, lastCheckpoint(run.directory));
    optimizer.loadState(without("optimizer.", state));
    weightEma?.loadState(without("ema.", state));
    session.guidance.camEma?.loadState(state);
    const rejudged = await rejudge(session, resumed.data, resumed.signal);
    if (rejudged !== null) session.trained.model.loadStateDict(model); // it contained the weights of the best epoch
    setRngState(state.get("rng") as Tensor);
    session.reporting.rewound = await session.reporting.log.rewindTo(progress);
    if (rejudged !== null) await keepJudgement(session, rejudged);
  } finally {
    disposeAll(model, state);
  }
  await updateDescription(session, resumed);
}

/** Writes a checkpoint that contains the new validation, so that no later part of the run repeats it. */
async function keepJudgement(session: Session, rejudged: Rejudged): Promise<void> {
  await session.reporting.log.append({ kind: "rejudged", ...rejudged });
  const taken = snapshot(session);
  await saveCheckpoint(session.run.directory, taken).finally(() => disposeAll(taken.model, taken.state));
}

function continueFrom(session: Session, progress: Progress): void {
  // With fewer images, the epochs are shorter.
  const { length } = session;
  progress.batch = Math.min(progress.batch, length.stepsPerEpoch);
  session.progress = progress;
  session.savedStep = progress.step;
  const { epochs, maxSteps = Number.POSITIVE_INFINITY } = session.config;
  length.totalSteps = progress.step + (epochs - progress.epoch + 1) * length.stepsPerEpoch - progress.batch;
  length.lastStep = Math.min(maxSteps, length.totalSteps);
}

/** Updates the files that describe the run, so that they are correct for the rest of the run. */
async function updateDescription(session: Session, { data, plan, warnings, given }: ResumedData): Promise<void> {
  const { run, config, progress } = session;
  const { directory, saved } = run;
  const { epoch, step } = progress;
  const kept = resumedRunData(data, { directory, given, plan, warnings, epoch, step });
  if (kept !== null) await writeRunData(directory, kept);
  // A damaged file is not updated.
  const before = await readEnvironment(directory).catch(() => ({}));
  const surroundings =
    Object.keys(before).length === 0 ? null : resumedEnvironment(before, environmentOf(session), step + 1);
  if (surroundings !== null) await writeJson(join(directory, "environment.json"), surroundings);
  if (saved === null) return;
  const described = describeResumedRun(saved, config);
  if (!isDeepStrictEqual(described, saved)) await writeJson(join(directory, "config.json"), described);
}

function without(prefix: string, state: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return new Map(
    [...state].filter(([name]) => name.startsWith(prefix)).map(([name, tensor]) => [name.slice(prefix.length), tensor]),
  );
}
