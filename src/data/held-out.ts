import { createHash } from "node:crypto";
import { membersOf } from "./class-members.ts";

export interface HeldOutOptions {
  /** Separates choices of different purpose, so that one says nothing about another. */
  purpose: "test" | "val" | "limit";
  /** Share of the images that is held out, above 0 and below 1. */
  fraction: number;
  seed: number;
  /** Whether every class gives an image where it has two or more; otherwise all classes together give at least one. */
  everyClass?: boolean;
  /** Decides for some images beforehand, by their place: true where one is held out. */
  decided?: (place: number) => boolean | undefined;
}

/**
 * Chooses the images that are held out, by their places: each image whose number `drawOf(path)` lies below `fraction`. The choice for
 * an image depends on its own path and the seed alone, so that adding, removing or changing other images does not move it. A class that
 * would give no image, or would keep none for training, is the exception: its image of the lowest number is held out, or that of the
 * highest is kept; an image that was decided beforehand stays where it was. A class of a single image keeps it for training.
 *
 * @param paths relative to the data set's folder
 */
export function heldOut(paths: readonly string[], labels: readonly number[], options: HeldOutOptions): Set<number> {
  const { fraction, everyClass = true, decided = () => undefined } = options;
  const draws = paths.map((path) => drawOf(path, options));
  const held = new Set<number>();
  for (const [place, draw] of draws.entries()) if (decided(place) ?? draw < fraction) held.add(place);
  const classes = membersOf(labels);
  for (const own of classes) keepOne(own, { draws, held, decided });
  for (const own of everyClass ? classes : [[...labels.keys()]]) holdOne(own, { draws, held, decided });
  return held;
}

interface Choice {
  draws: readonly number[];
  held: Set<number>;
  decided: (place: number) => boolean | undefined;
}

/** Takes an image back where all of a class would be held out. */
function keepOne(own: readonly number[], { draws, held, decided }: Choice): void {
  if (own.some((place) => !held.has(place))) return;
  const last = byDraw(
    own.filter((place) => decided(place) === undefined),
    draws,
  ).at(-1);
  if (last !== undefined) held.delete(last);
}

/** Holds an image out where none would be, and another one is left. */
function holdOne(own: readonly number[], { draws, held, decided }: Choice): void {
  if (own.length < 2 || own.some((place) => held.has(place))) return;
  const first = byDraw(
    own.filter((place) => decided(place) === undefined),
    draws,
  )[0];
  if (first !== undefined) held.add(first);
}

const byDraw = (places: readonly number[], draws: readonly number[]): number[] =>
  [...places].sort((a, b) => (draws[a] as number) - (draws[b] as number) || a - b);

/** The `count` images of the lowest numbers, in the order of these: adding an image moves at most one of them. */
export function lowestDraws(
  paths: readonly string[],
  count: number,
  options: Pick<HeldOutOptions, "purpose" | "seed">,
): Int32Array {
  const draws = paths.map((path) => drawOf(path, options));
  return Int32Array.from(byDraw([...paths.keys()], draws).slice(0, count));
}

/** A number in [0, 1) that is a function of the purpose, the seed and the path: the first 48 bits of their SHA-256. */
export function drawOf(path: string, { purpose, seed }: Pick<HeldOutOptions, "purpose" | "seed">): number {
  // File systems write the same accented name in two ways.
  const text = `${purpose}\0${seed}\0${path.normalize("NFC")}`;
  return createHash("sha256").update(text).digest().readUIntBE(0, 6) / 2 ** 48;
}

/** Steps of a factor of 10^(1/10), rounded as in Renard's series R10. */
const SERIES = [1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8];

/**
 * The share that is nearest to `count` of `total` in a fixed series (... 0.08, 0.1, 0.125, 0.16, 0.2 ...), at most an eighth away: it
 * stays the same where a few images are added, which `count / total` does not.
 */
export function steadyFraction(count: number, total: number): number {
  const exponent = Math.floor(Math.log10(count / total));
  const shares = [...SERIES, 10].map((step) => Number(`${step}e${exponent}`));
  const distance = (share: number) => Math.abs(Math.log((share * total) / count));
  const nearest = shares.reduce((best, share) => (distance(share) < distance(best) ? share : best));
  return Math.min(nearest, 0.8); // something is left to train on
}
