import { objectOf } from "../arguments.ts";
import { counted } from "../counted.ts";
import { BatchCamError } from "../errors.ts";
import { SCHEDULES } from "../optim/description.ts";
import { OUTCOME_FREE } from "./outcome.ts";
import { overrideTrainConfig, parseSavedConfig, runDirectoryOf } from "./resolve.ts";
import { TrainConfig, type TrainConfigInput } from "./train.ts";

/** Limits that end a run before its last epoch. If they are given on resuming, they apply only to that part of the run. */
export const LIMITS = ["maxSteps", "maxSeconds", "patience"] as const satisfies readonly (keyof TrainConfig)[];

/**
 * Options that may change on resuming and are then updated in the run's config: how long it trains, and which images it
 * reads and is tested on.
 */
const REDESCRIBED = ["epochs", "limitTest", "dataDir"] as const satisfies readonly (keyof TrainConfig)[];

/** Options that may change on resuming. The results of the steps already taken depend on none of them. */
const FREE_ON_RESUME: ReadonlySet<string> = new Set<keyof TrainConfig>([
  ...OUTCOME_FREE,
  ...LIMITS,
  ...(["dataDir", "limitTest"] as const),
]);

/**
 * The config of a resumed run: the saved config, with the options of `input` that may change on resuming. `epochs` may
 * change only if the schedule does not depend on it.
 *
 * @param saved the run's `config.json`
 * @throws E_CONFIG naming every option whose change would make it a different run
 */
export function resumeTrainConfig(saved: unknown, input: TrainConfigInput): TrainConfig {
  const before = savedTrainConfig(saved);
  const { output, experiment, resume, overwrite, ...base } = before;
  const config = parseSavedConfig(overrideTrainConfig(base as TrainConfigInput, decided(input)), "train config");
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
    `resume: a run continues with the config that it was started with, but these differ: ${faults.join("; ")}${scheduled}${advice}`,
    { options: [...changed, "sched"] },
  );
}

/** The input without options that leave a choice to the run, because the run made it when it began. */
function decided(input: TrainConfigInput): TrainConfigInput {
  const { guideEvery, ...others } = objectOf("resumeTrainConfig: input", input);
  return guideEvery === "auto" ? others : input;
}

/** Checks a run's `config.json` after it was parsed as JSON. */
export const savedTrainConfig = (saved: unknown, what = "the run's config.json"): TrainConfig =>
  parseSavedConfig(saved, what);

/** Explains why the number of epochs of a run with a schedule cannot change, and what to do instead. */
function epochsAdvice({ sched, epochs }: TrainConfig, asked: TrainConfig): string {
  const reason = `The learning-rate schedule (sched ${sched}) spans the run's ${counted(epochs, "epoch")}: over ${asked.epochs}, the steps already taken would have had other learning rates`;
  const whole = `leave epochs out to continue to the end of these (or, if the run has reached it, to test it again)`;
  if (asked.epochs < epochs) return `${reason}; ${whole}, and end the run earlier with maxSteps if necessary`;
  return `${reason}; ${whole}, and to train longer start a new run: either with epochs ${asked.epochs} from the start, or with { weights: "${runDirectoryOf(asked)}" } to continue from its best epoch under a new schedule`;
}

/**
 * The `config.json` of a run that is resumed with `config`. The options in `REDESCRIBED` are updated. A limit that was
 * given on resuming is not recorded, unless it replaces a limit that the run was started with and that would now be
 * wrong.
 *
 * @param saved the run's present `config.json`
 */
export function describeResumedRun(saved: TrainConfig, config: TrainConfig): TrainConfig {
  objectOf("describeResumedRun: saved", saved);
  objectOf("describeResumedRun: config", config);
  const keys = [...REDESCRIBED, ...LIMITS.filter((key) => saved[key] !== undefined)];
  const entries = keys.map((key) => [key, config[key]] as const).filter(([, value]) => value !== undefined);
  return { ...saved, ...Object.fromEntries(entries) };
}
