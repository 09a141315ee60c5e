import { lstat, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomically } from "../../atomic-file.ts";
import { lambdaWarmupOf, parseTrainConfig, type TrainConfig } from "../../config/index.ts";
import { OWN_DATA } from "../../config/internal.ts";
import { readRegularText } from "../../regular-file.ts";
import { CARD_MARK, modelCard } from "../../report/card/model-card.ts";
import { environmentInWords, environmentUntil, readEnvironment } from "../../train/run/environment.ts";
import type { StartEvent, TrainResult } from "../../train/run/events.ts";
import { describeRun } from "../shell-commands.ts";
import { quoted } from "../shell-word.ts";

/** Writes a run's `README.md`, unless someone else wrote the file that exists. */
export async function writeModelCard(
  result: TrainResult,
  start: StartEvent,
  warn: (message: string) => void,
): Promise<void> {
  const path = join(result.runDirectory, "README.md");
  // A broken link was made by someone too.
  const taken = await lstat(path).catch(() => null);
  if (taken !== null && !(await isOurs(path))) {
    warn(`${path} is not batch-cam's own and stays as it is: the run has no model card`);
    return;
  }
  const { runDirectory, step, endedBy } = result;
  const read = await readEnvironment(runDirectory).catch((error: Error) => {
    warn(`the model card says nothing of the surroundings: ${error.message}`);
    return {};
  });
  const environment = environmentUntil(read, step);
  const ended = { environment, step, endedBy, config: start.config };
  const { config, command, caveats } = await describeRun(runDirectory, ended);
  const about = {
    ownData: OWN_DATA.has(config.dataset),
    runWord: quoted(runDirectory),
    ...{ again: command, caveats, environment: environmentInWords(environment) },
  };
  await writeFileAtomically(path, modelCard({ result, start, options: chosen(config, start), ...about }));
}

/** Options about the folder of a run, and not about the run. */
const PLACES: readonly string[] = ["output", "experiment", "resume", "overwrite"];

/** Options of a run that differ from the defaults. */
function chosen(config: TrainConfig, { stepsPerEpoch }: StartEvent): Record<string, unknown> {
  const { distance, plain, epochs, maxSteps = Number.POSITIVE_INFINITY } = config;
  const { lambdaPrototype, ...others } = parseTrainConfig({ distance, plain });
  const lambdaWarmup = lambdaWarmupOf(others, Math.min(maxSteps, epochs * stepsPerEpoch));
  const usual: Record<string, unknown> = { ...parseTrainConfig({}), lambdaPrototype, lambdaWarmup };
  const entries = Object.entries(config).filter(([key, value]) => !PLACES.includes(key) && value !== usual[key]);
  return Object.fromEntries(entries);
}

/** Removes the card of an earlier run in the same folder before a new run begins. */
export async function removeModelCard(runDirectory: string): Promise<void> {
  const path = join(runDirectory, "README.md");
  if (await isOurs(path)) await rm(path, { force: true });
}

/** Whether batch-cam wrote the file; false if there is no file. */
async function isOurs(path: string): Promise<boolean> {
  return (await readRegularText(path).catch(() => "")).includes(CARD_MARK);
}
