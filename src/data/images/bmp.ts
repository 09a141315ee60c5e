import { counted, grouped } from "../../counted.ts";

/** The pixels of a BMP file: rows from top to bottom, with red, green, blue and optionally alpha interleaved. */
export interface BmpImage {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
}

/** The fields of a BMP file's headers that decoding needs. */
export interface BmpHeader {
  readonly width: number;
  readonly height: number;
  /** Whether the first row in the file is the topmost one. */
  readonly topDown: boolean;
  readonly bits: number;
  /** Byte offset of the first row. */
  readonly start: number;
  /** Byte offset of the palette and its number of entries, which is 0 without a palette. */
  readonly palette: { at: number; count: number };
  /** Bit masks of red, green, blue and alpha in a pixel of 16 or 32 bits. */
  readonly masks: readonly [number, number, number, number];
}

type Fault = (problem: string) => Error;

const RGB = 0;
const BIT_FIELDS = 3;
const COMPRESSIONS: Readonly<Record<number, string>> = { 1: "RLE8", 2: "RLE4", 4: "JPEG", 5: "PNG" };

export const isBmp = (bytes: Uint8Array): boolean => bytes[0] === 0x42 && bytes[1] === 0x4d;

/**
 * Reads the headers of an uncompressed BMP file of 1, 4, 8, 16, 24 or 32 bits with Windows headers (40 bytes or more).
 *
 * The libraries that were tried have errors: bmp-ts 1.0.9 stops in the middle of 4-bit images of odd width, fast-bmp
 * 4.0.1 ignores palettes, and decode-bmp 0.2.1 reads the unused byte of 32-bit pixels as alpha.
 *
 * Source: Microsoft, Bitmap Storage, BITMAPFILEHEADER, BITMAPINFOHEADER and BITMAPV4HEADER.
 *
 * @throws the error that `fault` makes of a problem: a truncated or compressed file, or an unsupported kind
 */
export function parseBmpHeader(bytes: Uint8Array, fault: Fault): BmpHeader {
  if (bytes.length < 54) throw fault(`is a BMP file that is cut short (${counted(bytes.length, "byte")})`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const long = (at: number) => view.getUint32(at, true);
  const [start, size, width, rows] = [long(10), long(14), view.getInt32(18, true), view.getInt32(22, true)];
  const [bits, compression, colours] = [view.getUint16(28, true), long(30), long(46)];
  if (size < 40) throw fault(`is a BMP file of an old kind (a header of ${counted(size, "byte")})`);
  if (compression !== RGB && compression !== BIT_FIELDS)
    throw fault(`is a BMP file compressed by ${COMPRESSIONS[compression] ?? `method ${compression}`}`);
  if (![1, 4, 8, 16, 24, 32].includes(bits)) throw fault(`is a BMP file of ${counted(bits, "bit")}`);
  if (width < 1 || rows === 0) throw fault(`is a BMP file of ${width}x${Math.abs(rows)} pixels`);
  const named = compression === BIT_FIELDS && bytes.length >= 70;
  const count = bits > 8 ? 0 : Math.min(colours || 2 ** bits, 2 ** bits);
  const header: BmpHeader = {
    ...{ width, height: Math.abs(rows), topDown: rows < 0, bits, start },
    palette: { at: 14 + size + (named && size === 40 ? 12 : 0), count },
    // In a 32-bit pixel without bit fields the fourth byte is unused. Only headers of 56 bytes or more have an alpha
    // mask.
    masks: named ? [long(54), long(58), long(62), size >= 56 ? long(66) : 0] : usualMasks(bits),
  };
  const needed = start + strideOf(header) * header.height;
  if (needed > bytes.length || header.palette.at + 4 * count > bytes.length)
    throw fault(`is a BMP file that is cut short: ${counted(needed, "byte", grouped)} expected, got ${bytes.length}`);
  return header;
}

/** Decodes the pixels of a BMP file, given its header. */
export function decodeBmp(bytes: Uint8Array, header: BmpHeader): BmpImage {
  const { width, height, topDown, start, masks } = header;
  const channels = masks[3] === 0 ? 3 : 4;
  const data = new Uint8Array(width * height * channels);
  const colourAt = colourReader(bytes, header);
  const stride = strideOf(header);
  for (let row = 0, to = 0; row < height; row++) {
    const from = start + stride * (topDown ? row : height - 1 - row);
    for (let x = 0; x < width; x++, to += channels) colourAt(from, x, data, to);
  }
  return { data, width, height, channels };
}

const strideOf = ({ width, bits }: Pick<BmpHeader, "width" | "bits">): number => 4 * Math.ceil((width * bits) / 32);

const usualMasks = (bits: number): BmpHeader["masks"] =>
  bits === 16 ? [0x7c00, 0x03e0, 0x001f, 0] : [0xff0000, 0xff00, 0xff, 0];

/** Writes the colour of pixel x to `data[to]`, given the byte offset `from` of its row. */
type ColourReader = (from: number, x: number, data: Uint8Array, to: number) => void;

function colourReader(bytes: Uint8Array, { bits, palette, masks }: BmpHeader): ColourReader {
  const copy = (at: number, data: Uint8Array, to: number) => {
    for (let c = 0; c < 3; c++) data[to + c] = bytes[at + 2 - c] as number; // BMP stores blue first
  };
  if (bits === 24) return (from, x, data, to) => copy(from + 3 * x, data, to);
  if (bits <= 8)
    return (from, x, data, to) => {
      const byte = bytes[from + ((x * bits) >> 3)] as number;
      const index = (byte >> (8 - bits - ((x * bits) & 7))) & (2 ** bits - 1);
      if (index < palette.count) copy(palette.at + 4 * index, data, to); // an index beyond the palette stays black
    };
  const fields = masks.map((mask) => ({ mask, shift: mask === 0 ? 0 : 31 - Math.clz32(mask & -mask) }));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return (from, x, data, to) => {
    const pixel = bits === 16 ? view.getUint16(from + 2 * x, true) : view.getUint32(from + 4 * x, true);
    for (const [c, { mask, shift }] of fields.entries())
      if (mask !== 0) data[to + c] = Math.round((((pixel & mask) >>> shift) * 255) / (mask >>> shift));
  };
}
