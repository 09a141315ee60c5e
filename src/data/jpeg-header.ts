import type { Metadata } from "sharp";

type About = Pick<Metadata, "format" | "width" | "height" | "depth" | "space" | "hasAlpha" | "autoOrient">;

const APP1 = 0xe1; // EXIF, with an orientation perhaps, or XMP
const FRAMES: ReadonlySet<number> = new Set([0xc0, 0xc1, 0xc2]); // baseline, extended and progressive

/**
 * What the header of a plain JPEG file says: 8 bits, grey or YCbCr, without EXIF. Null for any other file, of which sharp has to be
 * asked, at the cost of a tenth of decoding a small image.
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
