import { counted } from "../../counted.ts";
import { BatchCamError } from "../../errors.ts";

/** Pixels of a picture in [0, 1]: grey `(H, W)` or colour `(3, H, W)`, row by row, channel first as tensors are. */
export interface Picture {
  pixels: Float32Array;
  height: number;
  width: number;
}

/**
 * Number of channels of a picture, 1 or 3, found from its length.
 *
 * @param what the operation and argument in the error's message, such as "camFigure: rows[0].cells[2]"
 * @throws E_ARGUMENT if height or width is not a positive whole number, E_SHAPE if the length fits neither 1 nor 3 channels
 */
export function channelsOf(picture: Picture, what: string): 1 | 3 {
  const { pixels, height, width } = picture;
  for (const [name, side] of Object.entries({ height, width })) {
    if (!Number.isInteger(side) || side < 1) {
      throw new BatchCamError("E_ARGUMENT", `${what}: ${name} must be a positive whole number, got ${String(side)}`);
    }
  }
  if (!(pixels instanceof Float32Array)) {
    const got = (pixels as unknown)?.constructor?.name ?? String(pixels);
    throw new BatchCamError("E_ARGUMENT", `${what}: pixels must be a Float32Array with values from 0 to 1, got ${got}`);
  }
  const size = height * width;
  if (pixels.length === size) return 1;
  if (pixels.length === 3 * size) return 3;
  throw new BatchCamError(
    "E_SHAPE",
    `${what}: a ${height}x${width} picture must hold ${size} (grey) or ${3 * size} (colour) values, got ${pixels.length}`,
  );
}

/** Whether a map is dead: zero everywhere. */
export function isDead(map: Float32Array): boolean {
  return map.every((value) => value === 0);
}

/**
 * Checks that a picture is a map: one channel of the stated size.
 *
 * @throws E_SHAPE if it is not, and the errors of `channelsOf`
 */
export function expectMap(picture: Picture, what: string): void {
  if (channelsOf(picture, what) === 1) return;
  const { pixels, height, width } = picture;
  throw new BatchCamError(
    "E_SHAPE",
    `${what}: a ${height}x${width} map must hold ${counted(height * width, "value")}, got ${pixels.length}`,
  );
}
