import { basename, join } from "node:path";
import {
  batchIndices,
  gatherPixels,
  type ImageFile,
  type ImageFit,
  readImage,
  readImages,
  type Split,
} from "../../data/index.ts";
import { placesOfAllClasses, unreadableError } from "../../data/internal.ts";
import type { BatchCamError } from "../../errors.ts";
import { FileError } from "../../io/internal.ts";
import { type Tensor, tensor, tidy } from "../../tensor/index.ts";

/** A picture for people to look at: greyscale (H, W) or RGB (3, H, W), in [0, 1]. */
export interface ShownPicture {
  readonly pixels: Float32Array;
  readonly height: number;
  readonly width: number;
}

/** An image that is going to be passed to a model. */
export interface SourceImage {
  /**
   * The file's name, relative to the data set's folder if it belongs to a split. An image without a file is named by its split and index.
   */
  readonly name: string;
  /** Path of the file, or null if there is none. */
  readonly file: string | null;
  /** Index in the split, or null for a file. */
  readonly index: number | null;
  /** The true class, or null if it is not known. */
  readonly label: number | null;
  /** Changes that were made when the file was read: "first of 12 frames". */
  readonly notes: readonly string[];
  /**
   * Loads the image for people to look at: at the file's resolution, in greyscale for a greyscale model, cropped or padded as the model's
   * input is.
   */
  shown(): Promise<ShownPicture>;
}

/** Some images, and their pixels at the model's input size: (B, C, H, W) in [0, 1]. */
export interface SourceBatch {
  readonly images: readonly SourceImage[];
  readonly pixels: Tensor;
}

export interface FileSourceOptions {
  channels: 1 | 3;
  size: readonly [number, number];
  fit: ImageFit;
  batchSize: number;
  maxPixels?: number | undefined;
  /** Whether to invert the pixels: the model's input is 1 − x, while the shown picture is not changed. */
  invert?: boolean;
  /** Called with the error of a file that cannot be read; the file is then skipped. Without it, one error lists all such files. */
  onError?: ((error: BatchCamError, path: string) => void) | undefined;
  /** Stops after this many readable images. */
  limit?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** The longest side of a picture that is shown, in pixels. */
const SHOWN = 768;

/**
 * Reads image files batch by batch. The caller disposes of each batch's pixels.
 *
 * @throws E_DATA without `onError`, after the last file, if files cannot be read. No batch is yielded after the first of them.
 */
export async function* fileBatches(paths: readonly string[], options: FileSourceOptions): AsyncGenerator<SourceBatch> {
  const { channels, size, fit, batchSize, maxPixels, invert = false, signal } = options;
  const { limit: most = Number.POSITIVE_INFINITY } = options;
  let done = 0;
  const limit = maxPixels === undefined ? {} : { maxPixels };
  const unreadable: BatchCamError[] = [];
  const { onError = (error) => void unreadable.push(error) } = options;
  const reading = { channels, size, fit, batchSize, ...limit, onError };
  for await (const read of readImages(paths, reading)) {
    signal?.throwIfAborted();
    if (unreadable.length > 0) continue; // the other files are only read to find all that must be repaired
    const files = read.slice(0, most - done);
    if (files.length === 0) continue;
    done += files.length;
    const pixels = tidy(() => {
      const bytes = Buffer.concat(files.map((file) => file.pixels));
      const values = tensor(new Uint8Array(bytes), { shape: [files.length, channels, ...size], dtype: "uint8" })
        .to("float32")
        .div(255);
      return invert ? values.neg().add(1) : values;
    });
    yield { images: files.map((file) => sourceOf(file, options)), pixels };
    if (done >= most) return;
  }
  const [first] = unreadable;
  if (first === undefined) return;
  // Nothing would remain if the only file was left out, so its own error and remedy say more.
  if (paths.length === 1) throw first;
  const tooLarge = unreadable.some(({ options: named }) => named.includes("maxPixels"));
  const repair = tooLarge ? "repair them, make large ones smaller or allow more with maxPixels" : "repair them";
  throw unreadableError(unreadable.map(problemWithPath), "explain", repair);
}

/** The problem with a file, named by its path as it was given. */
export function problemWithPath(error: BatchCamError): string {
  return error instanceof FileError ? `${error.path}: ${error.problem}` : error.detail;
}

function sourceOf(file: ImageFile, { channels, size, fit, maxPixels }: FileSourceOptions): SourceImage {
  const shown = async (): Promise<ShownPicture> => {
    const wanted = shownSize(file.original, { size, fit });
    const limit = maxPixels === undefined ? {} : { maxPixels };
    const { pixels, height, width } = await readImage(file.path, { channels, size: wanted, fit, ...limit });
    return { pixels: Float32Array.from(pixels, (value) => value / 255), height, width };
  };
  return { name: basename(file.path), file: file.path, index: null, label: null, notes: file.notes, shown };
}

/**
 * The size of the shown picture: the file's resolution in the aspect ratio that the model sees. That is the aspect ratio of the model's
 * input if the picture is cropped or padded, and the file's own if it is stretched.
 */
function shownSize(
  original: { width: number; height: number },
  { size: [height, width], fit }: Pick<FileSourceOptions, "size" | "fit">,
): [number, number] {
  const across = original.width / width;
  const down = original.height / height;
  const scale = fit === "cover" ? Math.min(across, down) : Math.max(across, down);
  const own = fit === "fill" ? [original.height, original.width] : [height * scale, width * scale];
  const [h, w] = own as [number, number];
  const reduce = Math.min(1, SHOWN / Math.max(h, w));
  return [Math.max(1, Math.round(h * reduce)), Math.max(1, Math.round(w * reduce))];
}

/** Yields `limit` images from all classes of a split, batch by batch. The caller disposes of each batch's pixels. */
export async function* splitBatches(
  split: Split,
  { limit, batchSize, root = null }: { limit: number; batchSize: number; root?: string | null },
): AsyncGenerator<SourceBatch> {
  const labels = Array.from(split.labels.data() as BigInt64Array, Number);
  const chosen = placesOfAllClasses(labels, limit);
  for (const places of batchIndices(chosen.length, { batchSize, shuffle: false })) {
    const indices = places.map((place) => chosen[place] as number);
    const pixels = gatherPixels(split, indices);
    const [, , height, width] = pixels.sizes as [number, number, number, number];
    const shown = (row: number) => async () => ({
      pixels: tidy(() => pixels.select(0, row).data()) as Float32Array,
      height,
      width,
    });
    const images = Array.from(indices, (index, row) => {
      const path = split.paths?.[index];
      const file = path === undefined || root === null ? null : join(root, path);
      const name = path ?? `${split.name} ${index}`;
      return { name, file, index, label: labels[index] as number, notes: [], shown: shown(row) };
    });
    yield { images, pixels };
  }
}
