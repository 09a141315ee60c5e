import { expectInteger, expectNumber, optionsOf } from "../../arguments.ts";
import { randomSource } from "../batches/random.ts";
import { compose, cutting, type Matrix } from "./affine.ts";
import { drawOperations, matrixOfOperations, type Operation, recolours } from "./rand-augment.ts";

/** The amounts by which images may change. An option that is omitted is off. */
export interface AugmentOptions {
  /** Largest shift along either axis, as a share of the image's side. */
  shift?: number;
  /** Largest rotation in either direction, in degrees. */
  rotate?: number;
  /** Largest change of size, as a share: 0.2 scales by 0.8 to 1.25. */
  scale?: number;
  /** Whether images are flipped horizontally, with probability ½. */
  flip?: boolean;
  /** Probability that a rectangle of 2 % to 20 % of the area is made grey. */
  erase?: number;
  /** Largest change of brightness, as a share: pixels are multiplied by 1 ± this. */
  brightness?: number;
  /**
   * Largest share of the area that is cropped away. The remaining rectangle, with an aspect ratio from 3:4 to 4:3, is
   * resized to the full size, as in torchvision's RandomResizedCrop.
   */
  crop?: number;
  /** Magnitude of RandAugment, 0 to 10. */
  randAugment?: number;
  /** Number of RandAugment operations for each image (2). */
  randAugmentOps?: number;
}

/**
 * The keys of the random draws. The draws of an image depend only on these integers and its index, so they are the same
 * in any batch or worker.
 */
export interface AugmentKey {
  seed: number;
  epoch: number;
  /**
   * Position within the epoch of the first of these images. It is needed if an epoch can contain an image more than
   * once, so that the copies differ.
   */
  place?: number | undefined;
}

/** The draws of one image. */
export interface Draw {
  dx: number;
  dy: number;
  radians: number;
  zoom: number;
  mirrored: boolean;
  brightness: number;
  /** The erased rectangle; null if nothing is erased. */
  erased: Rectangle | null;
  /** The rectangle that is kept by cropping; null if nothing is cropped. */
  kept: Rectangle | null;
  operations: readonly Operation[];
}

/** Top, left, bottom and right, as shares of the sides. */
type Rectangle = readonly [number, number, number, number];

/** Whether these options change anything. */
export const augments = (options: AugmentOptions): boolean =>
  moves(options) || (options.erase ?? 0) > 0 || (options.brightness ?? 0) > 0;

/** Whether the values of an image's pixels change, apart from its geometry. */
export const isRecoloured = ({ brightness, operations }: Draw): boolean =>
  brightness !== 1 || operations.some(recolours);

const AUGMENT_OPTIONS = [
  "shift",
  "rotate",
  "scale",
  "flip",
  "erase",
  "brightness",
  "crop",
  "randAugment",
  "randAugmentOps",
  "seed",
  "epoch",
  "place",
] as const satisfies (keyof AugmentOptions | keyof AugmentKey)[];

/** Checks that each option of `augment` is in its range. */
function checkedAugment(options: AugmentOptions & AugmentKey): AugmentOptions & AugmentKey {
  const {
    shift = 0,
    rotate = 0,
    scale = 0,
    erase: share = 0,
    brightness = 0,
  } = optionsOf("augment", options, AUGMENT_OPTIONS);
  const { crop = 0, randAugment = 0, randAugmentOps = 2 } = options;
  expectInteger("augment: randAugmentOps", randAugmentOps, 1, 16);
  for (const [name, value, most] of [
    ["shift", shift, 1],
    ["rotate", rotate, 180],
    ["scale", scale, 0.9],
    ["erase", share, 1],
    ["brightness", brightness, 1],
    ["crop", crop, 0.99],
    ["randAugment", randAugment, 10],
  ] as const)
    expectNumber(`augment: ${name}`, value, `be from 0 to ${most}`, (n) => n >= 0 && n <= most);
  return options;
}

