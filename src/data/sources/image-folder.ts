import { stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { expectBoolean, expectFunction, expectInteger, expectPath, itemsOf, optionsOf } from "../../arguments.ts";
import { BatchCamError } from "../../errors.ts";
import { dataError, type ReadContext } from "../../io/internal.ts";
import { IMAGE_EXTENSIONS } from "../images/format.ts";
import {
  checkReadOptions,
  type ImageFile,
  READ_OPTIONS,
  type ReadImageOptions,
  readImage,
} from "../images/image-file.ts";
import { LeftOut } from "../record/left-out.ts";
import { walkImages } from "./image-walk.ts";

const CONTEXT: ReadContext = { operation: "listImages", remedy: "name an image file, or a folder that holds some" };

export interface ListImagesOptions {
  /** Whether links are followed out of the folder, and to folders (false). A link to a folder that holds it is never followed. */
  followLinks?: boolean;
  /** Told in one sentence how many files of which kinds were left out, if there are any. */
  onWarning?: (message: string) => void;
}

/**
 * Lists the image files of a folder and its subfolders, told by the ends of their names (`IMAGE_EXTENSIONS`, capitals too), sorted by
 * path, character code by character code: the same order on every machine. Left out are hidden files and folders, and
 * without `followLinks` links to folders and links that lead out of the folder. A file stands for itself, whatever its name.
 *
 * @throws E_DATA for a path that is not there or not readable, and for a folder without images
 */
export async function listImages(path: string, options: ListImagesOptions = {}): Promise<string[]> {
  expectPath("listImages: path", path);
  const { followLinks = false, onWarning } = optionsOf("listImages", options, ["followLinks", "onWarning"]);
  expectBoolean("listImages: followLinks", followLinks);
  if (onWarning !== undefined) expectFunction("listImages: onWarning", onWarning);
  if (await isFile(path)) return [path];
  const leftOut = new LeftOut();
  const images = await walkImages(path, { followLinks, leftOut });
  if (images.length === 0) throw noImage(path, leftOut);
  if (!leftOut.isEmpty) onWarning?.(`${path}: left out ${leftOut.describe()}`);
  return images.map((image) => image.path);
}

/** E_DATA for a folder without images, with what it holds instead. */
export function noImage(folder: string, leftOut: LeftOut, context: ReadContext = CONTEXT): BatchCamError {
  const found = leftOut.isEmpty ? "no file" : leftOut.describe();
  const looked = `looked for ${IMAGE_EXTENSIONS.join(" ")} in it and its subfolders, found ${found}`;
  return dataError(folder, `holds no image: ${looked}`, context);
}

async function isFile(path: string): Promise<boolean> {
  try {
    const found = await stat(path);
    if (!found.isFile() && !found.isDirectory())
      throw dataError(path, "expected a file or a folder, got a named pipe, a socket or a device", CONTEXT);
    return found.isFile();
  } catch (error) {
    if (error instanceof BatchCamError) throw error;
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
  const known = [...READ_OPTIONS, "batchSize", "concurrency", "onError"] as const;
  const { batchSize = 32, concurrency, onError, ...reading } = optionsOf("readImages", options, known);
  checkReadOptions("readImages", reading);
  const ahead = concurrency ?? Math.min(4, availableParallelism());
  const list = itemsOf("readImages: paths", paths, "a list of paths");
  list.forEach((path, index) => {
    expectPath(`readImages: paths[${index}]`, path);
  });
  expectInteger("readImages: batchSize", batchSize, 1);
  expectInteger("readImages: concurrency", ahead, 1, 64);
  if (onError !== undefined) expectFunction("readImages: onError", onError);
  return inBatches(inOrder(list, ahead, reading), batchSize, onError);
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
