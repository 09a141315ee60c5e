import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import type { DataRecord } from "./data-record.ts";

/** Folders that a message names. */
const SHOWN = 3;

/**
 * Names the folders of a run's images that are not there any more, the outermost of them, in a sentence; null if none is missing. A
 * split's folder whose new name is not a split's is not read any more, so that the contents of its images cannot be found again.
 *
 * @param root folder that the images' paths are relative to
 */
export function missingFolders({ splits }: DataRecord, root: string): string | null {
  const folders = new Set<string>();
  for (const split of Object.values(splits)) for (const { path } of split.files ?? []) folders.add(dirname(path));
  const known = new Map<string, boolean>([[".", true]]); // by folder: many share theirs
  const isThere = (folder: string): boolean => {
    const found = known.get(folder) ?? existsSync(join(root, folder));
    known.set(folder, found);
    return found;
  };
  const outermost = (folder: string): string => (isThere(dirname(folder)) ? folder : outermost(dirname(folder)));
  const missing = [...new Set([...folders].filter((folder) => !isThere(folder)).map(outermost))].sort();
  if (missing.length === 0) return null;
  const names = `${missing
    .slice(0, SHOWN)
    .map((folder) => `${folder}/`)
    .join(", ")}${missing.length > SHOWN ? ", ..." : ""}`;
  return missing.length === 1
    ? `images of the run lay in ${names}, which is not there now: if it was renamed, rename it back`
    : `images of the run lay in ${names}, which are not there now: if they were renamed, rename them back`;
}
