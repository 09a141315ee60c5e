import { join } from "node:path";
import { writeFileAtomically } from "../atomic-file.ts";
import type { DemoConfig } from "../config/index.ts";
import { BatchCamError } from "../errors.ts";
import { readRegularText } from "../regular-file.ts";
import type { TrainResult } from "../train/events.ts";
import { type DemoRun, FIRST_DEMO_RUNS } from "./demo-runs.ts";

/** `demo.json`: how far a demo has come, so that the next start goes on, or knows that the runs beside it are its own. */
export interface DemoState {
  config: DemoConfig;
  /** The runs whose folders may be overwritten, because none of them was there before a demo claimed their names. */
  runs: readonly DemoRun[];
  /** The runs that have begun in this demo: their folders hold nothing of an earlier one. */
  begun: DemoRun[];
  results: Partial<Record<DemoRun, TrainResult>>;
  finished: boolean;
}

const stateFile = (output: string) => join(output, "demo.json");

/** The state left by an earlier demo; null when there is none, or none that can be read. */
export async function readDemoState(output: string): Promise<DemoState | null> {
  try {
    const state = JSON.parse(await readRegularText(stateFile(output))) as Partial<DemoState> | null;
    if (!state?.config || !state.results) return null;
    return {
      config: state.config,
      runs: state.runs ?? FIRST_DEMO_RUNS,
      results: state.results,
      begun: state.begun ?? [],
      finished: state.finished === true,
    };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || error instanceof SyntaxError) return null;
    throw new BatchCamError("E_IO", `demo: cannot read ${stateFile(output)}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** @throws BatchCamError E_IO when the folder cannot be made or written */
export async function writeDemoState(output: string, state: DemoState): Promise<void> {
  await writeFileAtomically(stateFile(output), `${JSON.stringify(state, null, 2)}\n`);
}
