import { existsSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomically } from "../../atomic-file.ts";
import { DemoConfig, type TrainConfigInput } from "../../config/index.ts";
import { BatchCamError } from "../../errors.ts";
import type { TrainEvent, TrainResult } from "../../train/index.ts";
import { continueOrRestart } from "../../train/internal.ts";
import type { CommandCall, Outcome } from "../command.ts";
import { kebabCase } from "../flags.ts";
import { quoted } from "../shell-word.ts";
import { type Train, type TrainingParts, trainInView } from "../train/training.ts";
import { closingLines, type DemoResults, decoyOf } from "./lines.ts";
import {
  DEMO_HEADINGS,
  DEMO_RUNS,
  type DemoRun,
  type DemoState,
  demoRunOptions,
  readDemoState,
  writeDemoState,
} from "./runs.ts";

type DemoCall = Pick<CommandCall<typeof DemoConfig>, "config" | "stdout" | "stderr" | "env" | "signal">;

/** Trains all runs with one seed, prints their tables and writes `report.html`. An interrupted demo continues where it stopped. */
export async function runDemo(parts: TrainingParts, call: DemoCall): Promise<Outcome> {
  const { output } = call.config;
  const state = await openDemo(call.config);
  for (const name of DEMO_RUNS) {
    if (state.results[name]) continue;
    call.stdout.write(`\n${DEMO_HEADINGS[name]}\n`);
    const result = await trainOne(name, state, { train: parts.train, call });
    if (result.interrupted) {
      call.stderr.write("to continue: give the same command again\n");
      return "interrupted";
    }
    state.results[name] = result;
    await writeDemoState(output, state);
  }
  const results = state.results as DemoResults;
  call.stdout.write(`\n${closingLines(results)}`);
  const report = join(output, "report.html");
  const page = await parts.renderReport([results.plain, results.guided], {
    commands: [demoCommand(call.config)],
    decoy: decoyOf(results),
  });
  await writeFileAtomically(report, page);
  await writeDemoState(output, { ...state, finished: true });
  call.stdout.write(`\nmaps side by side: ${report}\n`);
  return "done";
}

/** The command that runs this demo again: `npm start` if all options are the default. */
function demoCommand(config: DemoConfig): string {
  const defaults: Record<string, unknown> = DemoConfig.parse({});
  const flags = Object.entries(config)
    .filter(([key, value]) => value !== undefined && value !== defaults[key])
    .map(([key, value]) => ` --${kebabCase(key)} ${quoted(String(value))}`);
  return flags.length === 0 ? "npm start" : `npx batch-cam demo${flags.join("")}`;
}

/** The state to continue from: that of an interrupted demo with the same options, else a new one. */
async function openDemo(config: DemoConfig): Promise<DemoState> {
  const earlier = await readDemoState(config.output);
  const foreign = DEMO_RUNS.find((name) => !earlier?.runs.includes(name) && existsSync(join(config.output, name)));
  if (foreign !== undefined) {
    throw new BatchCamError(
      "E_CONFIG",
      `demo: "${join(config.output, foreign)}" exists and was not made by a demo: move it away, or give another --output`,
    );
  }
  const goesOn = earlier && !earlier.finished && JSON.stringify(earlier.config) === JSON.stringify(config);
  const state: DemoState = goesOn
    ? { ...earlier, runs: [...DEMO_RUNS] }
    : { config, runs: [...DEMO_RUNS], begun: [], results: {}, finished: false };
  await writeDemoState(config.output, state);
  return state;
}

async function trainOne(
  name: DemoRun,
  state: DemoState,
  { train, call }: { train: Train; call: DemoCall },
): Promise<TrainResult> {
  const config = await demoRunOptions(name, call.config);
  const note = noteBegin(name, state);
  const run = (how: TrainConfigInput) => trainInView(train, { ...config, ...how }, { ...call, onEvent: note.onEvent });
  const restart = (error: BatchCamError | null) => {
    if (error !== null) call.stderr.write(`warning: ${error.detail}; starting ${name} again\n`);
    return run({ overwrite: true });
  };
  try {
    if (!state.begun.includes(name)) return await restart(null);
    return await continueOrRestart(join(call.config.output, name), { resume: () => run({ resume: true }), restart });
  } finally {
    await note.written();
  }
}

/** Records that a run has begun, once its folder holds nothing of an earlier demo. A checkpoint in it then belongs to this demo. */
function noteBegin(
  name: DemoRun,
  state: DemoState,
): { onEvent: (event: TrainEvent) => void; written: () => Promise<void> } {
  let writing = Promise.resolve();
  const onEvent = ({ type }: TrainEvent): void => {
    if (type !== "start" || state.begun.includes(name)) return;
    state.begun.push(name);
    writing = writeDemoState(state.config.output, state);
    writing.catch(() => {}); // `written` reports the error
  };
  return { onEvent, written: () => writing };
}
