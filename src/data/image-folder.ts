import type { Dirent } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { extname, join, relative, sep } from "node:path";
import { expectFunction, expectInteger, expectPath, itemsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { dataError, type ReadContext } from "./file-bytes.ts";
import { checkReadOptions, type ImageFile, type ReadImageOptions, readImage } from "./image-file.ts";
import { IMAGE_EXTENSIONS } from "./image-format.ts";

const CONTEXT: ReadContext = { operation: "listImages", remedy: "name an image file, or a folder that holds some" };

/**
 * The image files of a folder and its subfolders, told by the ends of their names (`IMAGE_EXTENSIONS`, capitals too), sorted by
 * path, character code by character code: the same order on every machine. Left out: hidden files and folders, links to
 * folders, and links that lead out of the folder. A file stands for itself, whatever its name.
 *
 * @throws E_DATA for a path that is not there or not readable, and for a folder without images
 */
export async function listImages(path: string): Promise<string[]> {
  expectPath("listImages: path", path);
  const found = await reading(path, () => stat(path));
  if (found.isFile()) return [path];
  if (!found.isDirectory()) throw dataError(path, "expected a file or a folder, got a device", CONTEXT);
  const walk: Walk = { root: await reading(path, () => realpath(path)), images: [], others: new Map(), folders: 0 };
  await visit(path, walk);
  if (walk.images.length === 0) throw dataError(path, `holds no image: ${searched(walk)}`, CONTEXT);
  return walk.images.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

interface Walk {
  root: string;
  images: string[];
  /** How many files of other extensions were seen. */
  others: Map<string, number>;
  folders: number;
}

async function visit(folder: string, walk: Walk): Promise<void> {
  const entries = await reading(folder, () => readdir(folder, { withFileTypes: true }));
  walk.folders++;
  for (const entry of entries) {
    if (entry.name.startsWith(".")) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await visit(path, walk);
    else if (await isOwnFile(entry, path, walk.root)) take(path, walk);
  }
}

function take(path: string, { images, others }: Walk): void {
  const extension = extname(path).toLowerCase();
  if (IMAGE_EXTENSIONS.some((known) => known === extension)) images.push(path);
  else others.set(extension, (others.get(extension) ?? 0) + 1);
}

/** Whether an entry is a file, or a link to one inside the root. */
async function isOwnFile(entry: Dirent, path: string, root: string): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isFile();
  try {
    const target = relative(root, await realpath(path));
    return target !== ".." && !target.startsWith(`..${sep}`) && (await stat(path)).isFile();
  } catch {
    return false; // it leads nowhere
  }
}

function searched({ others, folders }: Walk): string {
  const inside = folders > 1 ? ` in it and its ${folders - 1} subfolders` : "";
  const seen = [...others].sort(([, a], [, b]) => b - a).slice(0, 4);
  const kinds = seen.map(([extension, count]) => `${count} ${extension || "without extension"}`).join(", ");
  const bmp = others.has(".bmp") ? " (BMP cannot be read: convert it to PNG)" : "";
  return `looked${inside} for ${IMAGE_EXTENSIONS.join(" ")}, found ${kinds || "no file"}${bmp}`;
}

async function reading<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw dataError(path, `cannot be read (${reason})`, CONTEXT, error);
  }
}

export interface ReadImagesOptions extends ReadImageOptions {
  /** Images that come together; the last batch may hold fewer. */
  batchSize?: number;
  /** Images that are decoded at the same time; the number of cores, at most 4, without it. */
  concurrency?: number;
  /**
   * Takes the error of a file that cannot be read, which is then left out; without it, the first such error ends the reading. A
   * failure of the machine (E_IO, such as too many open files) ends it in any case.
   */
  onError?: (error: BatchCamError, path: string) => void;
}

/**
 * Reads images in the order of their paths, several at a time, batch by batch. Without `size` they may differ in size.
 * While the caller works on a batch, the next `concurrency` images are read.
 *
 * @throws E_ARGUMENT at once for options that make no sense; while it runs, what `readImage` throws
 */
export function readImages(paths: Iterable<string>, options: ReadImagesOptions): AsyncGenerator<ImageFile[]> {
  checkReadOptions("readImages", options);
  const { batchSize = 32, concurrency = Math.min(4, availableParallelism()), onError } = options;
  const list = itemsOf("readImages: paths", paths, "a list of paths");
  list.forEach((path, index) => {
    expectPath(`readImages: paths[${index}]`, path);
  });
  expectInteger("readImages: batchSize", batchSize, 1);
  expectInteger("readImages: concurrency", concurrency, 1, 64);
  if (onError !== undefined) expectFunction("readImages: onError", onError);
  return inBatches(inOrder(list, concurrency, options), batchSize, onError);
}

type Outcome = ImageFile | { path: string; error: unknown };

/** The results in the order of the paths, the next ones already on their way. */
async function* inOrder(paths: string[], ahead: number, options: ReadImageOptions): AsyncGenerator<Outcome> {
  const running: Promise<Outcome>[] = [];
  let next = 0;
  while (running.length > 0 || next < paths.length) {
    while (running.length < ahead && next < paths.length) running.push(attempt(paths[next++] as string, options));
    yield (await running.shift()) as Outcome;
  }
}

/** Never rejects, so that a reading that nobody waits for any more is no unhandled rejection. */
async function attempt(path: string, options: ReadImageOptions): Promise<Outcome> {
  return readImage(path, options).catch((error: unknown) => ({ path, error }));
}

async function* inBatches(
  outcomes: AsyncGenerator<Outcome>,
  batchSize: number,
  onError?: ReadImagesOptions["onError"],
): AsyncGenerator<ImageFile[]> {
  let batch: ImageFile[] = [];
  for await (const outcome of outcomes) {
    if ("error" in outcome) {
      if (!onError || !(outcome.error instanceof BatchCamError) || outcome.error.code === "E_IO") throw outcome.error;
      onError(outcome.error, outcome.path);
      continue;
    }
    batch.push(outcome);
    if (batch.length < batchSize) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
