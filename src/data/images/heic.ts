import { createRequire } from "node:module";
import { describeValue } from "../../arguments.ts";
import { BatchCamError } from "../../errors.ts";

/** The part of libheif-js that is used here. The package has no types of its own. */
interface LibHeif {
  HeifDecoder: new () => { decode(bytes: Uint8Array): HeifImage[] };
  heif_js_decode_image2(handle: unknown, colorspace: unknown, chroma: unknown): DecodedImage | null;
  heif_image_release(image: unknown): void;
  heif_colorspace: { heif_colorspace_RGB: unknown };
  heif_chroma: { heif_chroma_interleaved_RGBA: unknown };
}

interface HeifImage {
  readonly handle: unknown;
  get_width(): number;
  get_height(): number;
  free(): void;
}

/** The result of libheif. `code` is set if decoding failed. */
interface DecodedImage {
  code?: number;
  image: unknown;
  channels?: { data: Uint8Array; width: number; height: number; stride: number }[];
}

/** Brands of HEIF files whose images are coded by HEVC. sharp reads only HEIF files coded by AV1. */
const BRANDS = ["heic", "heix", "hevc", "hevx", "heim", "heis", "mif1", "msf1"];

export function isHeic(bytes: Uint8Array): boolean {
  const text = Buffer.from(bytes.subarray(4, 12)).toString("latin1");
  return text.startsWith("ftyp") && BRANDS.includes(text.slice(4)) && !hasBrand(bytes, "avif");
}

/**
 * Whether a HEIF file names a brand among its compatible brands. A file coded by AV1 may have the main brand "mif1",
 * but then lists "avif" as compatible.
 */
function hasBrand(bytes: Uint8Array, brand: string): boolean {
  const length = Buffer.from(bytes.subarray(0, 4)).readUInt32BE();
  return Buffer.from(bytes.subarray(8, Math.min(length, 256)))
    .toString("latin1")
    .includes(brand);
}

export interface HeicImage {
  /** Width of the upright image. */
  readonly width: number;
  readonly height: number;
  decode(): Promise<{ data: Uint8Array; width: number; height: number; channels: 4 }>;
}

/**
 * Opens a HEIC file, the format of many phones, with libheif in WebAssembly. The result is the first image, upright, in
 * 8 bits. Its colours are assumed to be sRGB.
 *
 * @throws the error that `fault` makes of a problem, if the file is damaged; E_NATIVE if libheif-js is not installed
 */
export async function decodeHeic(bytes: Uint8Array, fault: (problem: string) => Error): Promise<HeicImage> {
  const library = loadLibHeif();
  const images = attempt(() => new library.HeifDecoder().decode(bytes), fault);
  const [image] = images;
  if (image === undefined) throw fault(DAMAGED);
  const [width, height] = [image.get_width(), image.get_height()];
  const decode = async () => {
    const data = attempt(() => pixelsOf(library, image, { width, height }), fault);
    for (const own of images) own.free();
    if (data === null) throw fault(DAMAGED);
    return { data, width, height, channels: 4 as const };
  };
  return { width, height, decode };
}

const DAMAGED = "is a HEIC file that is damaged or cut short";

/**
 * Decodes to RGBA, row by row; null if libheif decodes nothing. The library's own `display` is not used: it decodes in
 * a timer, and there an abort of WebAssembly on a damaged file would end the process.
 */
function pixelsOf(
  library: LibHeif,
  image: HeifImage,
  { width, height }: { width: number; height: number },
): Uint8Array | null {
  const { heif_colorspace: colours, heif_chroma: layouts } = library;
  const found = library.heif_js_decode_image2(
    image.handle,
    colours.heif_colorspace_RGB,
    layouts.heif_chroma_interleaved_RGBA,
  );
  const [plane] = found?.channels ?? [];
  if (!found || found.code || plane === undefined) return null;
  try {
    if (plane.width !== width || plane.height !== height || plane.stride < 4 * width) return null;
    const pixels = new Uint8Array(width * height * 4);
    for (let row = 0; row < height; row++)
      pixels.set(plane.data.subarray(row * plane.stride, row * plane.stride + 4 * width), row * 4 * width);
    return pixels;
  } finally {
    library.heif_image_release(found.image);
  }
}

/**
 * Runs libheif with its console messages suppressed. An exception can leave its memory in any state, so the library is
 * then loaded again for the next file.
 */
function attempt<T>(decode: () => T, fault: (problem: string) => Error): T {
  const { log } = console;
  console.log = () => {};
  try {
    return decode();
  } catch (cause) {
    forgetLibHeif();
    const reason = cause instanceof Error ? cause.message : describeValue(cause);
    throw fault(`is a HEIC file that is damaged (${reason})`);
  } finally {
    console.log = log;
  }
}

const require = createRequire(import.meta.url);

function loadLibHeif(): LibHeif {
  try {
    return require("libheif-js/wasm-bundle") as LibHeif;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split("\n")[0] : describeValue(cause);
    throw new BatchCamError(
      "E_NATIVE",
      `readImage: libheif-js cannot be loaded (${reason}); run \`npm install\` again`,
      { cause },
    );
  }
}

function forgetLibHeif(): void {
  for (const path of Object.keys(require.cache)) if (/[\\/]libheif-js[\\/]/.test(path)) delete require.cache[path];
}
