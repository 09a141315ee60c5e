import { join } from "node:path";
import type { TrainConfig } from "../../config/index.ts";
import { BatchCamError } from "../../errors.ts";
import type { Module } from "../../nn/index.ts";
import { MAX_EVENTS, StepProfiler, writeTrace } from "../../profile/index.ts";
import type { TrainEvent } from "../run/events.ts";
import { writeJson } from "../run/run-directory.ts";
import { everyOf } from "./guided-steps.ts";

/** The number of steps at the start of a new or resumed run that are not profiled. */
const WARM_UP = 5;

/** The number of recorded steps is rounded up to a multiple of `guideEvery`, so that the share of guided steps is that of the run. */
export function profilerOf(config: TrainConfig, model: Module): StepProfiler | null {
  const every = everyOf(config);
  const steps = Math.ceil(config.profileSteps / every) * every;
  return config.profile ? new StepProfiler({ skip: WARM_UP, steps, maxEvents: MAX_EVENTS }, model) : null;
}

/** The part of a session that its profile needs. */
interface Profiled {
  readonly run: { readonly directory: string };
  readonly reporting: { readonly profiler: StepProfiler | null; readonly emit: (event: TrainEvent) => void };
}

/**
 * Ends the profile of a run, even before its last step is recorded, and writes its files. If that fails, the run continues
 * without them.
 */
export async function finishProfile({ run, reporting }: Profiled): Promise<void> {
  const { profiler, emit } = reporting;
  if (profiler === null || profiler.finished) return;
  const profile = profiler.finish();
  if (profile === null) {
    const message = `profile: nothing was recorded, because the first ${WARM_UP} steps are warm-up and no step followed`;
    emit({ type: "warning", message });
    return;
  }
  const path = join(run.directory, "profile.json");
  const tracePath = join(run.directory, "profile-trace.json");
  try {
    await writeJson(path, profile.report);
    await writeTrace(tracePath, profile);
  } catch (error) {
    if (!(error instanceof BatchCamError)) throw error;
    emit({ type: "warning", message: `profile: ${error.message}` });
  }
  emit({ type: "profile", report: profile.report, path, tracePath });
}
