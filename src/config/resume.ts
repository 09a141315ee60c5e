import { counted } from "../counted.ts";
import { BatchCamError } from "../errors.ts";
import { SCHEDULES } from "../optim/description.ts";
import { OUTCOME_FREE } from "./outcome.ts";
import { overrideTrainConfig, parseTrainConfig, runDirectoryOf } from "./resolve.ts";
import { TrainConfig, type TrainConfigInput } from "./train.ts";

/** Where a run ends before its epochs do. Given on resuming, they hold for that part of the run alone. */
export const LIMITS = ["maxSteps", "maxSeconds", "patience"] as const satisfies readonly (keyof TrainConfig)[];

/** What describes a run although it may change on resuming: how long it trains, and which images it reads and is tested on. */
const REDESCRIBED = ["epochs", "limitTest", "dataDir"] as const satisfies readonly (keyof TrainConfig)[];

/** What may differ when a run goes on: nothing that the numbers of the steps already taken depend on. */
const FREE_ON_RESUME: ReadonlySet<string> = new Set<keyof TrainConfig>([
  ...OUTCOME_FREE,
  ...LIMITS,
  ...(["dataDir", "limitTest"] as const),
]);

/**
 * The config with which a run goes on: the saved one, and from `input` what may change between two parts of a run.
 * `epochs` may change only where the schedule does not depend on it.
 * @param saved the run's `config.json`
 * @throws BatchCamError E_CONFIG naming every key that would make it another run
 */
export function resumeTrainConfig(saved: unknown, input: TrainConfigInput): TrainConfig {
  const before = savedTrainConfig(saved);
  const { output, experiment, resume, overwrite, ...base } = before;
  const config = parseTrainConfig(overrideTrainConfig(base, input));
  const lengthMatters = SCHEDULES.find(({ name }) => name === before.sched)?.needsLength ?? true;
  const free = (key: string) => FREE_ON_RESUME.has(key) || (key === "epochs" && !lengthMatters);
  const changed = (Object.keys(TrainConfig.shape) as (keyof TrainConfig)[]).filter(
    (key) => !free(key) && before[key] !== config[key],
  );
  if (changed.length === 0) return config;
  const faults = changed.map((key) => `${key} (the run has ${before[key] ?? "none"}, got ${config[key] ?? "none"})`);
  const scheduled = changed.includes("epochs") ? `. ${epochsAdvice(before, config)}` : "";
  const advice = changed.length === 1 && scheduled !== "" ? "" : ". Leave them out, or start a new run";
  throw new BatchCamError(
    "E_CONFIG",
    `resume: a run goes on with the config it began with, but these differ: ${faults.join("; ")}${scheduled}${advice}`,
    { options: [...changed, "sched"] },
  );
}

/** Reads a run's `config.json`, which has been parsed as JSON. */
export const savedTrainConfig = (saved: unknown): TrainConfig =>
  parseTrainConfig(saved, { what: "the run's config.json" });

/** Why the number of epochs is part of a run with a schedule, and what to do instead. */
function epochsAdvice({ sched, epochs }: TrainConfig, asked: TrainConfig): string {
  const reason = `The learning-rate schedule (sched ${sched}) is laid out over the run's ${counted(epochs, "epoch")}: over ${asked.epochs}, the steps already taken would have had other learning rates`;
  const whole = `leave epochs out to go on to the end of these`;
  if (asked.epochs < epochs) return `${reason}; ${whole}, and end the run earlier with maxSteps if need be`;
  return `${reason}; ${whole}, and to train longer begin a new run: with epochs ${asked.epochs} from the start, or with { weights: "${runDirectoryOf(asked)}" }, to go on from its best epoch under a schedule of its own`;
}

/**
 * What the run's `config.json` says once it goes on with `config`: what describes the run is taken over. A limit that was given on
 * resuming is not, unless it replaces one that the run began with and that would be wrong from now on.
 *
 * @param saved the run's `config.json` until now
 */
export function describeResumedRun(saved: TrainConfig, config: TrainConfig): TrainConfig {
  const keys = [...REDESCRIBED, ...LIMITS.filter((key) => saved[key] !== undefined)];
  const entries = keys.map((key) => [key, config[key]] as const).filter(([, value]) => value !== undefined);
  return { ...saved, ...Object.fromEntries(entries) };
}
