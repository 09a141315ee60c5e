import { stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { expectBoolean, expectFunction, expectInteger, expectPath, itemsOf, optionsOf } from "../../arguments.ts";
import { BatchCamError } from "../../errors.ts";
import { accessing, dataError, type ReadContext } from "../../io/internal.ts";
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

const CONTEXT: ReadContext = {
  operation: "listImages",
  remedy: "name an image file, or a folder that contains images",
};

export interface ListImagesOptions {
  /**
   * Whether to follow links that leave the folder and links to folders (false). A link to a folder that contains the
   * link is never followed, because it would loop.
   */
  followLinks?: boolean;
  /** Called with one sentence that says how many files of which kinds were left out, if there are any. */
  onWarning?: (message: string) => void;
}

/**
 * Lists the image files of a folder and its subfolders. An image is recognised by the extension of its name
 * (`IMAGE_EXTENSIONS`, in any case). The paths are sorted by character code, so the order is the same on every machine.
 * Hidden files and folders are left out, and without `followLinks` also links to folders and links that leave the
 * folder. If `path` is a file, the result is that file, whatever its name.
 *
 * @throws E_DATA for a path that does not exist or cannot be read, and for a folder without images
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

/** The error for a folder without images (E_DATA). It says what the folder contains instead. */
export function noImage(folder: string, leftOut: LeftOut, context: ReadContext = CONTEXT): BatchCamError {
  const found = leftOut.isEmpty ? "no file" : leftOut.describe();
  const looked = `looked for ${IMAGE_EXTENSIONS.join(" ")} in it and its subfolders, found ${found}`;
  return dataError(folder, `contains no images: ${looked}`, context);
}

async function isFile(path: string): Promise<boolean> {
  const found = await accessing(path, CONTEXT, () => stat(path));
  if (!found.isFile() && !found.isDirectory())
    throw dataError(path, "expected a file or a folder, got a named pipe, a socket or a device", CONTEXT);
  return found.isFile();
}

export interface ReadImagesOptions extends ReadImageOptions {
  /** Number of images in a batch (32). The last batch may have fewer. */
  batchSize?: number;
  /** Number of images that are decoded at the same time (default: the number of cores, at most 4). */
  concurrency?: number;
  /**
   * Called with the error of a file that cannot be read, which is then left out. Without it, the first such error ends
   * the iteration. A failure of the machine (E_IO, such as too many open files) always ends it.
   */
  onError?: (error: BatchCamError, path: string) => void;
}

/**
 * Reads images in the order of their paths, several at a time, and yields them in batches. Without `size` they may
 * differ in size. While the caller works on a batch, the next `concurrency` images are being read.
 *
 * @throws E_ARGUMENT at once for invalid options; during the iteration, the errors of `readImage`
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

/** Yields the results in the order of the paths, while the next `ahead` images are being read. */
async function* inOrder(paths: string[], ahead: number, options: ReadImageOptions): AsyncGenerator<Outcome> {
  const running: Promise<Outcome>[] = [];
  let next = 0;
  while (running.length > 0 || next < paths.length) {
    while (running.length < ahead && next < paths.length) running.push(attempt(paths[next++] as string, options));
    yield (await running.shift()) as Outcome;
  }
}

/**
 * Reads one image and never rejects, so that a read that is abandoned when the caller stops early is not reported as an
 * unhandled rejection.
 */
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
