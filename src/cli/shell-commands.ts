import { basename, join } from "node:path";

/** The command that goes on with an interrupted run, fit to paste into a shell. */
export function resumeCommand(runDirectory: string): string {
  const word = quoted(runDirectory);
  if (word === runDirectory && !word.startsWith("-")) return `npx batch-cam train --resume ${word}`;
  return `npx batch-cam train --resume=${word.startsWith("'") ? word : `'${word}'`}`;
}

/** The command that trains a run anew, under a name of its own: the one that is there stays. */
export function againCommand(runDirectory: string): string {
  const file = quoted(join(runDirectory, "config.json"));
  return `npx batch-cam train --config ${file} --experiment ${quoted(`${basename(runDirectory)}-again`)}`;
}

/** A word as a shell reads it back. */
export function quoted(word: string): string {
  return /^[\w./+=@:-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
