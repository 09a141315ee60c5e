import type { Dirent, Stats } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { extname, join, relative } from "node:path";
import { accessing, dataError, type ReadContext } from "../../io/internal.ts";
import { isImageName } from "../images/format.ts";
import type { LeftOut } from "../record/left-out.ts";
import { byCode } from "./class-names.ts";
import { leaves } from "./inner-file.ts";

export interface WalkOptions {
  /** Whether to follow links that leave the folder and links to folders. */
  followLinks: boolean;
  /** Counts the files that are left out. */
  leftOut: LeftOut;
  /** Folder that names in messages are relative to (default: the folder that is searched). */
  base?: string;
}

/** An image file: its path, and its real path with all links resolved. */
export interface FoundImage {
  readonly path: string;
  readonly target: string;
}

const CONTEXT: ReadContext = {
  operation: "listImages",
  remedy: "name an image file, or a folder that contains images",
};

/** Limits the recursion in case the check for cyclic links misses one (bind mounts, for example). */
const MOST_DEPTH = 64;

/**
 * Finds the image files in a folder and its subfolders by the extensions of their names, sorted by path. Hidden entries
 * are left out, and without `followLinks` also links to folders and links that leave the folder. A link to a folder
 * that contains the link is never followed.
 *
 * @throws E_DATA for a folder that cannot be read
 */
export async function walkImages(folder: string, options: WalkOptions): Promise<FoundImage[]> {
  const root = await accessing(folder, CONTEXT, () => realpath(folder));
  const walk: Walk = { ...options, base: options.base ?? folder, root, images: [] };
  await visit({ path: folder, real: root, above: [] }, walk);
  return walk.images.sort((a, b) => byCode(a.path, b.path));
}

interface Walk extends WalkOptions {
  base: string;
  root: string;
  images: FoundImage[];
}

interface Place {
  path: string;
  /** Path of the folder with all links resolved. */
  real: string;
  /** The resolved paths of its parent folders, to detect cycles. */
  above: readonly string[];
}

async function visit(place: Place, walk: Walk): Promise<void> {
  const entries = await accessing(place.path, CONTEXT, () => readdir(place.path, { withFileTypes: true }));
  const above = [...place.above, place.real];
  for (const entry of entries) {
    const [path, real] = [join(place.path, entry.name), join(place.real, entry.name)];
    if (entry.name.startsWith(".")) walk.leftOut.add("hidden");
    else if (entry.isSymbolicLink()) await visitLink(path, above, walk);
    else if (entry.isDirectory()) await descend({ path, real, above }, walk);
    else take({ path, target: real }, entry, walk);
  }
}

async function descend(place: Place, walk: Walk): Promise<void> {
  if (place.above.length > MOST_DEPTH) throw dataError(place.path, `is more than ${MOST_DEPTH} folders deep`, CONTEXT);
  await visit(place, walk);
}

async function visitLink(path: string, above: readonly string[], walk: Walk): Promise<void> {
  const name = relative(walk.base, path);
  const found = await targetOf(path);
  if (found === null) {
    walk.leftOut.add("broken link", name);
    return;
  }
  const { target, stats } = found;
  const followed = walk.followLinks || (stats.isFile() && !leaves(walk.root, target));
  if (!followed) walk.leftOut.add("link", name);
  else if (!stats.isDirectory()) take({ path, target }, stats, walk);
  else if (above.some((own) => !leaves(target, own))) walk.leftOut.add("link to a folder that contains it", name);
  else await descend({ path, real: target, above }, walk);
}

async function targetOf(path: string): Promise<{ target: string; stats: Stats } | null> {
  try {
    return { target: await realpath(path), stats: await stat(path) };
  } catch {
    return null; // the target does not exist, or the links form a cycle
  }
}

function take(image: FoundImage, entry: Dirent | Stats, { images, leftOut }: Walk): void {
  const extension = extname(image.path).toLowerCase();
  if (!entry.isFile()) leftOut.add("pipe, socket or device");
  else if (isImageName(image.path)) images.push(image);
  else leftOut.add(extension === "" ? "without extension" : (extension as `.${string}`));
}
