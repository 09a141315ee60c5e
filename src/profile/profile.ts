import { callSync, expectFunction, expectInteger, optionsOf, wrongArgument } from "../arguments.ts";
import { Module } from "../nn/index.ts";

import { type Profile, StepProfiler } from "./step-profiler.ts";

export interface ProfileOptions {
  /** Number of steps that are recorded (10). */
  steps?: number;
  /** Number of warm-up steps that run first and are not recorded (5). */
  skip?: number;
  /** The model whose modules are named by their paths. Other modules are named by their class. */
  model?: Module;
  /** Limit on the number of recorded operators, and separately of phases and modules (500,000). Each takes about 300 bytes. */
  maxEvents?: number;
}

export const MAX_EVENTS = 500_000;
const MOST_STEPS = 10_000;

/**
 * Measures where the time of a step is spent. It runs `step` `skip + steps` times and records every operator of the
 * last `steps` runs. `step` is synchronous and receives the number of preceding steps. Phases are the parts that the
 * step runs with `phase`; `objective` has the phases `forward`, `maps` and `loss`. Profiling does not change what the
 * step computes, and adds about a microsecond to each operator.
 *
 * @returns the report, and the events that it summarises, which `writeTrace` writes to a file
 * @throws E_ARGUMENT within another profile; anything that `step` throws
 *
 * @example const { report } = profile(() => tidy(() => model.forward(images)), { model, steps: 20 }); for (const {
 *   path, forwardMilliseconds } of report.modules) console.log(path, forwardMilliseconds);
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
        callSync("profile", () => step(index)); // the result is not used
      });
    return profiler.finish() as Profile;
  } finally {
    profiler.finish();
  }
}
