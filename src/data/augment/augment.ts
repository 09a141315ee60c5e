import { expectInteger, wrongArgument } from "../../arguments.ts";
import { type Tensor, tensor, tidy } from "../../tensor/index.ts";
import { affineGrid, augmentImages, channelsLast, expectShapes, gridSample } from "../../tensor/internal.ts";
import { gatherLabelled, imageSource, normalize } from "../batches/loader.ts";
import type { Split } from "../splits/split.ts";
import {
  type AugmentKey,
  type AugmentOptions,
  type Draw,
  drawsOf,
  erasedPixels,
  isRecoloured,
  matrixOf,
  moves,
} from "./draws.ts";
import { needsHistogram, shadesOf } from "./rand-augment.ts";

export interface Augmented {
  /** (B, C, H, W) in [0, 1] */
  images: Tensor;
  /**
   * (B, 2, 3): the affine map of each image from positions in the new image to the positions that they were sampled
   * from, in coordinates from −1 to 1; null if the options change no geometry.
   */
  geometry: Tensor | null;
}

/**
 * Changes each image of a batch at random: first its pixel values (brightness and RandAugment), then its geometry in
 * one bilinear sampling, in which positions outside the image take the nearest border pixel, and finally an erased
 * rectangle.
 *
 * @param images (B, C, H, W) in [0, 1]
 * @param indices (B): the positions of the images in their split, which determine the random draws of each image
 */
export function augment(images: Tensor, indices: Int32Array, options: AugmentOptions & AugmentKey): Augmented {
  const { B = 0, H = 0, W = 0 } = expectShapes("augment", { images: [images, "B C H W"] });
  const draws = drawsOf(indices, options);
  if (draws.length !== B) expectInteger("augment: the number of indices", draws.length, B, B);
  const geometry = moves(options) ? geometryOf(draws, W / H) : null;
  const result = tidy(() => {
    const recoloured = recolour(images, draws);
    return erase(geometry === null ? recoloured : warp(recoloured, geometry, "border"), draws);
  });
  return { images: result, geometry };
}

/**
 * Gathers a batch of a split's images with their labels, augments and normalises them. The result equals that of
 * `augment` followed by `normalize`, in a single pass over the pixels.
 */
export function gatherAugmented(
  split: Split,
  indices: Int32Array,
  options: AugmentOptions & AugmentKey & { channelsLast?: boolean },
): Augmented & { labels: Tensor } {
  const { channelsLast: last = false, ...changes } = options;
  const [, , height = 0, width = 0] = split.images.sizes;
  return tidy(() => {
    const source = imageSource(split.images, indices, split.normalization);
    if (source === null) {
      const { pixels, labels } = gatherLabelled(split, indices);
      const { images, geometry } = augment(pixels, indices, changes);
      const normalized = normalize(images, split.normalization);
      return { images: last ? channelsLast(normalized) : normalized, geometry, labels };
    }
    const draws = drawsOf(indices, changes);
    const geometry = geometryOf(draws, width / height);
    const shades = shadeTables(draws, pixelsOf(split.images, source.indices));
    const rectangles = tensor(
      draws.flatMap((draw) => erasedPixels(draw, height, width)),
      { dtype: "int32" },
    );
    return {
      images: augmentImages(source, { geometry, shades, rectangles }, last),
      geometry: moves(changes) ? geometry : null,
      labels: split.labels.indexSelect(0, source.indices),
    };
  });
}

const geometryOf = (draws: readonly Draw[], aspect: number): Tensor =>
  tensor(
    draws.flatMap((draw) => matrixOf(draw, aspect)),
    { shape: [draws.length, 2, 3], dtype: "float32" },
  );

/**
 * Resamples x (B, C, H, W) by a geometry (B, 2, 3), bilinearly. Positions outside the image take the nearest border
 * pixel ("border") or zero ("zeros").
 */
export function warp(x: Tensor, geometry: Tensor, beyond: "border" | "zeros"): Tensor {
  const { B = 0 } = expectShapes("warp", { x: [x, "B C H W"], geometry: [geometry, "B 2 3"] });
  if (beyond !== "border" && beyond !== "zeros") throw wrongArgument("warp: beyond", '"border" or "zeros"', beyond);
  if (x.numel === 0) throw wrongArgument("warp: x", "images with values", `a tensor [${x.shape.join(", ")}] of ${B}`);
  return gridSample(x, affineGrid(geometry, x.sizes), { padding: beyond });
}

/**
 * The inverse of a geometry, (B, 2, 3). A map of an augmented image that is warped by it is aligned with the original
 * image again, and so with the prototypes and masks.
 */
