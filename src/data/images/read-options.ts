import type { Background } from "./pixels.ts";
import type { ImageFit } from "./resize.ts";

// These types are public. They are not in decode.ts, whose declarations mention sharp's: those need a newer TypeScript than ours do.

export interface ReadImageOptions {
  /** 1 for grey, 3 for RGB. The image is converted if necessary. */
  channels: 1 | 3;
  /** Height and width of the result (default: the size of the file). */
  size?: readonly [number, number] | undefined;
  /**
   * "cover" (default) fills the size and crops the excess evenly; "contain" shows the whole image with margins; "fill"
   * distorts it.
   */
  fit?: ImageFit;
  /** Colour of transparent pixels and margins (default: white). */
  background?: Background;
  /**
   * An image of more pixels than this is refused before it is decoded, because a file of one megabyte can expand to a
   * gigabyte of pixels.
   */
  maxPixels?: number;
}

/** A decoded image. */
export interface ImageFile {
  path: string;
  /** (C, H, W), 0 to 255. */
  pixels: Uint8Array;
  channels: 1 | 3;
  height: number;
  width: number;
  /** Size of the upright image before it was resized, and its format: png, jpeg, webp, tiff, gif, avif, bmp or heic. */
  original: { width: number; height: number; format: string };
  /** Descriptions of what reading changed or left out, such as "first of 12 frames". */
  notes: string[];
}
