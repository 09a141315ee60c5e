import type { Split, SplitName } from "../splits/split.ts";
import { pixelHashes } from "./content-hashes.ts";

/** Images of a data set whose contents are the same, by what is wrong with that. An image may be of several kinds. */
export interface IdenticalImages {
  /** Images that an earlier one of the splits train, val and test has too: the model is judged by what it was trained or chosen by. */
  acrossSplits: IdenticalKind;
  /** Images whose content has another label too, in any split. */
  differentLabels: IdenticalKind;
  /** Copies of an earlier image of the same split and label. */
  withinSplits: IdenticalKind;
}

export interface IdenticalKind {
  images: number;
  /** The same number by split. */
  splits: Partial<Record<SplitName, number>>;
  /** The first few, each of another content. */
  examples: IdenticalPair[];
}

/** An image and an earlier one of the same content. */
export interface IdenticalPair {
  image: PlacedImage;
  same: PlacedImage;
}

export interface PlacedImage {
  split: SplitName;
  path: string;
  class: string;
}

/** What is compared of a split: for each image its content, in any form that is equal for equal images alone. */
export interface SplitContents extends Pick<Split, "name" | "classNames"> {
  paths?: readonly string[] | undefined;
  hashes: readonly string[];
  labels: ArrayLike<number | bigint>;
}

/** Examples of a kind. */
const SHOWN = 3;

/**
 * Finds images of the same content, in one pass: time and memory grow with the number of images, and no image is decoded again. Images that are
 * files are compared by the hashes of these, which loading needs anyway, others by their pixels.
 */
export function identicalImages(splits: readonly Split[]): IdenticalImages {
  // A file's hash says nothing of pixels: a program may give some splits of files and some of none.
  const areFiles = splits.every(({ hashes }) => hashes !== undefined);
  return identicalContents(
    splits.map((split) => {
      const { name, classNames, labels, paths, hashes } = split;
      const own = areFiles && hashes !== undefined ? hashes : pixelHashes(split.images);
      return { name, classNames, labels: labels.data() as BigInt64Array, paths, hashes: own };
    }),
  );
}

/** The images of one content so far. */
interface Copies {
  first: PlacedImage;
  /** Of each split. */
  counts: Map<SplitName, number>;
  labels: Set<number>;
  /** Split and label of each image. */
  places: Set<string>;
  /** Kinds that an example of this content was taken for. */
  shown: Set<IdenticalKind>;
}

/** `identicalImages` of contents that are known; the splits come in the order train, val, test. */
export function identicalContents(splits: readonly SplitContents[]): IdenticalImages {
  const found: IdenticalImages = { acrossSplits: newKind(), differentLabels: newKind(), withinSplits: newKind() };
  const firsts = new Map<string, readonly [split: number, place: number]>();
  const copies = new Map<string, Copies>(); // of contents that came twice: few, as a rule
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
  // With its second label a content is one of different labels, and so are its images before.
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
 * A warning, one line each, of the kinds that there are.
 *
 * @param what names the data
 */
export function identicalWarnings(found: IdenticalImages, what: string): string[] {
  const { acrossSplits, differentLabels, withinSplits } = found;
  return [
    ...line(acrossSplits, {
      problem: `${what}: images are also in a split that the model is trained or chosen by`,
      remedy: "remove them from one of the splits",
    }),
    ...line(differentLabels, {
      ...{ problem: `${what}: images of the same content have different labels`, withClass: true },
      remedy: "give each picture one label",
    }),
    ...line(withinSplits, {
      problem: `${what}: images are copies of others of their split and class`,
      remedy: "remove the copies, which count several times",
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
