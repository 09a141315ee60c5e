import { createRequire } from "node:module";
import { describeValue } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";

/** What is used of libheif-js, which has no types of its own. */
interface LibHeif {
  HeifDecoder: new () => { decode(bytes: Uint8Array): HeifImage[]; decoder?: { delete(): void } };
}

interface HeifImage {
  get_width(): number;
  get_height(): number;
  display(
    target: { data: Uint8ClampedArray; width: number; height: number },
    done: (displayed: { data: Uint8ClampedArray } | null) => void,
  ): void;
  free(): void;
}

/** Brands of HEIF files whose images are coded by HEVC: sharp reads those of AV1 alone. */
const BRANDS = ["heic", "heix", "hevc", "hevx", "heim", "heis", "mif1", "msf1"];

export function isHeic(bytes: Uint8Array): boolean {
  const text = Buffer.from(bytes.subarray(4, 12)).toString("latin1");
  return text.startsWith("ftyp") && BRANDS.includes(text.slice(4)) && !hasBrand(bytes, "avif");
}

/** A file of AV1 may call itself "mif1", and names "avif" among the brands that it is compatible with. */
function hasBrand(bytes: Uint8Array, brand: string): boolean {
  const length = Buffer.from(bytes.subarray(0, 4)).readUInt32BE();
  return Buffer.from(bytes.subarray(8, Math.min(length, 256)))
    .toString("latin1")
    .includes(brand);
}

export interface HeicImage {
  /** Upright. */
  readonly width: number;
  readonly height: number;
  decode(): Promise<{ data: Uint8Array; width: number; height: number; channels: 4 }>;
}

/**
 * Opens a HEIC file, as phones write them, by libheif in WebAssembly: turned upright, 8 bits, first image. Colours are taken as sRGB.
 *
 * @throws what `fault` makes of a problem: a damaged file; E_NATIVE if libheif-js is not installed
 */
export async function decodeHeic(bytes: Uint8Array, fault: (problem: string) => Error): Promise<HeicImage> {
  const { HeifDecoder } = loadLibHeif();
  const images = attempt(() => new HeifDecoder().decode(bytes), fault);
  const [image] = images;
  if (image === undefined) throw fault("is a HEIC file that is damaged or cut short");
  const [width, height] = [image.get_width(), image.get_height()];
  const decode = async () => {
    const target = { data: new Uint8ClampedArray(width * height * 4), width, height };
    const shown = await new Promise<typeof target | { data: Uint8ClampedArray } | null>((resolve) => {
      attempt(() => image.display(target, resolve), fault);
    });
    for (const own of images) own.free();
    if (shown === null) throw fault("is a HEIC file that is damaged or cut short");
    const { buffer, byteOffset, length } = shown.data;
    return { data: new Uint8Array(buffer, byteOffset, length), width, height, channels: 4 as const };
  };
  return { width, height, decode };
}

function attempt<T>(decode: () => T, fault: (problem: string) => Error): T {
  try {
    return decode();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : describeValue(cause);
    throw fault(`is a HEIC file that is damaged (${reason})`);
  }
}

function loadLibHeif(): LibHeif {
  try {
    return createRequire(import.meta.url)("libheif-js/wasm-bundle") as LibHeif;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split("\n")[0] : describeValue(cause);
    throw new BatchCamError(
      "E_NATIVE",
      `readImage: libheif-js cannot be loaded (${reason}); run \`npm install\` again`,
      {
        cause,
      },
    );
  }
}
