import { join } from "node:path";
import { writeFileAtomically } from "../../atomic-file.ts";
import type { DemoConfig, TrainConfigInput } from "../../config/index.ts";
import { BatchCamError } from "../../errors.ts";
import { readRegularText } from "../../regular-file.ts";
import type { TrainResult } from "../../train/run/events.ts";

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

/** The demo's runs by name of their directory, in the order in which they are trained: two on MNIST, three on its decoy set. */
export const DEMO_RUNS = ["plain", "guided", "decoy-plain", "decoy-guided", "decoy-control"] as const;

export type DemoRun = (typeof DEMO_RUNS)[number];

/** The runs of demos from before the decoy set was a part of them. */
const FIRST_DEMO_RUNS: readonly DemoRun[] = ["plain", "guided"];

/** What is said before each run trains. */
export const DEMO_HEADINGS: Record<DemoRun, string> = {
  plain: "MNIST, plain",
  guided: "MNIST, guided",
  "decoy-plain": "MNIST with a decoy patch, plain",
  "decoy-guided": "MNIST with a decoy patch, guided",
  "decoy-control": "MNIST with a decoy patch, control: guided to one mean image for all classes",
};

/** As the study of docs/reproduction.md has it (`compare --preset decoy`), where five seeds of each were measured. */
const DECOY = {
  dataset: "decoy-mnist",
  epochs: 3,
  limitTrain: 5120,
  valImages: 1000,
  limitVal: 500,
  limitTest: 2000,
  lambdaWarmup: 0,
  distance: "ssim",
} as const satisfies TrainConfigInput;

/** The train options of a run; `epochs` and `limitTrain` of the demo are those of its MNIST runs. */
export function demoRunOptions(name: DemoRun, config: DemoConfig): TrainConfigInput {
  const { epochs, limitTrain, ...shared } = config;
  const experiment = { ...shared, experiment: name };
  switch (name) {
    case "plain":
    case "guided":
      return { ...experiment, epochs, limitTrain, limitVal: 2000, plain: name === "plain" };
    case "decoy-plain":
      return { ...experiment, ...DECOY, plain: true };
    case "decoy-guided":
      return { ...experiment, ...DECOY, lambdaPrototype: 5, lambdaBatch: 5 };
    case "decoy-control":
      return { ...experiment, ...DECOY, lambdaPrototype: 5, prototypes: "global" };
  }
}
