import { expectNumber, optionsOf } from "../arguments.ts";

/** How much images may change; all that is left out is off. */
export interface AugmentOptions {
  /** Largest shift of either axis, as a share of the image's side. */
  shift?: number;
  /** Largest turn, in degrees, either way. */
  rotate?: number;
  /** Largest change of size, as a share: 0.2 for 0.8 to 1.25 times. */
  scale?: number;
  /** Whether half the images are mirrored, left to right. */
  flip?: boolean;
  /** Share of the images of which a rectangle, 2 % to 20 % of the area, is made grey. */
  erase?: number;
  /** Largest change of brightness, as a share: pixels are multiplied by 1 ± this. */
  brightness?: number;
}

/** Which draws an image gets: a function of these integers alone, whatever batch or worker it comes in. */
export interface AugmentKey {
  seed: number;
  epoch: number;
}

/** The draws of one image. */
export interface Draw {
  dx: number;
  dy: number;
  radians: number;
  zoom: number;
  mirrored: boolean;
  brightness: number;
  /** top, left, bottom, right, as shares; null for most. */
  erased: readonly [number, number, number, number] | null;
}

/** Whether these options change anything. */
export const augments = (options: AugmentOptions): boolean =>
  moves(options) || (options.erase ?? 0) > 0 || (options.brightness ?? 0) > 0;

/** Options of `augment`, each in its range. */
export function checkedAugment<T extends AugmentOptions>(options: T): T {
  const { shift = 0, rotate = 0, scale = 0, erase: share = 0, brightness = 0 } = optionsOf("augment", options);
  for (const [name, value, most] of [
    ["shift", shift, 1],
    ["rotate", rotate, 180],
    ["scale", scale, 0.9],
    ["erase", share, 1],
    ["brightness", brightness, 1],
  ] as const)
    expectNumber(`augment: ${name}`, value, `be from 0 to ${most}`, (n) => n >= 0 && n <= most);
  return options;
}

/** The draws of the images at these places of their split. */
export function drawsOf(indices: Int32Array, options: AugmentOptions & AugmentKey): Draw[] {
  const { seed, epoch, ...amounts } = checkedAugment(options);
  return Array.from(indices, (index) => drawOf(amounts, uniforms(seed, epoch, index)));
}

/** Whether these options move anything. */
export const moves = ({ shift = 0, rotate = 0, scale = 0, flip = false }: AugmentOptions): boolean =>
  flip || shift > 0 || rotate > 0 || scale > 0;

/** Top, left, bottom and right pixel of what is erased, at least one pixel; all zero where nothing is. */
export function erasedPixels({ erased }: Draw, height: number, width: number): [number, number, number, number] {
  if (erased === null) return [0, 0, 0, 0];
  const [top, left, bottom, right] = erased;
  const [y, x] = [Math.min(Math.round(top * height), height - 1), Math.min(Math.round(left * width), width - 1)];
  return [y, x, Math.max(Math.round(bottom * height), y + 1), Math.max(Math.round(right * width), x + 1)];
}

/** A stream of numbers in [0, 1) for an image: a counter through a mixer (SplitMix32), the same on every machine. */
function uniforms(seed: number, epoch: number, index: number): () => number {
  let state = mix(mix(mix(seed >>> 0) ^ Math.floor(seed / 2 ** 32) ^ (epoch + 0x3c6ef372)) ^ index);
  return () => {
    state = (state + 0x9e3779b9) | 0;
    return (mix(state) >>> 0) / 2 ** 32;
  };
}

function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return x ^ (x >>> 15);
}

/** Always as many draws, so that switching one on leaves the others as they were. */
function drawOf(amounts: AugmentOptions, next: () => number): Draw {
  const { shift = 0, rotate = 0, scale = 0, flip = false, erase: share = 0, brightness = 0 } = amounts;
  const either = (most: number) => (2 * next() - 1) * most;
  const [dx, dy] = [either(shift), either(shift)];
  const radians = (either(rotate) * Math.PI) / 180;
  const zoom = (1 - scale) ** either(1);
  const mirrored = next() < 0.5 && flip;
  const bright = 1 + either(brightness);
  const [chance, area, ratio, top, left] = [next(), next(), next(), next(), next()];
  return {
    dx,
    dy,
    radians,
    zoom,
    mirrored,
    brightness: bright,
    erased: chance < share ? rectangle(area, ratio, top, left) : null,
  };
}

/** 2 % to 20 % of the area, from 1:3 to 3:1. */
function rectangle(area: number, ratio: number, top: number, left: number): [number, number, number, number] {
  const size = 0.02 + 0.18 * area;
  const aspect = 3 ** (2 * ratio - 1);
  const [height, width] = [Math.min(1, Math.sqrt(size * aspect)), Math.min(1, Math.sqrt(size / aspect))];
  const [y, x] = [top * (1 - height), left * (1 - width)];
  return [y, x, y + height, x + width];
}

/** Where a place of the new image comes from: mirrored, turned back, shrunk back and shifted back; `aspect` is W / H. */
export function matrixOf({ dx, dy, radians, zoom, mirrored }: Draw, aspect: number): number[] {
  const [cos, sin] = [Math.cos(radians) / zoom, Math.sin(radians) / zoom];
  const side = mirrored ? -1 : 1;
  const [x, y] = [-2 * dx, -2 * dy];
  const linear = [side * cos, (side * sin) / aspect, -sin * aspect, cos] as const;
  const [a, b, c, d] = linear;
  return [a, b, a * x + b * y, c, d, c * x + d * y];
}