export function inverseGeometry(geometry: Tensor): Tensor {
  expectShapes("inverseGeometry", { geometry: [geometry, "B 2 3"] });
  if (!geometry.dtype.includes("float"))
    throw wrongArgument("inverseGeometry: geometry", "a floating-point tensor", `a tensor of ${geometry.dtype}`);
  const values = geometry.to("float32").data() as Float32Array;
  const inverse = new Float32Array(values.length);
  for (let at = 0; at < values.length; at += 6) {
    const [a = 0, b = 0, x = 0, c = 0, d = 0, y = 0] = values.subarray(at, at + 6);
    const determinant = a * d - b * c;
    if (determinant === 0)
      throw wrongArgument("inverseGeometry: geometry", "transformations that can be undone", "one of determinant 0");
    inverse.set(
      [d, -b, b * y - d * x, -c, a, c * x - a * y].map((value) => value / determinant),
      at,
    );
  }
  return tensor(inverse, { shape: [...geometry.sizes], dtype: "float32" });
}

/** The images of a batch as bytes, (B, C, H, W), gathered on demand. */
function pixelsOf(images: Tensor, indices: Tensor): Pixels {
  const [, channels = 0, height = 0, width = 0] = images.sizes;
  return { channels, pixels: height * width, bytes: () => images.indexSelect(0, indices).data() as Uint8Array };
}

/**
 * Applies the table of shades to each image, if brightness or RandAugment changes any. Values between two of the 256
 * shades are interpolated linearly.
 */
function recolour(images: Tensor, draws: readonly Draw[]): Tensor {
  const [batch = 0, channels = 0, height = 0, width = 0] = images.sizes;
  const pixels = height * width;
  const places = images.mul(255).clamp(0, 255);
  const bytes = () => places.round().to("uint8").contiguous().data() as Uint8Array;
  if (!draws.some(isRecoloured)) return images;
  const tables = shadeTables(draws, { channels, pixels, bytes });
  const flat = places.reshape([batch * channels, pixels]);
  const lower = flat.floor();
  const at = (shade: Tensor) => tables.gather(1, shade.to("int64"));
  const [low, high] = [at(lower), at(lower.add(1).clamp(0, 255))];
  return low.add(high.sub(low).mul(flat.sub(lower))).reshape([batch, channels, height, width]);
}

function erase(images: Tensor, draws: readonly Draw[]): Tensor {
  if (draws.every(({ erased }) => erased === null)) return images;
  const [batch = 0, , height = 0, width = 0] = images.sizes;
  const kept = new Float32Array(batch * height * width).fill(1);
  for (const [i, draw] of draws.entries()) {
    const [top, left, bottom, right] = erasedPixels(draw, height, width);
    for (let row = i * height + top; row < i * height + bottom; row++)
      kept.fill(0, row * width + left, row * width + right);
  }
  const mask = tensor(kept, { shape: [batch, 1, height, width], dtype: "float32" });
  return images.mul(mask).add(mask.mul(-0.5).add(0.5));
}

/** The images of a batch as bytes, which are only read if a change depends on them. */
export interface Pixels {
  channels: number;
  /** Number of pixels of one channel. */
  pixels: number;
  /** (B, C, H, W) */
  bytes: () => Uint8Array;
}

const SHADES = 256;
const UNCHANGED = Float32Array.from({ length: SHADES }, (_, value) => value / 255);

/** The value in [0, 1] that each of 256 shades is mapped to: (B·C, 256), or a single row (1, 256) if no image changes. */
function shadeTables(draws: readonly Draw[], { channels, pixels, bytes }: Pixels): Tensor {
  if (!draws.some(isRecoloured)) return tensor(UNCHANGED, { shape: [1, SHADES], dtype: "float32" });
  const tables = new Float32Array(draws.length * channels * SHADES);
  const source = draws.some(({ operations }) => operations.some(needsHistogram)) ? bytes() : null;
  for (const [i, { operations, brightness }] of draws.entries()) {
    const counts = Array.from({ length: channels }, (_, c) => {
      const start = (i * channels + c) * pixels;
      return operations.some(needsHistogram) ? histogram((source as Uint8Array).subarray(start, start + pixels)) : NONE;
    });
    for (const [c, shades] of shadesOf(operations, counts).entries())
      tables.set(brightened(shades, brightness), (i * channels + c) * SHADES);
  }
  return tensor(tables, { shape: [draws.length * channels, SHADES], dtype: "float32" });
}

/** Multiplies the shades by a factor, in place. */
function brightened(shades: Float32Array, factor: number): Float32Array {
  if (factor !== 1) for (let i = 0; i < SHADES; i++) shades[i] = Math.min(1, (shades[i] as number) * factor);
  return shades;
}

const NONE = new Uint32Array(SHADES);

function histogram(bytes: Uint8Array): Uint32Array {
  const counts = new Uint32Array(SHADES);
  for (let i = 0; i < bytes.length; i++) counts[bytes[i] as number] = (counts[bytes[i] as number] as number) + 1;
  return counts;
}
