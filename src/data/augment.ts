import { expectInteger, expectNumber, optionsOf } from "../arguments.ts";
import { expectShapes } from "../tensor/expect.ts";
import { affineGrid, gridSample } from "../tensor/grid-sample.ts";
import { type Tensor, tensor, tidy } from "../tensor/index.ts";

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

export interface Augmented {
  /** (B, C, H, W) in [0, 1] */
  images: Tensor;
  /**
   * (B, 2, 3): where each image's geometry takes a place of the new image from, in coordinates from −1 to 1; null where no
   * geometry changes.
   */
  geometry: Tensor | null;
}

/** The draws of one image. */
interface Draw {
  dx: number;
  dy: number;
  radians: number;
  zoom: number;
  mirrored: boolean;
  brightness: number;
  /** top, left, bottom, right, as shares; null for most. */
  erased: readonly [number, number, number, number] | null;
}

/**
 * Changes each image of a batch by chance: geometry in one bilinear sampling, what comes from beyond the border being the border's own
 * pixels, then brightness, then an erased rectangle.
 *
 * @param images (B, C, H, W) in [0, 1]
 * @param indices (B): the images' places in their split, of which each has draws of its own
 */
export function augment(images: Tensor, indices: Int32Array, options: AugmentOptions & AugmentKey): Augmented {
  const { B = 0, H = 0, W = 0 } = expectShapes("augment", { images: [images, "B C H W"] });
  const { seed, epoch, ...amounts } = checkedAugment(options);
  const draws = Array.from(indices, (index) => drawOf(amounts, uniforms(seed, epoch, index)));
  if (draws.length !== B) expectInteger("augment: the number of indices", draws.length, B, B);
  const { shift = 0, rotate = 0, scale = 0, flip = false } = amounts;
  const moved = shift > 0 || rotate > 0 || scale > 0 || flip;
  const geometry = moved
    ? tensor(
        draws.flatMap((draw) => matrixOf(draw, W / H)),
        { shape: [B, 2, 3], dtype: "float32" },
      )
    : null;
  const result = tidy(() => {
    const sampled = geometry === null ? images : warp(images, geometry, "border");
    return erase(brighten(sampled, draws, amounts), draws);
  });
  return { images: result, geometry };
}

/** Whether these options change anything. */
export function augments({
  shift = 0,
  rotate = 0,
  scale = 0,
  flip = false,
  erase: share = 0,
  brightness = 0,
}: AugmentOptions): boolean {
  return flip || [shift, rotate, scale, share, brightness].some((most) => most > 0);
}

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

/** x (B, …, H, W) seen through a geometry (B, 2, 3); beyond its border lies the border, or zeros. */
export function warp(x: Tensor, geometry: Tensor, beyond: "border" | "zeros"): Tensor {
  return gridSample(x, affineGrid(geometry, x.sizes), { padding: beyond });
}

/**
 * The geometry that undoes another, (B, 2, 3): a map of an augmented image, warped by it, lies as the image did before, where
 * prototypes and masks are.
 */
export function inverseGeometry(geometry: Tensor): Tensor {
  const values = geometry.data() as Float32Array;
  const inverse = new Float32Array(values.length);
  for (let at = 0; at < values.length; at += 6) {
    const [a = 0, b = 0, x = 0, c = 0, d = 0, y = 0] = values.subarray(at, at + 6);
    const determinant = a * d - b * c;
    inverse.set(
      [d, -b, b * y - d * x, -c, a, c * x - a * y].map((value) => value / determinant),
      at,
    );
  }
  return tensor(inverse, { shape: [...geometry.sizes], dtype: "float32" });
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
function matrixOf({ dx, dy, radians, zoom, mirrored }: Draw, aspect: number): number[] {
  const [cos, sin] = [Math.cos(radians) / zoom, Math.sin(radians) / zoom];
  const side = mirrored ? -1 : 1;
  const [x, y] = [-2 * dx, -2 * dy];
  const linear = [side * cos, (side * sin) / aspect, -sin * aspect, cos] as const;
  const [a, b, c, d] = linear;
  return [a, b, a * x + b * y, c, d, c * x + d * y];
}

function brighten(images: Tensor, draws: readonly Draw[], { brightness = 0 }: AugmentOptions): Tensor {
  if (brightness === 0) return images;
  const factors = tensor(
    draws.map((draw) => draw.brightness),
    { shape: [draws.length, 1, 1, 1], dtype: "float32" },
  );
  return images.mul(factors).clamp(0, 1);
}

function erase(images: Tensor, draws: readonly Draw[]): Tensor {
  if (draws.every(({ erased }) => erased === null)) return images;
  const [batch = 0, , height = 0, width = 0] = images.sizes;
  const kept = new Float32Array(batch * height * width).fill(1);
  for (const [i, { erased }] of draws.entries()) {
    if (erased === null) continue;
    const [top, left, bottom, right] = erased;
    const [from, to] = [Math.round(left * width), Math.max(Math.round(right * width), Math.round(left * width) + 1)];
    for (
      let row = Math.round(top * height);
      row < Math.max(Math.round(bottom * height), Math.round(top * height) + 1);
      row++
    )
      kept.fill(0, (i * height + row) * width + from, (i * height + row) * width + Math.min(to, width));
  }
  const mask = tensor(kept, { shape: [batch, 1, height, width], dtype: "float32" });
  return images.mul(mask).add(mask.mul(-0.5).add(0.5));
}
