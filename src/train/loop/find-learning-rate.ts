import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { expectFunction, expectInteger, expectNumber, expectSignal, objectOf, optionsOf } from "../../arguments.ts";
import type { TrainConfigInput } from "../../config/index.ts";
import { BatchCamError } from "../../errors.ts";
import type { Module } from "../../nn/index.ts";
import { keep, tidy } from "../../tensor/index.ts";
import type { GivenSplits } from "../data/given-splits.ts";
import { disposeAll } from "../run/checkpoint.ts";
import { expectTrainable } from "../run/given-model.ts";
import { withSession } from "../run/session.ts";
import type { Session } from "../run/session-state.ts";
import { type LossOption, lossesOf } from "./extra-losses.ts";
import { beginEpoch, takeStep } from "./step.ts";

export interface FindLearningRateOptions {
  /** Learning rate of the first step (1e-6). */
  from?: number;
  /** Learning rate of the last step (1). */
  to?: number;
  /** At least 20 (100). */
  steps?: number;
  onStep?: (point: RatePoint) => void;
  /** Aborting it rejects with its reason. */
  signal?: AbortSignal | undefined;
  /** As for `train`. The network has the weights afterwards that it came with. */
  model?: Module | undefined;
  data?: GivenSplits | undefined;
  loss?: LossOption | undefined;
}

export interface RatePoint {
  lr: number;
  loss: number;
  /** Exponentially weighted mean of the losses so far, with bias correction. */
  smoothed: number;
}

export interface FoundRate {
  points: RatePoint[];
  /** The rate at which the smoothed loss, as a function of log(lr), falls fastest; null if it never falls. */
  suggestion: number | null;
  /** The rate of the lowest smoothed loss. At higher rates training may not converge. */
  lowest: number;
  /** Whether the loss diverged before the last rate was reached. */
  diverged: boolean;
}

/** The weight of the previous mean, and the multiple of the best loss above which a loss has diverged; as in fastai. */
const SMOOTHING = 0.9;
const DIVERGENCE = 4;

/**
 * Learning-rate range test (Smith, arXiv 1506.01186): it takes steps of the complete objective at rates that rise by a constant factor
 * until the loss diverges, and suggests the rate at which the loss falls fastest (as Lightning's `lr_find`). The guidance has its full
 * weight from the first step on, at every step. It keeps no run directory.
 *
 * @throws E_CONFIG, E_DATA as `train` does; E_NUMERIC if not even the first rates give a finite loss
 */
export async function findLearningRate(
  input: TrainConfigInput = {},
  options: FindLearningRateOptions = {},
): Promise<FoundRate> {
  const {
    from = 1e-6,
    to = 1,
    steps = 100,
    onStep = () => {},
    signal,
    model,
    data,
    loss,
  } = optionsOf("findLearningRate", options, [
    ...(["from", "to", "steps", "onStep", "signal"] as const),
    ...(["model", "data", "loss"] as const),
  ]);
  expectNumber("findLearningRate: from", from, "be above 0", (n) => n > 0);
  expectNumber("findLearningRate: to", to, `be above from (${from})`, (n) => n > from);
  expectInteger("findLearningRate: steps", steps, 20);
  expectFunction("findLearningRate: onStep", onStep);
  expectSignal("findLearningRate: signal", signal);
  if (model !== undefined) expectTrainable("findLearningRate", model);
  const given = { model, data, losses: lossesOf("findLearningRate", loss) };
  const output = await temporaryFolder();
  const restore = model === undefined ? () => {} : rememberWeights(model);
  try {
    const own = { output, experiment: "sweep", resume: false, overwrite: false, fastDevRun: false };
    // Losses of steps with and without guidance could not be compared.
    const config = { ...objectOf("findLearningRate: input", input), ...own, lambdaWarmup: 0, guideEvery: 1 };
    return await withSession(
      config,
      () => {},
      async (session) => {
        // The rates are compared as logarithms, because their ratio may overflow.
        session.optimisation.rate = (step) =>
          Math.exp(Math.log(from) + (Math.log(to) - Math.log(from)) * (step / (steps - 1)));
        return judged(await sweep(session, { steps, onStep, signal }), steps);
      },
      { signal, given },
    );
  } finally {
    restore();
    await rm(output, { recursive: true, force: true });
  }
}

/** Copies the weights of a network; returns what puts them back. */
function rememberWeights(model: Module): () => void {
  const before = tidy(() => new Map(Array.from(model.stateDict(), ([name, value]) => [name, keep(value.clone())])));
  return () => {
    model.loadStateDict(before);
    disposeAll(before);
  };
}

async function temporaryFolder(): Promise<string> {
  try {
    return await mkdtemp(join(tmpdir(), "batch-cam-find-lr-"));
  } catch (cause) {
    const { message } = cause as Error;
    throw new BatchCamError(
      "E_IO",
      `find-lr: cannot make a temporary folder: ${message}; set TMPDIR to a folder that you may write to`,
      { cause },
    );
  }
}

async function sweep(
  session: Session,
  { steps, onStep, signal }: { steps: number; onStep: (point: RatePoint) => void; signal: AbortSignal | undefined },
): Promise<RatePoint[]> {
  const points: RatePoint[] = [];
  for (; points.length < steps; session.progress.epoch += 1) {
    for (const indices of beginEpoch(session)) {
      if (points.length === steps) break;
      const point = pointOf(session, indices, points);
      if (point === null) return points;
      points.push(point);
      onStep(point);
      if (point.smoothed > DIVERGENCE * Math.min(...points.map(({ smoothed }) => smoothed))) return points;
      await setImmediate();
      signal?.throwIfAborted();
    }
  }
  return points;
}

/** Takes one step; null if its loss or gradient is not finite. */
function pointOf(session: Session, indices: Int32Array, before: readonly RatePoint[]): RatePoint | null {
  try {
    const { loss, lr } = takeStep(session, indices);
    session.progress.step += 1;
    const weight = 1 - SMOOTHING ** before.length;
    const mean =
      ((before.at(-1)?.smoothed ?? 0) * weight * SMOOTHING + loss * (1 - SMOOTHING)) /
      (1 - SMOOTHING ** (before.length + 1));
    return { lr, loss, smoothed: mean };
  } catch (error) {
    if (error instanceof BatchCamError && error.code === "E_NUMERIC" && before.length > 0) return null;
    throw error;
  }
}

function judged(points: readonly RatePoint[], steps: number): FoundRate {
  const losses = points.map(({ smoothed }) => smoothed);
  const lowest = losses.indexOf(Math.min(...losses));
  // The mean of the first steps is over few losses, so its slope is unreliable.
  const skipped = Math.min(10, Math.floor(lowest / 2));
  // The loss may fall by chance between two steps, but less likely over a tenth of the sweep.
  const span = Math.max(1, Math.min(Math.round(steps / 10), lowest - skipped));
  const slopes = losses.slice(skipped + span, lowest + 1).map((loss, i) => loss - (losses[skipped + i] as number));
  const steepest = slopes.indexOf(Math.min(...slopes));
  const falls = steepest >= 0 && (slopes[steepest] as number) < 0;
  return {
    points: [...points],
    suggestion: falls ? (points[skipped + steepest + Math.ceil(span / 2)] as RatePoint).lr : null,
    lowest: (points[lowest] as RatePoint).lr,
    diverged: points.length < steps,
  };
}
