import type { Metadata } from "sharp";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/**
 * The largest number of significant bits that a PNG file's sBIT chunk names; null for files that are not PNG or have no
 * such chunk.
 *
 * Source: Portable Network Graphics (Third Edition), 5.3 (chunks) and 11.3.2.7 (sBIT).
 */
export function significantBits(bytes: Uint8Array): number | null {
  if (SIGNATURE.some((byte, i) => bytes[i] !== byte)) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = SIGNATURE.length; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (type === "IDAT") return null; // sBIT comes before the image data
    if (type === "sBIT") return Math.max(0, ...bytes.subarray(at + 8, at + 8 + Math.min(length, 4))) || null;
    at += 12 + length;
  }
  return null;
}

type About = Pick<Metadata, "format" | "width" | "height" | "depth" | "space" | "hasAlpha" | "autoOrient">;

const APP1 = 0xe1; // EXIF, which may have an orientation, or XMP
const FRAMES: ReadonlySet<number> = new Set([0xc0, 0xc1, 0xc2]); // baseline, extended and progressive

/**
 * Reads the header of a plain JPEG file: 8 bits, grey or YCbCr, without EXIF. Returns null for any other file, for
 * which sharp must be asked. Asking sharp takes a tenth of the time of decoding a small image, so the common case is
 * handled here.
 */
export function plainJpeg(bytes: Uint8Array): About | null {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return null;
  const word = (at: number) => ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  let at = 2;
  while (at + 9 < bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1] as number;
    if (marker === APP1) return null;
    if (FRAMES.has(marker)) {
      const [height, width, components] = [word(at + 5), word(at + 7), bytes[at + 9]];
      if (bytes[at + 4] !== 8 || height * width === 0 || (components !== 1 && components !== 3)) return null;
      const space = components === 1 ? "b-w" : "srgb";
      return { format: "jpeg", width, height, depth: "uchar", space, hasAlpha: false, autoOrient: { width, height } };
    }
    at += 2 + word(at + 2);
  }
  return null;
}

/** The meaning of the bands of a TIFF file's first page. */
export interface TiffBands {
  /** Number of colour bands: 1 for grey or a palette, 3 for RGB and the like, 4 for CMYK. */
  readonly colour: number;
  /** Whether the band after the colour is alpha. */
  readonly alpha: boolean;
  /** Number of bands that are neither colour nor alpha, such as near infrared, depth or a mask. */
  readonly others: number;
}

const SAMPLES_PER_PIXEL = 277;
const PHOTOMETRIC = 262;
const EXTRA_SAMPLES = 338;
const COLOUR_BANDS: ReadonlyMap<number, number> = new Map([
  [2, 3], // RGB
  [5, 4], // CMYK
  [6, 3], // YCbCr
  [8, 3], // CIE Lab
  [9, 3], // ICC Lab
  [10, 3], // ITU Lab
]);
/** Values of ExtraSamples that mean alpha: 1 is premultiplied, 2 is not. */
const ALPHA = [1, 2];

/**
 * Reads from the header of a TIFF or BigTIFF file which bands are colour, alpha or neither. This is needed because
 * sharp reports every band after the colour as alpha. Returns null for other files and for a malformed header.
 *
 * Source: TIFF 6.0, sections 2 (header and directory) and 18 (ExtraSamples); the BigTIFF design by Aware Systems.
 */
export function tiffBands(bytes: Uint8Array): TiffBands | null {
  try {
    return bandsOf(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch (error) {
    if (error instanceof RangeError) return null; // an offset beyond the end of the file; the decoder will report the damage
    throw error;
  }
}

function bandsOf(view: DataView): TiffBands | null {
  const order = view.getUint16(0);
  if (order !== 0x4949 && order !== 0x4d4d) return null;
  const little = order === 0x4949;
  const version = view.getUint16(2, little);
  if (version !== 42 && version !== 43) return null;
  const tags = readTags(view, little, version === 43);
  const samples = tags.get(SAMPLES_PER_PIXEL) ?? 1;
  const colour = COLOUR_BANDS.get(tags.get(PHOTOMETRIC) ?? 1) ?? 1;
  const alpha = samples > colour && ALPHA.includes(tags.get(EXTRA_SAMPLES) ?? 0);
  return { colour, alpha, others: Math.max(0, samples - colour - (alpha ? 1 : 0)) };
}

/** The first value of each tag of type SHORT in the first directory. */
function readTags(view: DataView, little: boolean, big: boolean): Map<number, number> {
  const wide = (at: number) => (big ? Number(view.getBigUint64(at, little)) : view.getUint32(at, little));
  const directory = wide(big ? 8 : 4);
  const count = big ? wide(directory) : view.getUint16(directory, little);
  const [start, size, room] = big ? [directory + 8, 20, 8] : [directory + 2, 12, 4];
  const tags = new Map<number, number>();
  for (let i = 0; i < count; i++) {
    const entry = start + size * i;
    if (view.getUint16(entry + 2, little) !== 3) continue;
    const values = wide(entry + 4);
    const place = entry + size - room;
    tags.set(view.getUint16(entry, little), view.getUint16(2 * values <= room ? place : wide(place), little));
  }
  return tags;
}
