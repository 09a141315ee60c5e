import { readdirSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import type { DatasetName } from "../../config/index.ts";
import { isImageName } from "./image-walk.ts";

/** The data set that reads a file or folder of one's own, and what tells so. */
export interface OwnDataset {
  name: DatasetName;
  /** "holds images": continues a sentence about the path. */
  holds: string;
}

/** Folders that are looked into before it is given up. */
const MOST_FOLDERS = 100;

/** What a path of one's own is to `loadDataset`, as far as a quick look tells; undefined where it is nothing of the kind. */
export function ownDataset(path: string): OwnDataset | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory()) return holdsImages(path) ? { name: "folder", holds: "holds images" } : undefined;
  if (!found?.isFile()) return undefined;
  const end = extname(path).toLowerCase();
  if (end === ".csv") return { name: "csv", holds: "is a CSV file" };
  return end === ".npz" ? { name: "npz", holds: "is an .npz file" } : undefined;
}

/** Looks for an image in a folder, its subfolders and theirs: split, class, image. */
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
    return []; // a folder that cannot be read has nothing to show
  }
}
