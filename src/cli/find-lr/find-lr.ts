import type { TrainConfigInput } from "../../config/index.ts";
import { type FindLrConfig, type FindLrConfigInput, SWEEP_KEYS } from "../../config/internal.ts";
import { type FoundRate, findLearningRate } from "../../train/index.ts";
import type { CommandCall, Outcome } from "../command.ts";
import { formatTable } from "../table.ts";
import { createCounter } from "../train/progress.ts";
import { short } from "../train/progress-lines.ts";

type FindLrCall = Pick<CommandCall, "stdout" | "stderr" | "signal"> & {
  input: FindLrConfigInput;
  config: FindLrConfig;
};

/** `batch-cam find-lr`: a learning-rate range test with the options of a training run. */
export async function runFindLr({ input, config, stdout, stderr, signal }: FindLrCall): Promise<Outcome> {
  const own: readonly string[] = SWEEP_KEYS;
  const training = Object.fromEntries(Object.entries(input).filter(([key]) => !own.includes(key))) as TrainConfigInput;
  const { lrFrom: from, lrTo: to, lrSteps: steps, json } = config;
  const counter = createCounter(stderr, "steps", steps);
  try {
    const found = await findLearningRate(training, { from, to, steps, signal, onStep: () => counter.step() });
    counter.stop();
    stdout.write(json ? `${JSON.stringify(found)}\n` : textOf(found));
    return "done";
  } finally {
    counter.stop();
  }
}

/** Length of the longest bar, in characters. */
const BAR = 24;

/** A table of about a dozen rates of the sweep, each with a bar for its loss, and the suggested rate. */
function textOf({ points, suggestion, lowest, diverged }: FoundRate): string {
  const every = Math.max(1, Math.floor(points.length / 12));
  const shown = points.filter((_, i) => (points.length - 1 - i) % every === 0);
  const least = Math.min(...points.map(({ smoothed }) => smoothed));
  const most = Math.max(...shown.map(({ smoothed }) => smoothed));
  const bar = (loss: number) => "#".repeat(Math.round((BAR * (loss - least)) / (most - least || 1))).padEnd(BAR);
  const rows = shown.map(({ lr, smoothed }) => [lr.toExponential(1), short(smoothed), bar(smoothed)]);
  const end = diverged ? "At that rate the loss diverged." : "The loss did not diverge up to the last rate.";
  const advice =
    suggestion === null
      ? "The loss never fell: try other bounds (--lr-from, --lr-to) or more steps (--lr-steps)."
      : `The loss falls fastest at ${suggestion.toExponential(1)}, and is lowest at ${lowest.toExponential(1)}: try --lr ${suggestion.toExponential(0)}.`;
  return `${formatTable(["lr", "loss", ""], rows)}\n${end}\n${advice}\n`;
}
