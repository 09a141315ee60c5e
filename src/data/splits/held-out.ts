import { createHash } from "node:crypto";
import { membersOf } from "../batches/prototypes.ts";

export interface HeldOutOptions {
  /** Separates choices of different purpose, so that one says nothing about another. */
  purpose: "test" | "val" | "limit";
  /** Share of the images that is held out, above 0 and below 1. */
  fraction: number;
  seed: number;
  /** Whether every class gives an image where it has two or more; otherwise all classes together give at least one. */
  everyClass?: boolean;
  /** Digest of each image's content: images of equal content are held out together. */
  hashes?: readonly string[] | undefined;
  /** Decides for some images beforehand, by their place: true where one is held out. */
  decided?: (place: number) => boolean | undefined;
}

/**
 * Chooses the images that are held out, by their places: each image whose number `drawOf(path)` lies below `fraction`. The choice for
 * an image depends on its own path and the seed alone, so that adding, removing or changing other images does not move it. There are two
 * exceptions. A class that would give no image, or would keep none for training, holds out its image of the lowest number, or keeps that
 * of the highest. Images of equal content are one image, with the number of the path that sorts first, so that none is in both parts,
 * unless one content is most of a class, which as one image could hardly be parted.
 * An image that was decided beforehand stays where it was. A class of a single image keeps it for training.
 *
 * @param paths relative to the data set's folder
 */
export function heldOut(paths: readonly string[], labels: readonly number[], options: HeldOutOptions): Set<number> {
  const { fraction, everyClass = true } = options;
  const units = unitsOf(paths, labels, options);
  const held = new Set<Unit>();
  for (const unit of units) if (unit.decided ?? unit.draw < fraction) held.add(unit);
  const classes = classesOf(units);
  for (const own of classes.values()) keepOne(own, held);
  if (everyClass) for (const own of classes.values()) holdOne(own, { held, classes });
  else holdOne(units, { held, classes, anyway: true });
  return new Set([...held].flatMap(({ places }) => places));
}

/** Places of the same image, which are held out together. */
interface Unit {
  places: number[];
  path: string;
  labels: Set<number>;
  draw: number;
  decided: boolean | undefined;
}

function unitsOf(paths: readonly string[], labels: readonly number[], options: HeldOutOptions): Unit[] {
  const { hashes, decided = () => undefined } = options;
  const units = new Map<string, Unit>();
  const most = hashes === undefined ? undefined : mostOfAClass(hashes, labels);
  for (const [place, path] of paths.entries()) {
    const hash = hashes?.[place];
    const key = hash === undefined || most?.has(hash) ? path : hash;
    const unit = units.get(key) ?? { places: [], path, labels: new Set(), draw: 0, decided: undefined };
    unit.places.push(place);
    unit.labels.add(labels[place] as number);
    if (path < unit.path) unit.path = path;
    const before = decided(place);
    // What is trained on under one path may not be held out under another.
    if (before !== undefined) unit.decided = (unit.decided ?? true) && before;
    units.set(key, unit);
  }
  for (const unit of units.values()) unit.draw = drawOf(unit.path, options);
  return [...units.values()];
}

/** Share of a class above which equal images are drawn each by its path. */
const MOST = 0.8;

/** Contents that make up most of a class. */
function mostOfAClass(hashes: readonly string[], labels: readonly number[]): Set<string> {
  const most = new Set<string>();
  for (const own of membersOf(labels)) {
    const counts = new Map<string, number>();
    for (const place of own) counts.set(hashes[place] as string, (counts.get(hashes[place] as string) ?? 0) + 1);
    for (const [hash, count] of counts) if (count > 1 && count > MOST * own.length) most.add(hash);
  }
  return most;
}

/** The images of each class, by its label. */
function classesOf(units: readonly Unit[]): Map<number, Unit[]> {
  const classes = new Map<number, Unit[]>();
  for (const unit of units)
    for (const label of unit.labels) {
      const own = classes.get(label);
      if (own === undefined) classes.set(label, [unit]);
      else own.push(unit);
    }
  return classes;
}

/** Takes an image back where all of a class would be held out. */
function keepOne(own: readonly Unit[], held: Set<Unit>): void {
  if (own.some((unit) => !held.has(unit))) return;
  const last = inOrder(own.filter((unit) => unit.decided === undefined)).at(-1);
  if (last !== undefined) held.delete(last);
}

interface Choice {
  held: Set<Unit>;
  classes: ReadonlyMap<number, readonly Unit[]>;
  /** Whether a class may be left without an image if there is no other choice. */
  anyway?: boolean;
}

/** Holds an image out where none would be, if each of its classes keeps another one. */
function holdOne(own: readonly Unit[], { held, classes, anyway = false }: Choice): void {
  if (own.length < 2 || own.some((unit) => held.has(unit))) return;
  const free = inOrder(own.filter((unit) => unit.decided === undefined));
  const isLast = (unit: Unit) =>
    [...unit.labels].some((label) => classes.get(label)?.every((other) => other === unit || held.has(other)));
  const first = free.find((unit) => !isLast(unit)) ?? (anyway ? free[0] : undefined);
  if (first !== undefined) held.add(first);
}

const inOrder = (units: readonly Unit[]): Unit[] =>
  [...units].sort((a, b) => a.draw - b.draw || (a.places[0] as number) - (b.places[0] as number));

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
