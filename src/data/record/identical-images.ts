import type { Split, SplitName } from "../splits/split.ts";
import { pixelHashes } from "./content-hashes.ts";

/** Images of a data set with identical content, grouped by the problem that they cause. An image can be in several groups. */
export interface IdenticalImages {
  /**
   * Images that are also in an earlier split, in the order train, val, test. The model would be evaluated on images
   * that it was trained on or selected by.
   */
  acrossSplits: IdenticalKind;
  /** Images whose content also occurs with another label, in any split. */
  differentLabels: IdenticalKind;
  /** Copies of an earlier image of the same split and label. */
  withinSplits: IdenticalKind;
}

export interface IdenticalKind {
  images: number;
  /** Number of these images in each split. */
  splits: Partial<Record<SplitName, number>>;
  /** The first few pairs, each with a different content. */
  examples: IdenticalPair[];
}

/** An image, and an earlier image with the same content. */
export interface IdenticalPair {
  image: PlacedImage;
  same: PlacedImage;
}

export interface PlacedImage {
  split: SplitName;
  path: string;
  class: string;
}

/** The contents of a split that are compared. `hashes` may be any strings that are equal exactly for equal images. */
export interface SplitContents extends Pick<Split, "name" | "classNames"> {
  paths?: readonly string[] | undefined;
  hashes: readonly string[];
  labels: ArrayLike<number | bigint>;
}

/** Number of examples that are kept for each kind. */
const SHOWN = 3;

/**
 * Finds images with identical content. One pass over the hashes is enough, so time and memory are linear in the number
 * of images, and no image is decoded again. Images from files are compared by the hashes of their files, which loading
 * has computed already; other images are compared by their pixels.
 */
export function identicalImages(splits: readonly Split[]): IdenticalImages {
  // The hash of a file cannot be compared with the hash of pixels, and a program may mix splits of both kinds.
  const areFiles = splits.every(({ hashes }) => hashes !== undefined);
  return identicalContents(
    splits.map((split) => {
      const { name, classNames, labels, paths, hashes } = split;
      const own = areFiles && hashes !== undefined ? hashes : pixelHashes(split.images);
      return { name, classNames, labels: labels.data() as BigInt64Array, paths, hashes: own };
    }),
  );
}

/** The images with the same content that have been found so far. */
interface Copies {
  first: PlacedImage;
  /** Number of copies in each split. */
  counts: Map<SplitName, number>;
  labels: Set<number>;
  /** The combinations of split and label that occur. */
  places: Set<string>;
  /** Kinds that already show an example with this content. */
  shown: Set<IdenticalKind>;
}

/** `identicalImages` for hashes that are known already. The splits must be in the order train, val, test. */
export function identicalContents(splits: readonly SplitContents[]): IdenticalImages {
  const found: IdenticalImages = { acrossSplits: newKind(), differentLabels: newKind(), withinSplits: newKind() };
  const firsts = new Map<string, readonly [split: number, place: number]>();
  const copies = new Map<string, Copies>(); // only of contents that occur more than once, which are usually few
  for (const [i, split] of splits.entries())
    for (const [place, hash] of split.hashes.entries()) {
      const first = firsts.get(hash);
      if (first === undefined) firsts.set(hash, [i, place]);
      else {
        const own = copies.get(hash) ?? copiesOf(splits[first[0]] as SplitContents, first[1]);
        copies.set(hash, own);
        addCopy(found, own, placed(split, place), Number(split.labels[place]));
      }
    }
  return found;
}

const newKind = (): IdenticalKind => ({ images: 0, splits: {}, examples: [] });

function placed({ name, paths, classNames, labels }: SplitContents, place: number): PlacedImage {
  const label = Number(labels[place]);
  return { split: name, path: paths?.[place] ?? `${name}[${place}]`, class: classNames[label] ?? String(label) };
}

function copiesOf(split: SplitContents, place: number): Copies {
  const label = Number(split.labels[place]);
  return {
    first: placed(split, place),
    counts: new Map([[split.name, 1]]),
    labels: new Set([label]),
    ...{ places: new Set([`${split.name} ${label}`]), shown: new Set() },
  };
}

function addCopy(found: IdenticalImages, own: Copies, image: PlacedImage, label: number): void {
  const { split } = image;
  const { counts, labels, places } = own;
  const place = `${split} ${label}`;
  if (counts.size > (counts.has(split) ? 1 : 0)) count(found.acrossSplits, split, 1, { own, image });
  if (places.has(place)) count(found.withinSplits, split, 1, { own, image });
  // When a content gets its second label, all images with that content before this one have conflicting labels too.
  if (labels.size === 1 && !labels.has(label))
    for (const [name, images] of counts) count(found.differentLabels, name, images, { own, image });
  counts.set(split, (counts.get(split) ?? 0) + 1);
  labels.add(label);
  places.add(place);
  if (labels.size > 1) count(found.differentLabels, split, 1, { own, image });
}

function count(
  kind: IdenticalKind,
  split: SplitName,
  images: number,
  { own, image }: { own: Copies; image: PlacedImage },
) {
  kind.images += images;
  kind.splits[split] = (kind.splits[split] ?? 0) + images;
  if (kind.examples.length === SHOWN || own.shown.has(kind)) return;
  own.shown.add(kind);
  kind.examples.push({ image, same: own.first });
}

/**
 * One warning for each kind of identical images that occurs.
 *
 * @param what names the data in the warnings
 */
export function identicalWarnings(found: IdenticalImages, what: string): string[] {
  const { acrossSplits, differentLabels, withinSplits } = found;
  return [
    ...line(acrossSplits, {
      problem: `${what}: images are also in a split that the model is trained or selected on`,
      remedy: "remove them from one of the splits",
    }),
    ...line(differentLabels, {
      ...{ problem: `${what}: images of the same content have different labels`, withClass: true },
      remedy: "give each picture one label",
    }),
    ...line(withinSplits, {
      problem: `${what}: images are copies of other images of the same split and class`,
      remedy: "remove the copies, because each of them counts again",
    }),
  ];
}

interface LineOptions {
  problem: string;
  remedy: string;
  withClass?: boolean;
}

function line(
  { images, splits, examples }: IdenticalKind,
  { problem, remedy, withClass = false }: LineOptions,
): string[] {
  if (images === 0) return [];
  const counts = Object.entries(splits).map(([name, own]) => `${own} of ${name}`);
  const named = (one: PlacedImage) => (withClass ? `${one.path} ("${one.class}")` : one.path);
  const pairs = examples.map(({ image, same }) => `${named(image)} is the same picture as ${named(same)}`);
  return [`${problem}: ${counts.join(", ")} (${pairs.join("; ")}); ${remedy}`];
}
