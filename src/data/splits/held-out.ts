import { createHash } from "node:crypto";
import { membersOf } from "../batches/prototypes.ts";

export interface HeldOutOptions {
  /** Draws for different purposes use different random numbers, so that they are independent. */
  purpose: "test" | "val" | "limit";
  /** Share of the images that is held out, in (0, 1). */
  fraction: number;
  seed: number;
  /**
   * Whether at least one image is held out of every class that has two or more (true). If false, at least one image is
   * held out of all classes together.
   */
  everyClass?: boolean;
  /** Digest of each image's content. Images with equal content are held out together. */
  hashes?: readonly string[] | undefined;
  /** Decides for some images beforehand whether they are held out, by their position; undefined if an image is to be drawn. */
  decided?: (place: number) => boolean | undefined;
}

/**
 * Chooses the images that are held out, and returns their positions. An image is held out if its number `drawOf(path)`
 * is below `fraction`. The choice depends only on the path of the image and the seed, so adding, removing or changing
 * other images does not affect it, with two exceptions:
 *
 * - If a class would have no image held out, its image with the lowest number is held out. If a class would have no
 *   image left for training, its image with the highest number is kept.
 * - Images with equal content are treated as one image, with the number of the path that sorts first, so that the same
 *   image is never in both parts. This does not apply to a content that makes up most of a class, because the class
 *   could then hardly be divided.
 *
 * An image that was decided beforehand stays as it was. The image of a class with a single image is kept for training.
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

/** The positions of one image and its copies, which are held out together. */
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
    // If one copy was decided to be trained on, none of the copies may be held out.
    if (before !== undefined) unit.decided = (unit.decided ?? true) && before;
    units.set(key, unit);
  }
  for (const unit of units.values()) unit.draw = drawOf(unit.path, options);
  return [...units.values()];
}

/** If one content makes up more than this share of a class, its copies are drawn one by one, by their paths. */
const MOST = 0.8;

/** The contents that make up more than `MOST` of a class. */
function mostOfAClass(hashes: readonly string[], labels: readonly number[]): Set<string> {
  const most = new Set<string>();
  for (const own of membersOf(labels)) {
    const counts = new Map<string, number>();
    for (const place of own) counts.set(hashes[place] as string, (counts.get(hashes[place] as string) ?? 0) + 1);
    for (const [hash, count] of counts) if (count > 1 && count > MOST * own.length) most.add(hash);
  }
  return most;
}

/** The units of each class, by label. A unit whose copies have several labels is in several classes. */
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

/** Keeps one image of a class for training if all of them would be held out. */
function keepOne(own: readonly Unit[], held: Set<Unit>): void {
  if (own.some((unit) => !held.has(unit))) return;
  const last = inOrder(own.filter((unit) => unit.decided === undefined)).at(-1);
  if (last !== undefined) held.delete(last);
}

interface Choice {
  held: Set<Unit>;
  classes: ReadonlyMap<number, readonly Unit[]>;
  /** Whether a class may be left without a training image if there is no other choice. */
  anyway?: boolean;
}

/** Holds one image out if none is held out yet, provided that each of its classes keeps another one for training. */
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

/**
 * The positions of the `count` images with the lowest numbers, in ascending order of the numbers. Adding an image to
 * the data set replaces at most one of them.
 */
export function lowestDraws(
  paths: readonly string[],
  count: number,
  options: Pick<HeldOutOptions, "purpose" | "seed">,
): Int32Array {
  const draws = paths.map((path) => drawOf(path, options));
  return Int32Array.from(byDraw([...paths.keys()], draws).slice(0, count));
}

/** A uniform number in [0, 1) from the purpose, the seed and the path: the first 48 bits of their SHA-256. */
export function drawOf(path: string, { purpose, seed }: Pick<HeldOutOptions, "purpose" | "seed">): number {
  // File systems differ in the Unicode form of accented names (NFC or NFD).
  const text = `${purpose}\0${seed}\0${path.normalize("NFC")}`;
  return createHash("sha256").update(text).digest().readUIntBE(0, 6) / 2 ** 48;
}

/** Multiples within a decade in steps of a factor of 10^(1/10), rounded as in the Renard series R10. */
const SERIES = [1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8];

/**
 * The share nearest to `count / total` in a fixed series (... 0.08, 0.1, 0.125, 0.16, 0.2 ...), at most an eighth off.
 * Unlike `count / total` it stays the same if a few images are added, so that their draws do not change.
 */
export function steadyFraction(count: number, total: number): number {
  const exponent = Math.floor(Math.log10(count / total));
  const shares = [...SERIES, 10].map((step) => Number(`${step}e${exponent}`));
  const distance = (share: number) => Math.abs(Math.log((share * total) / count));
  const nearest = shares.reduce((best, share) => (distance(share) < distance(best) ? share : best));
  return Math.min(nearest, 0.8); // at least a fifth is left to train on
}
