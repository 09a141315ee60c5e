import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import sharp from "sharp";

/** The grey value of each class's squares. */
const SHADES: Readonly<Record<string, number>> = { bird: 60, cat: 120, dog: 180 };

/** Draws a square in its class's grey on black, with a corner that differs from picture to picture. */
export async function drawImage(path: string, { shade, mark }: { shade: number; mark: number }): Promise<void> {
  const side = 16;
  const pixels = Buffer.alloc(side * side);
  for (let y = 4; y < 12; y++) pixels.fill(shade, y * side + 4, y * side + 12);
  pixels[0] = mark % 256;
  pixels[1] = mark >> 8;
  mkdirSync(dirname(path), { recursive: true });
  await sharp(pixels, { raw: { width: side, height: side, channels: 1 } })
    .png()
    .toFile(path);
}

/** Images `from`, `from` + 1, ... of a class: `<folder>/<name>/<number>.png`. */
export async function drawClass(
  folder: string,
  name: string,
  { count, from = 0, shade = SHADES[name] ?? 220 }: { count: number; from?: number; shade?: number },
): Promise<void> {
  for (let i = from; i < from + count; i++)
    await drawImage(join(folder, name, `${i}.png`), { shade, mark: i + 1000 * shade });
}
