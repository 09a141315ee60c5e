import { relative, resolve, sep } from "node:path";
import { counted } from "../../counted.ts";
import { BatchCamError } from "../../errors.ts";
import { FileError } from "../../io/internal.ts";

/** A file's path within a folder, with "/" between folders on every system. */
export const pathWithin = (root: string, path: string): string =>
  relative(resolve(root), resolve(path)).split(sep).join("/");

/** Describes the problem with a file of a data set, naming the file by its path within the data set. */
export function problemOf(error: BatchCamError, root: string): string {
  return error instanceof FileError ? `${pathWithin(root, error.path)}: ${error.problem}` : error.message;
}

/** Limits the length of an error message about many files. */
const MOST_SHOWN = 1000;

/** One text of many problems with files. */
export function problemList(problems: readonly string[]): string {
  const shown = problems.slice(0, MOST_SHOWN).join("; ");
  return problems.length > MOST_SHOWN ? `${shown}; and ${problems.length - MOST_SHOWN} more` : shown;
}

/**
 * One error about every file that cannot be read.
 *
 * @param context the operation, and the data set if there is one: "loadDataset: photos"
 * @param repair what makes the files readable
 */
export function unreadableError(problems: readonly string[], context: string, repair = "repair them"): BatchCamError {
  const files = `${counted(problems.length, "file")} cannot`;
  const remedy = `${repair}, or leave them out with badImages skip`; // the command line names its flag
  return new BatchCamError("E_DATA", `${context}: ${files} be read: ${problemList(problems)}; ${remedy}`);
}

/**
 * Summarises in one sentence how reading changed images, with the number of images for each change. Rotations by EXIF
 * are not mentioned, because they are always right.
 */
export function notesLine(notes: readonly (readonly string[])[]): string[] {
  const counts = new Map<string, number>();
  for (const note of notes.flat())
    if (!note.startsWith("turned upright")) counts.set(note, (counts.get(note) ?? 0) + 1);
  if (counts.size === 0) return [];
  const sorted = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  const list = sorted.map(([note, count]) => `${counted(count, "image")}: ${note}`);
  return [`reading changed images (${list.join("; ")})`];
}
