import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fileOfBytes, readZipDirectory, unpackEntry } from "../../src/io/internal.ts";
import { zipOf } from "./torch-archive.ts";

const FOLDER = new URL("../fixtures/exported/", import.meta.url);

/** Path of a file in fixtures/exported. */
export const exportedPath = (name: string): string => fileURLToPath(new URL(name, FOLDER));

/** The entries of a zip archive, by name. */
export async function entriesOf(path: string): Promise<Map<string, Buffer>> {
  const file = fileOfBytes(readFileSync(path), (problem) => {
    throw new Error(problem);
  });
  const entries = new Map<string, Buffer>();
  for (const entry of await readZipDirectory(file)) {
    const pieces: Uint8Array[] = [];
    for await (const piece of unpackEntry(file, entry)) pieces.push(piece);
    entries.set(entry.name, Buffer.concat(pieces));
  }
  return entries;
}

/** Writes entries as a zip archive. */
export function writeEntries(path: string, entries: ReadonlyMap<string, Uint8Array>): string {
  writeFileSync(path, zipOf(Array.from(entries, ([name, data]) => ({ name, data }))));
  return path;
}

/** JSON of any shape, for changes in tests. */
// biome-ignore lint/suspicious/noExplicitAny: the tests reach into files and break them.
export type Json = any;

/** The name of the entry with the program. */
export const PROGRAM = /(^|\/)(models\/model|serialized_exported_program)\.json$/;
/** The name of the entry with the list of weights. */
export const WEIGHTS = /data\/weights\/model_weights_config\.json$/;

/** A copy of a fixture in which the JSON of one entry is changed. */
export async function changedProgram(
  folder: string,
  change: (json: Json) => void,
  { from = "tiny-2.11.pt2", entry = PROGRAM }: { from?: string; entry?: RegExp } = {},
): Promise<string> {
  const entries = await entriesOf(exportedPath(from));
  const name = [...entries.keys()].find((each) => entry.test(each)) as string;
  const json = JSON.parse((entries.get(name) as Buffer).toString().replaceAll(/-?\b(Infinity|NaN)\b(?!")/g, "0"));
  change(json);
  entries.set(name, Buffer.from(JSON.stringify(json)));
  return writeEntries(join(folder, "changed.pt2"), entries);
}