/** The random draws of the images at these positions of their split. */
export function drawsOf(indices: Int32Array, options: AugmentOptions & AugmentKey): Draw[] {
  const { seed, epoch, place, ...amounts } = checkedAugment(options);
  return Array.from(indices, (image, i) => {
    const keys = place === undefined ? { seed, epoch, image } : { seed, epoch, image, place: place + i };
    const next = randomSource("augment", keys);
    return drawOf(amounts, () => next() / 2 ** 32);
  });
}

/** Whether these options change the geometry. */
export const moves = (options: AugmentOptions): boolean => {
  const { shift = 0, rotate = 0, scale = 0, flip = false, crop = 0, randAugment = 0 } = options;
  return flip || shift > 0 || rotate > 0 || scale > 0 || crop > 0 || randAugment > 0;
};

/** Top, left, bottom and right of the erased rectangle in pixels; it has at least one pixel. All zeros if nothing is erased. */
export function erasedPixels({ erased }: Draw, height: number, width: number): [number, number, number, number] {
  if (erased === null) return [0, 0, 0, 0];
  const [top, left, bottom, right] = erased;
  const [y, x] = [Math.min(Math.round(top * height), height - 1), Math.min(Math.round(left * width), width - 1)];
  return [y, x, Math.max(Math.round(bottom * height), y + 1), Math.max(Math.round(right * width), x + 1)];
}

/**
 * Draws the changes of one image. The number of random draws is always the same, so that switching one option on does
 * not affect the others.
 */
function drawOf(amounts: AugmentOptions, next: () => number): Draw {
  const { shift = 0, rotate = 0, scale = 0, flip = false, erase: share = 0, brightness = 0 } = amounts;
  const either = (most: number) => (2 * next() - 1) * most;
  const [dx, dy] = [either(shift), either(shift)];
  const radians = (either(rotate) * Math.PI) / 180;
  const zoom = (1 - scale) ** either(1);
  const mirrored = next() < 0.5 && flip;
  const bright = 1 + either(brightness);
  const [chance, area, ratio, top, left] = [next(), next(), next(), next(), next()];
  const { crop = 0, randAugment = 0, randAugmentOps = 2 } = amounts;
  const cut = [next(), next(), next(), next()] as const;
  return {
    dx,
    dy,
    radians,
    zoom,
    mirrored,
    brightness: bright,
    erased: chance < share ? rectangle(0.02 + 0.18 * area, 3 ** (2 * ratio - 1), top, left) : null,
    kept: crop > 0 ? rectangle(1 - crop * cut[0], (4 / 3) ** (2 * cut[1] - 1), cut[2], cut[3]) : null,
    operations: randAugment > 0 ? drawOperations(randAugmentOps, randAugment, next) : [],
  };
}

/**
 * A rectangle with a given share of the area and, if it fits, a given ratio of height to width. `top` and `left` place
 * it, as shares of the free space.
 */
function rectangle(area: number, aspect: number, top: number, left: number): Rectangle {
  const height = Math.min(1, Math.max(area, Math.sqrt(area * aspect)));
  const width = area / height;
  const [y, x] = [top * (1 - height), left * (1 - width)];
  return [y, x, y + height, x + width];
}

/**
 * The affine map of one image from positions in the new image to positions in the old one. The image is cropped first,
 * then shifted, rotated, scaled and flipped, then changed by RandAugment. `aspect` is W / H.
 */
export function matrixOf(draw: Draw, aspect: number): Matrix {
  const inner = matrixOfOperations(draw.operations, aspect);
  const whole = [moved(draw, aspect), ...inner].reduce(compose);
  return draw.kept === null ? whole : compose(cutting(draw.kept), whole);
}

/** The map of the shift, rotation, scale and flip. It inverts each of them, because it goes from the new image to the old one. */
function moved({ dx, dy, radians, zoom, mirrored }: Draw, aspect: number): Matrix {
  const [cos, sin] = [Math.cos(radians) / zoom, Math.sin(radians) / zoom];
  const side = mirrored ? -1 : 1;
  const [x, y] = [-2 * dx, -2 * dy];
  const linear = [side * cos, (side * sin) / aspect, -sin * aspect, cos] as const;
  const [a, b, c, d] = linear;
  return [a, b, a * x + b * y, c, d, c * x + d * y];
}
