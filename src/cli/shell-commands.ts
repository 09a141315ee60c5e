import { basename, join } from "node:path";
import { LIMITS, savedTrainConfig, type TrainConfig } from "../config/index.ts";
import { givenPartsOf } from "../config/internal.ts";
import { readRegularText } from "../regular-file.ts";
import type { TrainResult } from "../train/index.ts";
import { callOf, DECISIVE, type RunData, type RunEnvironment, readGiven, readRunData } from "../train/internal.ts";
import { kebabCase } from "./flags.ts";
import { quoted } from "./shell-word.ts";

/** Facts about a run that its folder does not contain. */
export interface KnownOfRun {
  environment: RunEnvironment;
  /** The number of steps it has taken. */
  step: number;
  /** The reason its last part ended, or undefined if it was not trained in this process. */
  endedBy?: TrainResult["endedBy"] | undefined;
  /** The config of its last part. Limits that were given on resuming are not in the run's `config.json`. */
  config?: TrainConfig | undefined;
}

/** A description of a run for people who want to repeat it. */
export interface RunDescription {
  /** The content of its `config.json`, with `acceptNewData` if the run continued with other data. */
  config: TrainConfig;
  /** The command that trains it again. */
  command: string;
  /** The reasons why that command does not give exactly the same run, one sentence each; empty if it does. */
  caveats: string[];
}

/** Describes a run from the files in its folder. */
export async function describeRun(runDirectory: string, known: KnownOfRun): Promise<RunDescription> {
  const saved = await readConfig(runDirectory, known.config);
  const data = await readRunData(runDirectory).catch(() => null);
  return {
    config: data?.plan.otherData ? { ...saved, acceptNewData: true } : saved,
    command: await repeatCommand(runDirectory, saved, known),
    caveats: [...dataCaveats(data, known.step), ...environmentCaveats(known.environment)],
  };
}

async function readConfig(runDirectory: string, otherwise: TrainConfig | undefined): Promise<TrainConfig> {
  try {
    return savedTrainConfig(JSON.parse(await readRegularText(join(runDirectory, "config.json"))));
  } catch (error) {
    if (otherwise === undefined) throw error;
    return otherwise;
  }
}

/** The limit that ended the run, if it was given only for its last part. */
function endingLimit(saved: TrainConfig, { endedBy, config }: KnownOfRun): Record<string, number> {
  const limit = LIMITS.find((key) => key === endedBy);
  const value = limit && config?.[limit];
  return limit === undefined || value === undefined || value === saved[limit] ? {} : { [limit]: value };
}

function dataCaveats(data: RunData | null, steps: number): string[] {
  if (data === null || !data.plan.otherData) return [];
  const known = data.changes.map(({ epoch, step, differences }) => {
    const when = step < steps ? `at epoch ${epoch}, after step ${step}` : `after its last step, ${step}`;
    return `${when} (${differences.join("; ")})`;
  });
  const when = known.length === 0 ? "at an epoch that an earlier version did not record" : known.join(", and ");
  return [
    `This run cannot be repeated exactly by one command, because its data changed ${when}: it was resumed with --accept-new-data.`,
  ];
}

function environmentCaveats({ resumed = [], ...first }: RunEnvironment): string[] {
  const keys = DECISIVE.filter((key) => resumed.some((part) => part[key] !== undefined));
  if (keys.length === 0) return [];
  const changes = keys.map((key) => {
    const later = resumed.flatMap((part) =>
      part[key] === undefined ? [] : [`${part[key]} from step ${part.fromStep} on`],
    );
    return `${key} ${[first[key] ?? "unknown", ...later].join(", ")}`;
  });
  return [
    `Parts of this run were trained in different environments (${changes.join("; ")}), so a repeated run may give slightly different numbers.`,
  ];
}

/** The command that continues an interrupted run, ready to be pasted into a shell. */
export function resumeCommand(runDirectory: string): string {
  const word = quoted(runDirectory);
  if (word === runDirectory && !word.startsWith("-")) return `npx batch-cam train --resume ${word}`;
  return `npx batch-cam train --resume=${word.startsWith("'") ? word : `'${word}'`}`;
}

/** The command that trains a run again, or the call if a program gave its model or its images. */
async function repeatCommand(runDirectory: string, saved: TrainConfig, known: KnownOfRun): Promise<string> {
  const parts = givenPartsOf(saved);
  const record = await readGiven(runDirectory);
  if (parts.model || parts.data || record.losses.length > 0) return callOf({ runDirectory, parts, record }, "train");
  return againCommand(runDirectory, endingLimit(saved, known));
}

/**
 * The command that trains a run again under a new name, so that the existing run is not replaced.
 * @param more options that the run's `config.json` does not contain
 */
function againCommand(runDirectory: string, more: Readonly<Record<string, number>> = {}): string {
  const file = quoted(join(runDirectory, "config.json"));
  const options = Object.entries(more).map(([key, value]) => ` --${kebabCase(key)} ${value}`);
  return `npx batch-cam train --config ${file} --experiment ${quoted(`${basename(runDirectory)}-again`)}${options.join("")}`;
}
