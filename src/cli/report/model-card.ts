import { lstat, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomically } from "../../atomic-file.ts";
import { lambdaWarmupOf, parseTrainConfig, type TrainConfig } from "../../config/index.ts";
import { OWN_DATA } from "../../config/internal.ts";
import { readRegularText } from "../../regular-file.ts";
import { CARD_MARK } from "../../report/internal.ts";
import type { StartEvent, TrainResult } from "../../train/index.ts";
import { environmentInWords, environmentUntil, readEnvironment } from "../../train/internal.ts";
import { describeRun } from "../shell-commands.ts";
import { quoted } from "../shell-word.ts";

/** Writes a run's `README.md`, unless one exists that batch-cam did not write. */
export async function writeModelCard(
  result: TrainResult,
  start: StartEvent,
  warn: (message: string) => void,
): Promise<void> {
  const path = join(result.runDirectory, "README.md");
  // `lstat` also finds a broken link, which somebody else made too.
  const taken = await lstat(path).catch(() => null);
  if (taken !== null && !(await isOurs(path))) {
    warn(`${path} was not written by batch-cam and is left as it is, so the run has no model card`);
    return;
  }
  const { runDirectory, step, endedBy } = result;
  const read = await readEnvironment(runDirectory).catch((error: Error) => {
    warn(`the model card does not describe the environment: ${error.message}`);
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
  // The renderer is loaded after training, so that the first step does not wait for it.
  const { modelCard } = await import("../../report/index.ts");
  await writeFileAtomically(path, modelCard({ result, start, options: chosen(config, start), ...about }));
}

/** Options about the folder of a run rather than the run itself. */
const PLACES: readonly string[] = ["output", "experiment", "resume", "overwrite"];

/** The options of a run that differ from their defaults. */
function chosen(config: TrainConfig, { stepsPerEpoch }: StartEvent): Record<string, unknown> {
  const { distance, plain, epochs, maxSteps = Number.POSITIVE_INFINITY } = config;
  const { lambdaPrototype, ...others } = parseTrainConfig({ distance, plain });
  const lambdaWarmup = lambdaWarmupOf(others, Math.min(maxSteps, epochs * stepsPerEpoch));
  const usual: Record<string, unknown> = { ...parseTrainConfig({}), lambdaPrototype, lambdaWarmup };
  const entries = Object.entries(config).filter(([key, value]) => !PLACES.includes(key) && value !== usual[key]);
  return Object.fromEntries(entries);
}

/** Removes the model card before a new run, because it describes the run that is replaced. */
export async function removeModelCard(runDirectory: string): Promise<void> {
  const path = join(runDirectory, "README.md");
  if (await isOurs(path)) await rm(path, { force: true });
}

/** Whether batch-cam wrote the file; false if there is no file. */
async function isOurs(path: string): Promise<boolean> {
  return (await readRegularText(path).catch(() => "")).includes(CARD_MARK);
}
