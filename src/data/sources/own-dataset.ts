import { readdirSync } from "node:fs";
import { extname, join } from "node:path";
import type { DatasetName } from "../../config/index.ts";
import { statOf } from "../../regular-file.ts";
import { isImageName } from "../images/format.ts"; // not from image-walk.ts, which loads the engine: the flags read this file

/** The data set that can read a user's own file or folder, and a clause that says why. */
export interface OwnDataset {
  name: DatasetName;
  /** A clause about the path, such as "contains images". */
  holds: string;
}

/** Limit on the number of folders that are searched at each level. */
const MOST_FOLDERS = 100;

/** Guesses which data set reads a user's own file or folder, from a quick look at it; undefined if none does. */
export function ownDataset(path: string): OwnDataset | undefined {
  const found = statOf(path);
  if (found?.isDirectory()) return holdsImages(path) ? { name: "folder", holds: "contains images" } : undefined;
  if (!found?.isFile()) return undefined;
  const end = extname(path).toLowerCase();
  if (end === ".csv") return { name: "csv", holds: "is a CSV file" };
  return end === ".npz" ? { name: "npz", holds: "is an .npz file" } : undefined;
}

/** Looks for an image in a folder and two levels of subfolders, which are deep enough for split/class/image. */
function holdsImages(folder: string): boolean {
  let level = [folder];
  for (let depth = 0; depth < 3; depth++) {
    const entries = level.slice(0, MOST_FOLDERS).flatMap(entriesOf);
    if (entries.some(({ name, isFolder }) => !isFolder && isImageName(name))) return true;
    level = entries.filter(({ isFolder }) => isFolder).map(({ path }) => path);
  }
  return false;
}

function entriesOf(folder: string): { name: string; path: string; isFolder: boolean }[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true }).filter(({ name }) => !name.startsWith("."));
    return entries.map((entry) => ({
      name: entry.name,
      path: join(folder, entry.name),
      isFolder: entry.isDirectory(),
    }));
  } catch {
    return []; // this is only a guess, so a folder that cannot be read counts as empty
  }
}
