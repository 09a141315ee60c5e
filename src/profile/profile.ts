import { expectFunction, expectInteger, optionsOf, wrongArgument } from "../arguments.ts";
import { Module } from "../nn/index.ts";
import { callSync } from "../tensor/internal.ts";
import { type Profile, StepProfiler } from "./step-profiler.ts";

export interface ProfileOptions {
  /** Steps that are recorded; 10 by default. */
  steps?: number;
  /** Steps before them that are run and not recorded; 5 by default. */
  skip?: number;
  /** Whose modules the report names by their paths; others it names by their class. */
  model?: Module;
  /** Operators recorded at most, and as many phases and modules; 500,000 by default, some 300 bytes each. */
  maxEvents?: number;
}

export const MAX_EVENTS = 500_000;
const MOST_STEPS = 10_000;

/**
 * Measures where the time of a step goes: runs `step` (synchronous, given the count of steps before it) `skip + steps` times, and
 * records every operator of the last ones. Phases are what the step runs by `phase`; `objective` has `forward`, `maps` and `loss`.
 * Computes what it would without; recording an operator costs it about a microsecond.
 *
 * @returns the report, and the events that it adds up, which `writeTrace` makes a file of
 * @throws E_ARGUMENT within another profile; whatever `step` throws
 *
 * @example
 * const { report } = profile(() => tidy(() => model.forward(images)), { model, steps: 20 });
 * for (const { path, forwardMilliseconds } of report.modules) console.log(path, forwardMilliseconds);
 */
export function profile(step: (index: number) => unknown, options: ProfileOptions = {}): Profile {
  const {
    steps = 10,
    skip = 5,
    model,
    maxEvents = MAX_EVENTS,
  } = optionsOf("profile", options, ["steps", "skip", "model", "maxEvents"]);
  expectFunction("profile: step", step);
  expectInteger("profile: steps", steps, 1, MOST_STEPS);
  expectInteger("profile: skip", skip, 0, MOST_STEPS);
  expectInteger("profile: maxEvents", maxEvents, 1);
  if (model !== undefined && !(model instanceof Module)) throw wrongArgument("profile: model", "a Module", model);
  const profiler = new StepProfiler({ steps, skip, maxEvents }, model ?? null);
  try {
    for (let index = 0; index < skip + steps; index++)
      profiler.step(() => {
        callSync("profile", () => step(index)); // its result is nobody's
      });
    return profiler.finish() as Profile;
  } finally {
    profiler.finish();
  }
}
