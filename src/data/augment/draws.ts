import { expectInteger, expectNumber, optionsOf } from "../../arguments.ts";
import { randomSource } from "../batches/random.ts";
import { compose, cutting, type Matrix } from "./affine.ts";
import { drawOperations, matrixOfOperations, type Operation, recolours } from "./rand-augment.ts";

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
  /**
   * Largest share of the area that is cut away: a rectangle of what is left, from 3:4 to 4:3, is brought to the full size (as
   * torchvision's RandomResizedCrop).
   */
  crop?: number;
  /** Magnitude of RandAugment, 0 to 10. */
  randAugment?: number;
  /** Operations of RandAugment for each image (2). */
  randAugmentOps?: number;
}

/** Which draws an image gets: a function of these integers alone, whatever batch or worker it comes in. */
export interface AugmentKey {
  seed: number;
  epoch: number;
  /** Where an epoch may have an image more than once: the place in the epoch of the first of these images. */
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
  /** Null for most. */
  erased: Rectangle | null;
  /** Null where nothing is cut. */
  kept: Rectangle | null;
  operations: readonly Operation[];
}

/** top, left, bottom, right, as shares. */
type Rectangle = readonly [number, number, number, number];

/** Whether these options change anything. */
export const augments = (options: AugmentOptions): boolean =>
  moves(options) || (options.erase ?? 0) > 0 || (options.brightness ?? 0) > 0;

/** Whether an image's shades change. */
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

/** Options of `augment`, each in its range. */
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

/** The draws of the images at these places of their split. */
export function drawsOf(indices: Int32Array, options: AugmentOptions & AugmentKey): Draw[] {
  const { seed, epoch, place, ...amounts } = checkedAugment(options);
  return Array.from(indices, (image, i) => {
    const keys = place === undefined ? { seed, epoch, image } : { seed, epoch, image, place: place + i };
    const next = randomSource("augment", keys);
    return drawOf(amounts, () => next() / 2 ** 32);
  });
}

/** Whether these options move anything. */
export const moves = (options: AugmentOptions): boolean => {
  const { shift = 0, rotate = 0, scale = 0, flip = false, crop = 0, randAugment = 0 } = options;
  return flip || shift > 0 || rotate > 0 || scale > 0 || crop > 0 || randAugment > 0;
};

/** Top, left, bottom and right pixel of what is erased, at least one pixel; all zero where nothing is. */
export function erasedPixels({ erased }: Draw, height: number, width: number): [number, number, number, number] {
  if (erased === null) return [0, 0, 0, 0];
  const [top, left, bottom, right] = erased;
  const [y, x] = [Math.min(Math.round(top * height), height - 1), Math.min(Math.round(left * width), width - 1)];
  return [y, x, Math.max(Math.round(bottom * height), y + 1), Math.max(Math.round(right * width), x + 1)];
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

/** A rectangle of that share of the area and, where it fits so, that height to width, placed by two shares of the room left. */
function rectangle(area: number, aspect: number, top: number, left: number): Rectangle {
  const height = Math.min(1, Math.max(area, Math.sqrt(area * aspect)));
  const width = area / height;
  const [y, x] = [top * (1 - height), left * (1 - width)];
  return [y, x, y + height, x + width];
}

/** Where a place of the new image comes from, the image being cut, then moved, then changed by RandAugment; `aspect` is W / H. */
export function matrixOf(draw: Draw, aspect: number): Matrix {
  const inner = matrixOfOperations(draw.operations, aspect);
  const whole = [moved(draw, aspect), ...inner].reduce(compose);
  return draw.kept === null ? whole : compose(cutting(draw.kept), whole);
}

/** Mirrored, turned back, shrunk back and shifted back. */
function moved({ dx, dy, radians, zoom, mirrored }: Draw, aspect: number): Matrix {
  const [cos, sin] = [Math.cos(radians) / zoom, Math.sin(radians) / zoom];
  const side = mirrored ? -1 : 1;
  const [x, y] = [-2 * dx, -2 * dy];
  const linear = [side * cos, (side * sin) / aspect, -sin * aspect, cos] as const;
  const [a, b, c, d] = linear;
  return [a, b, a * x + b * y, c, d, c * x + d * y];
}
