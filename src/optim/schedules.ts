import { describeValue, expectFunction, expectNumber, optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";

/**
 * Returns the value (a learning rate or a momentum) for update number `step`, counted from 0. It has no state that a resumed run would
 * need.
 */
export type Schedule = (step: number) => number;

/** A schedule that is `value` at every step. */
export function constant(value: number): Schedule {
  expectFinite("constant", { value });
  return scheduled("constant", () => value);
}

/** `lr·(startFactor + (1 − startFactor)·t / steps)` up to step `steps`, then `lr`: torch's LinearLR. */
export function linearWarmup(options: { lr: number; steps: number; startFactor?: number }): Schedule {
  const { lr, steps, startFactor = 0 } = optionsOf("linearWarmup", options, ["lr", "steps", "startFactor"]);
  expectFinite("linearWarmup", { lr, startFactor });
  expectSteps("linearWarmup", { steps });
  return scheduled("linearWarmup", (step) =>
    step >= steps ? lr : lr * (startFactor + ((1 - startFactor) * step) / steps),
  );
}

/**
 * Half a cosine from `lr` at step 0 to `minLr` at step `steps`, after which it rises again: torch's CosineAnnealingLR with T_max =
 * `steps`.
 */
export function cosine(options: { lr: number; steps: number; minLr?: number }): Schedule {
  const { lr, steps, minLr = 0 } = optionsOf("cosine", options, ["lr", "steps", "minLr"]);
  expectFinite("cosine", { lr, minLr });
  expectSteps("cosine", { steps });
  return scheduled("cosine", (step) => halfCosine(lr, minLr, step / steps));
}

/** `first` before step `milestone`, then `second`, whose steps are counted from 0 again: torch's SequentialLR. */
export function sequential(first: Schedule, milestone: number, second: Schedule): Schedule {
  expectFunction("sequential: first", first);
  expectSteps("sequential", { milestone });
  expectFunction("sequential: second", second);
  return scheduled("sequential", (step) => (step < milestone ? first(step) : second(step - milestone)));
}

export interface TimmCosineOptions {
  lr: number;
  /** Length of the half cosine (timm's t_initial). */
  steps: number;
  minLr?: number;
  warmupSteps?: number;
  /** The rate at step 0, if there is a warm-up. */
  warmupLr?: number;
  /**
   * Whether the cosine starts after the warm-up. If false (timm's default), it starts at step 0, and the warm-up replaces its first
   * `warmupSteps` steps.
   */
  warmupPrefix?: boolean;
}

/** A linear warm-up from `warmupLr`, half a cosine, and then `minLr`: timm's CosineLRScheduler with one cycle. */
export function timmCosine(options: TimmCosineOptions): Schedule {
  const {
    lr,
    steps,
    minLr = 0,
    warmupSteps = 0,
    warmupLr = 0,
    warmupPrefix = false,
  } = optionsOf("timmCosine", options, ["lr", "steps", "minLr", "warmupSteps", "warmupLr", "warmupPrefix"]);
  expectFinite("timmCosine", { lr, minLr, warmupLr });
  expectSteps("timmCosine", { steps });
  expectSteps("timmCosine", { warmupSteps }, 0);
  const start = warmupPrefix ? warmupSteps : 0;
  return scheduled("timmCosine", (step) => {
    if (step < warmupSteps) return warmupLr + (step * (lr - warmupLr)) / warmupSteps;
    const t = step - start;
    return t < steps ? halfCosine(lr, minLr, t / steps) : minLr;
  });
}

export interface OneCycleOptions {
  /** Steps of the whole cycle. Later steps have the value of the last one. */
  steps: number;
  /** Share of the cycle in which the rate rises. */
  pctStart?: number;
  anneal?: "cos" | "linear";
}

export interface OneCycleLrOptions extends OneCycleOptions {
  maxLr: number;
  /** The first rate is maxLr / divFactor. */
  divFactor?: number;
  /** The last rate is the first one / finalDivFactor. */
  finalDivFactor?: number;
}

/** Rises from maxLr / divFactor to maxLr, and then falls to the first rate / finalDivFactor: torch's OneCycleLR. */
export function oneCycle(options: OneCycleLrOptions): Schedule {
  const {
    maxLr,
    divFactor = 25,
    finalDivFactor = 1e4,
    ...shape
  } = optionsOf("oneCycle", options, ["steps", "pctStart", "anneal", "maxLr", "divFactor", "finalDivFactor"]);
  expectFinite("oneCycle", { maxLr, divFactor, finalDivFactor });
  const initial = maxLr / divFactor;
  return cycle("oneCycle", { start: initial, peak: maxLr, end: initial / finalDivFactor }, shape);
}

export interface OneCycleMomentumOptions extends OneCycleOptions {
  baseMomentum?: number;
  maxMomentum?: number;
}

/**
 * The momentum (SGD) or β₁ (Adam) of torch's OneCycleLR: it falls from `maxMomentum` to `baseMomentum` while the rate
 * rises, and returns while the rate falls.
 */
export function oneCycleMomentum(options: OneCycleMomentumOptions): Schedule {
  const {
    baseMomentum = 0.85,
    maxMomentum = 0.95,
    ...shape
  } = optionsOf("oneCycleMomentum", options, ["steps", "pctStart", "anneal", "baseMomentum", "maxMomentum"]);
  expectFinite("oneCycleMomentum", { baseMomentum, maxMomentum });
  return cycle("oneCycleMomentum", { start: maxMomentum, peak: baseMomentum, end: maxMomentum }, shape);
}

function cycle(
  operation: string,
  values: { start: number; peak: number; end: number },
  shape: OneCycleOptions,
): Schedule {
  const { steps, pctStart = 0.3, anneal = "cos" } = shape;
  expectSteps(operation, { steps });
  expectNumber(`${operation}: pctStart`, pctStart, "be in [0, 1]", (n) => n >= 0 && n <= 1);
  const between = anneal === "cos" ? halfCosine : straight;
  const { start, peak, end } = values;
  const [top, last] = [pctStart * steps - 1, steps - 1];
  return scheduled(operation, (step) => {
    const at = Math.min(step, last);
    if (at <= top) return top > 0 ? between(start, peak, at / top) : peak;
    // If the cycle is too short to rise, `top` is negative, and the rate falls from the first step on, as in torch.
    return between(peak, end, (at - top) / (last - top));
  });
}

function scheduled(operation: string, schedule: Schedule): Schedule {
  return (step) => {
    expectNumber(`${operation}: step`, step);
    return schedule(step);
  };
}

/** Interpolates between `from` at share 0 and `to` at share 1. */
function halfCosine(from: number, to: number, share: number): number {
  return to + ((from - to) / 2) * (1 + Math.cos(Math.PI * share));
}

function straight(from: number, to: number, share: number): number {
  return from + (to - from) * share;
}

function expectFinite(operation: string, values: Record<string, number>): void {
  for (const [name, value] of Object.entries(values)) {
    if (Number.isFinite(value) && value >= 0) continue;
    throw new BatchCamError("E_ARGUMENT", `${operation}: ${name} must be a number >= 0, got ${describeValue(value)}`);
  }
}

function expectSteps(operation: string, counts: Record<string, number>, least = 1): void {
  for (const [name, value] of Object.entries(counts)) {
    if (Number.isSafeInteger(value) && value >= least) continue;
    throw new BatchCamError(
      "E_ARGUMENT",
      `${operation}: ${name} must be an integer >= ${least}, got ${describeValue(value)}`,
    );
  }
}
