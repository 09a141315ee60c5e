import { dataError, type ReadContext } from "../../io/internal.ts";
import { decodeBmp, isBmp, parseBmpHeader } from "./bmp.ts";
import type { About } from "./decode.ts";
import { decodeHeic, isHeic } from "./heic.ts";

const CONTEXT: ReadContext = {
  operation: "readImage",
  remedy: "get the file again from its source, or convert it to PNG",
};

/** An image in a format that sharp cannot read, before it is decoded. */
export interface RawImage {
  readonly about: About;
  /** Decodes the pixels to sharp's raw format. */
  decode(): Promise<{ data: Uint8Array; width: number; height: number; channels: 3 | 4 }>;
}

/** Opens BMP and HEIC files, which sharp cannot decode. Returns null for all other files. */
export async function openRaw(bytes: Uint8Array, path: string): Promise<RawImage | null> {
  const fault = (problem: string) => dataError(path, problem, CONTEXT);
  if (isBmp(bytes)) {
    const header = parseBmpHeader(bytes, fault);
    return { about: aboutOf("bmp", header, header.masks[3] !== 0), decode: async () => decodeBmp(bytes, header) };
  }
  if (!isHeic(bytes)) return null;
  const image = await decodeHeic(bytes, fault);
  return { about: aboutOf("heic", image, true), decode: image.decode };
}

function aboutOf(
  format: "bmp" | "heic",
  { width, height }: { width: number; height: number },
  hasAlpha: boolean,
): About {
  const size = { width, height };
  return { format: format as never, ...size, depth: "uchar", space: "srgb", hasAlpha, autoOrient: size };
}
