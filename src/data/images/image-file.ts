import type { Metadata, Sharp } from "sharp";
import { describeValue, expectInteger, expectPath, optionsOf, wrongArgument } from "../../arguments.ts";
import { counted, grouped } from "../../counted.ts";
import { BatchCamError } from "../../errors.ts";
import { dataError, type ReadContext, readFileBytes } from "../../io/internal.ts";
import { type About, decodeImage, reasonOf } from "./decode.ts";
import { foreignKind, IMAGE_FORMATS, READABLE } from "./format.ts";
import { plainJpeg, tiffBands } from "./headers.ts";
import type { Background } from "./pixels.ts";
import { openRaw } from "./raw-formats.ts";
import type { ImageFile, ReadImageOptions } from "./read-options.ts";
import { IMAGE_FITS } from "./resize.ts";

export type { ImageFile, ReadImageOptions };

const DEFAULT_MAX_PIXELS = 100_000_000;
const CONTEXT: ReadContext = { operation: "readImage", remedy: "name an image file that you may read" };
const DAMAGED: ReadContext = { operation: "readImage", remedy: "get the file again from its source" };
/**
 * Version of the decoder. It must be increased whenever the same file would be decoded to different pixels, so that
 * cached images are not used.
 */
export const DECODER_VERSION = 2;

/**
 * Reads a PNG, JPEG, WebP, TIFF, GIF, AVIF, BMP or HEIC file, recognised by its content rather than its name, as uint8
 * (C, H, W) in sRGB. `notes` of the result say which of these conversions were made:
 *
 * - the image is rotated upright by its EXIF orientation;
 * - embedded colour profiles and CMYK are converted to sRGB, and 16 bits are scaled to 8;
 * - transparent pixels are blended with `background`;
 * - only the first frame of an animation or page of a TIFF is read;
 * - of an RGB TIFF with extra bands that are not alpha, only the first three bands are read.
 *
 * Resizing is bilinear with antialiasing; see `resizeBilinear`.
 *
 * @throws E_ARGUMENT for invalid options; E_DATA, with the path and a remedy, for a file that is missing, unreadable,
 *   empty, damaged, truncated, not an image, of float samples, or larger than `maxPixels`
 */
export async function readImage(path: string, options: ReadImageOptions): Promise<ImageFile> {
  expectPath("readImage: path", path);
  checkReadOptions("readImage", optionsOf("readImage", options, READ_OPTIONS));
  const bytes = await readFileBytes(path, CONTEXT);
  if (bytes.length === 0) throw dataError(path, "is empty (0 bytes)", DAMAGED);
  const sharp = await loadSharp();
  const { maxPixels = DEFAULT_MAX_PIXELS } = options;
  const raw = await openRaw(bytes, path);
  const about =
    raw?.about ?? plainJpeg(bytes) ?? (await inspect(sharp(bytes, { limitInputPixels: false }), bytes, path));
  expectDecodable(about, maxPixels, path);
  if (raw !== null) {
    const { data, ...size } = await raw.decode();
    return decodeImage(sharp(data, { raw: size, limitInputPixels: maxPixels }), { bytes, about, ...options, path });
  }
  expectKnownBands(bytes, about, path);
  // "error" rather than "warning", because libjpeg also warns about harmless irregularities that every viewer ignores.
  const file = sharp(bytes, { autoOrient: true, failOn: "error", limitInputPixels: maxPixels });
  return decodeImage(file, { bytes, about, ...options, path });
}

export const READ_OPTIONS = [
  "channels",
  "size",
  "fit",
  "background",
  "maxPixels",
] as const satisfies (keyof ReadImageOptions)[];

/** Throws E_ARGUMENT for invalid options of `readImage`. */
export function checkReadOptions(operation: string, options: ReadImageOptions): void {
  const { channels, size, fit = "cover", background = WHITE, maxPixels } = options;
  if (channels !== 1 && channels !== 3) throw wrongArgument(`${operation}: channels`, "1 or 3", channels);
  if (size !== undefined) {
    if (!Array.isArray(size) || size.length !== 2)
      throw wrongArgument(`${operation}: size`, "[height, width]", size as unknown);
    for (const side of size) expectInteger(`${operation}: size`, side, 1, 16384);
  }
  if (!IMAGE_FITS.includes(fit)) throw wrongArgument(`${operation}: fit`, IMAGE_FITS.join(", "), fit);
  if (!Array.isArray(background) || background.length !== 3)
    throw wrongArgument(`${operation}: background`, "[red, green, blue]", background as unknown);
  for (const value of background) expectInteger(`${operation}: background`, value, 0, 255);
  if (maxPixels !== undefined) expectInteger(`${operation}: maxPixels`, maxPixels, 1);
}

const WHITE: Background = [255, 255, 255];

/**
 * Loads sharp when the first image is read rather than with the library, because it takes longer to load than
 * everything else together.
 */
async function loadSharp(): Promise<typeof import("sharp")["default"]> {
  try {
    const { default: sharp } = await import("sharp");
    sharp.concurrency(1); // one thread for each image, because several images are decoded at the same time
    sharp.cache(false); // each image is read only once
    return sharp;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split("\n")[0] : describeValue(cause);
    const remedy = "run `npm install` again, with optional packages";
    throw new BatchCamError("E_NATIVE", `readImage: the image library sharp cannot be loaded (${reason}); ${remedy}`, {
      cause,
    });
  }
}

async function inspect(file: Sharp, bytes: Uint8Array, path: string): Promise<Metadata> {
  try {
    return await file.metadata();
  } catch (cause) {
    const reason = reasonOf(cause);
    if (!reason.includes("unsupported image format"))
      throw dataError(path, `is damaged or cut short (${reason})`, DAMAGED, cause);
    const kind = foreignKind(bytes);
    const problem = `is not an image that can be read${kind ? `, but ${kind}` : ", or its beginning is damaged"}`;
    throw dataError(path, problem, { ...CONTEXT, remedy: `${READABLE}: convert it, or name another file` }, cause);
  }
}

function expectDecodable({ format, width, height, depth, space }: About, maxPixels: number, path: string): void {
  if (!IMAGE_FORMATS.has(format)) {
    throw dataError(path, `is ${format}`, { ...CONTEXT, remedy: `${READABLE}: convert it, or name another file` });
  }
  if (width * height > maxPixels) {
    const remedy = "make it smaller, or allow more with maxPixels";
    const problem = `is ${width}x${height}, ${counted(width * height, "pixel", grouped)}, more than maxPixels ${grouped(maxPixels)}`;
    throw dataError(path, problem, { ...CONTEXT, remedy, options: ["maxPixels"] });
  }
  if (depth !== "uchar" && depth !== "ushort") {
    const problem = `has ${depth} samples (${space}), whose value for white is not known`;
    throw dataError(path, problem, { ...CONTEXT, remedy: "save it with 8 or 16 bits" });
  }
}

/**
 * Refuses a TIFF file with extra bands whose meaning is unknown. sharp would treat every band after the colour as
 * alpha, so the file's own header is read.
 */
function expectKnownBands(bytes: Uint8Array, { format }: About, path: string): void {
  const bands = format === "tiff" ? tiffBands(bytes) : null;
  if (bands === null || bands.others === 0 || bands.colour === 3) return;
  const kind = bands.colour === 1 ? "grey" : "CMYK";
  const count = bands.colour + bands.others + (bands.alpha ? 1 : 0);
  const problem = `has ${counted(count, "band")}: ${kind}, and ${bands.others} whose meaning the file does not say`;
  throw dataError(path, problem, { ...CONTEXT, remedy: "save the one band, or the three, that are to be read" });
}
