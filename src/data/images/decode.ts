import type { Metadata, Sharp } from "sharp";
import { describeValue } from "../../arguments.ts";
import { counted, wordFor } from "../../counted.ts";
import { dataError, type ReadContext } from "../../io/internal.ts";
import { IMAGE_FORMATS } from "./format.ts";
import { significantBits, tiffBands } from "./headers.ts";
import { type Background, depthOf, toPlanar } from "./pixels.ts";
import type { ImageFile, ReadImageOptions } from "./read-options.ts";
import { cropOrPad, innerSize, resizeBilinear } from "./resize.ts";

/** The properties of an image that are known before it is decoded. */
export type About = Pick<
  Metadata,
  "format" | "width" | "height" | "depth" | "space" | "hasAlpha" | "autoOrient" | "pages" | "orientation"
>;

interface Job extends ReadImageOptions {
  path: string;
  bytes: Uint8Array;
  about: About;
}

const WHITE: Background = [255, 255, 255];
const DAMAGED: ReadContext = { operation: "readImage", remedy: "get the file again from its source" };

/**
 * Larger images are shrunk by libvips, which is faster because it uses threads of its own, but does not match
 * torchvision's resizing exactly.
 */
const MOST_EXACT_PIXELS = 2 ** 20;

/** Decodes an image that sharp can read, and converts it to the requested size and channels. */
export async function decodeImage(file: Sharp, job: Job): Promise<ImageFile> {
  const { path, about, channels, size, fit = "cover", background = WHITE } = job;
  const original = { ...about.autoOrient, format: IMAGE_FORMATS.get(about.format) ?? about.format };
  const inner = size === undefined ? undefined : innerSize(original, size, fit);
  const others = about.format === "tiff" ? (tiffBands(job.bytes)?.others ?? 0) : 0;
  const early = inner !== undefined && others === 0 && isLargeReduction(original, inner);
  const source = early
    ? file.resize({ height: inner[0], width: inner[1], fit: "fill", kernel: "linear", fastShrinkOnLoad: false })
    : file;
  const { data, info } = await rawPixels(source, about, path);
  const notes = notesOf(about, others);
  const { samples, white } = samplesOf(data, job, notes);
  const { height, width } = info;
  const alpha = about.hasAlpha && (others === 0 || tiffBands(job.bytes)?.alpha === true);
  const bands = { samples, bands: info.channels, alpha, white, size: height * width };
  const { pixels, transparent } = toPlanar(bands, channels, background);
  if (transparent) notes.push(`transparent pixels blended with rgb(${background.join(", ")})`);
  const whole = { pixels, height, width };
  if (size === undefined || inner === undefined) return { path, ...whole, channels, original, notes };
  const fitted = cropOrPad(resizeBilinear(whole, inner), size, background);
  return { path, ...fitted, channels, original, notes };
}

type Size = { height: number; width: number };

function isLargeReduction({ height, width }: Size, [newHeight, newWidth]: readonly [number, number]): boolean {
  return newHeight <= height && newWidth <= width && height * width > MOST_EXACT_PIXELS;
}

async function rawPixels(file: Sharp, { space, depth, hasAlpha }: About, path: string) {
  const grey = (space === "b-w" || space === "grey16") && !hasAlpha;
  const wide = depth === "ushort";
  const target = wide ? (grey ? "grey16" : "rgb16") : grey ? "b-w" : "srgb";
  try {
    return await file
      .toColourspace(target)
      .raw({ depth: wide ? "ushort" : "uchar" })
      .toBuffer({ resolveWithObject: true });
  } catch (cause) {
    throw dataError(path, `is damaged or cut short (${reasonOf(cause)})`, DAMAGED, cause);
  }
}

/**
 * The samples and the value of white. For 16 bits white is 65535. The exception is a PNG file whose sBIT chunk names
 * fewer bits and whose samples show that they were not scaled to 16 bits as the standard requires.
 */
function samplesOf(data: Buffer, { about, bytes }: Job, notes: string[]) {
  if (about.depth !== "ushort") return { samples: data, white: 255 };
  const samples = new Uint16Array(data.buffer, data.byteOffset, data.length / 2);
  const { bits, finest } = depthOf(samples);
  const named = about.format === "png" ? (significantBits(bytes) ?? 16) : 16;
  if (named < 16 && bits <= named && finest) {
    notes.push(`${counted(named, "bit")} scaled to 8`);
    return { samples, white: 2 ** named - 1 };
  }
  const dark = `, of which ${bits} are used: multiply the samples by ${2 ** (16 - bits)} if ${2 ** bits - 1} is white`;
  notes.push(`16 bits scaled to 8${bits < 16 ? dark : ""}`);
  return { samples, white: 65535 };
}

function notesOf({ pages = 1, format, orientation = 1, space }: About, others: number): string[] {
  const notes: string[] = [];
  if (pages > 1) notes.push(`first of ${pages} ${format === "tiff" ? "pages" : "frames"}`);
  if (orientation > 1) notes.push(`turned upright (EXIF orientation ${orientation})`);
  if (space === "cmyk") notes.push("CMYK converted to sRGB");
  if (others > 0) notes.push(`first 3 bands, without ${others} more that ${wordFor(others, "is", "are")} not alpha`);
  return notes;
}

/** The first line of sharp's error message, without its "Input buffer" prefix. */
export function reasonOf(cause: unknown): string {
  const [first = ""] = (cause instanceof Error ? cause.message : describeValue(cause)).split("\n");
  return first.replace(/^Input (buffer|file) /, "").trim();
}
