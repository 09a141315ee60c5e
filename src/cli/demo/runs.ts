import { join } from "node:path";
import { writeFileAtomically } from "../../atomic-file.ts";
import { CompareConfig, type DemoConfig, overrideTrainConfig, type TrainConfigInput } from "../../config/index.ts";
import { parseConfig } from "../../config/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { readRegularText } from "../../regular-file.ts";
import type { TrainResult } from "../../train/index.ts";
import { readGrid } from "../../workflows/internal.ts";
import { presetFile } from "../compare/input.ts";
import { readConfigFile } from "../config-file.ts";

/** The contents of `demo.json`: how far a demo has come. The next start continues it, and knows which runs it may overwrite. */
export interface DemoState {
  config: DemoConfig;
  /** The runs whose folders may be overwritten, because no folder of that name existed before a demo reserved it. */
  runs: readonly DemoRun[];
  /** The runs that this demo has begun, so that their folders hold nothing of an earlier demo. */
  begun: DemoRun[];
  results: Partial<Record<DemoRun, TrainResult>>;
  finished: boolean;
}

const stateFile = (output: string) => join(output, "demo.json");

/** The state that an earlier demo saved; null if it is missing or cannot be parsed. */
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

/** @throws BatchCamError E_IO if the folder cannot be made or written */
export async function writeDemoState(output: string, state: DemoState): Promise<void> {
  await writeFileAtomically(stateFile(output), `${JSON.stringify(state, null, 2)}\n`);
}

/** The names of the run directories in the order of training: two runs on MNIST, three on MNIST with a decoy patch. */
export const DEMO_RUNS = ["plain", "guided", "decoy-plain", "decoy-guided", "decoy-control"] as const;

export type DemoRun = (typeof DEMO_RUNS)[number];

/** The runs of earlier versions of the demo, which had no decoy set. */
const FIRST_DEMO_RUNS: readonly DemoRun[] = ["plain", "guided"];

/** The line that is printed before each run trains. */
export const DEMO_HEADINGS: Record<DemoRun, string> = {
  plain: "MNIST, plain",
  guided: "MNIST, guided",
  "decoy-plain": "MNIST with a decoy patch, plain",
  "decoy-guided": "MNIST with a decoy patch, guided",
  "decoy-control": "MNIST with a decoy patch, control: guided to one mean image for all classes",
};

/** The rows of the preset `decoy` that the runs on the decoy set repeat. docs/reproduction.md has five seeds of each. */
const STUDY_ROWS = {
  "decoy-plain": "plain",
  "decoy-guided": "both ssim 5",
  "decoy-control": "global prototype 5",
} as const satisfies Partial<Record<DemoRun, string>>;

/** The train options of a run. The demo's own `epochs` and `limitTrain` belong to its MNIST runs. */
export async function demoRunOptions(name: DemoRun, config: DemoConfig): Promise<TrainConfigInput> {
  const { epochs, limitTrain, ...shared } = config;
  const own = { ...shared, experiment: name };
  if (name === "plain" || name === "guided")
    return { ...own, epochs, limitTrain, limitVal: 2000, plain: name === "plain" };
  return { ...own, ...(await studyOptions(STUDY_ROWS[name])) };
}

/** The train options of a method of the study on decoy-mnist. */
async function studyOptions(method: string): Promise<TrainConfigInput> {
  const path = presetFile("decoy");
  const { base, datasets, methods } = readGrid(
    parseConfig(CompareConfig, await readConfigFile(path, "demo"), { what: path }),
  );
  const rows = [datasets.find(({ name }) => name === "decoy-mnist"), methods.find(({ name }) => name === method)];
  return rows.reduce((options, row) => overrideTrainConfig(options, row?.options ?? {}), base);
}
