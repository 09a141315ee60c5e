import { basename, join } from "node:path";
import { kebabCase } from "./flags.ts";
import { quoted } from "./shell-word.ts";

/** The command that goes on with an interrupted run, fit to paste into a shell. */
export function resumeCommand(runDirectory: string): string {
  const word = quoted(runDirectory);
  if (word === runDirectory && !word.startsWith("-")) return `npx batch-cam train --resume ${word}`;
  return `npx batch-cam train --resume=${word.startsWith("'") ? word : `'${word}'`}`;
}

/**
 * The command that trains a run anew, under a name of its own: the one that is there stays.
 * @param more options that the run's `config.json` does not have
 */
export function againCommand(runDirectory: string, more: Readonly<Record<string, number>> = {}): string {
  const file = quoted(join(runDirectory, "config.json"));
  const options = Object.entries(more).map(([key, value]) => ` --${kebabCase(key)} ${value}`);
  return `npx batch-cam train --config ${file} --experiment ${quoted(`${basename(runDirectory)}-again`)}${options.join("")}`;
}
