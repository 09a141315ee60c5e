import { counted } from "../../counted.ts";
import { BatchCamError } from "../../errors.ts";
import { tensor } from "../../tensor/index.ts";
import { SPLIT_NAMES, type Split, type SplitName } from "../splits/split.ts";
import { selectImages } from "../splits/validation-split.ts";
import { imageHashes } from "./content-hashes.ts";
import { type DataRecord, earlierSplits, type LeftOutImage, SPLIT_RANK } from "./data-record.ts";

type Splits = Partial<Record<SplitName, Split>> & { train: Split };

/** Splits that were adapted to a run, and the images that were left out for that. */
export interface AdaptedSplits<S extends Splits = Splits> {
  splits: S;
  warnings: string[];
  leftOut: LeftOutImage[];
}

export interface AdaptOptions {
  /** Names the data in warnings and errors. */
  what: string;
  /**
   * Whether the run will be trained on these images. Then an image that is in their own training or validation split
   * must not be in a later split either.
   */
  trains?: boolean;
}

/**
 * Adapts splits to a run: to its classes, in their order, and to its normalisation. It leaves out images of classes
 * that the run does not know, and validation and test images that the run was trained on or selected by, which it
 * recognises by path or content.
 *
 * @throws E_DATA for images of another size, and for a split that would become empty
 */
export function underClassesOf<S extends Splits>(
  run: DataRecord,
  splits: S,
  { what, trains = false }: AdaptOptions,
): AdaptedSplits<S> {
  const { images } = splits.train;
  const [, channels, ...size] = images.sizes;
  const fault = (problem: string) => new BatchCamError("E_DATA", `${what}: ${problem}`);
  if (channels !== run.channels || size.join() !== run.imageSize.join())
    throw fault(
      `images are ${[channels, ...size].join("x")}, the run takes ${[run.channels, ...run.imageSize].join("x")}`,
    );
  const listed = SPLIT_NAMES.flatMap((name) => (splits[name] === undefined ? [] : listedImages(splits[name], name)));
  const fates = fatesOf(run, listed, trains);
  const warnings = leftOutWarnings(listed, fates);
  const adapted = SPLIT_NAMES.flatMap((name) => {
    const split = splits[name];
    if (split === undefined) return [];
    const kept = listed.flatMap((image, i) => (image.name === name && fates[i] === "kept" ? [image.place] : []));
    if (kept.length === 0) throw fault(`no image of ${name} is left that the run can use: ${warnings.join("; ")}`);
    return [[name, selected(run, split, kept)] as const];
  });
  const leftOut = listed.flatMap(({ path, className, hash }, i) =>
    fates[i] === "unknown" || fates[i] === "seen" ? [{ path, className, hash }] : [],
  );
  return { splits: Object.fromEntries(adapted) as S, warnings: [...warnings, ...redrawn(run, listed)], leftOut };
}

interface ListedImage {
  name: SplitName;
  /** Position in its split. */
  place: number;
  path: string;
  className: string;
  /** Hash of its content. */
  hash: string;
}

function listedImages(split: Split, name: SplitName): ListedImage[] {
  const { classNames, paths, labels } = split;
  const hashes = imageHashes(split);
  return Array.from(labels.data() as BigInt64Array, (label, place) => ({
    ...{ name, place, path: paths?.[place] ?? `${name}[${place}]`, className: classNames[Number(label)] ?? `${label}` },
    hash: hashes[place] as string,
  }));
}

/** Whether an image is kept, or left out because the run does not know its class or has already seen the image. */
type Fate = "kept" | "unknown" | "seen";

function fatesOf(run: DataRecord, listed: readonly ListedImage[], trains: boolean): Fate[] {
  const earlier = earlierSplits(run, { byContent: true });
  const ranks = new Map<string, number>(); // by content, of the images in the new data
  return listed.map(({ name, path, className, hash }) => {
    if (!run.classNames.includes(className)) return "unknown";
    const before = earlier({ relative: path, hash });
    const seenBefore = before === undefined ? Number.POSITIVE_INFINITY : SPLIT_RANK[before];
    const seenNow = (trains ? ranks.get(hash) : undefined) ?? Number.POSITIVE_INFINITY;
    if (Math.min(seenBefore, seenNow) < SPLIT_RANK[name]) return "seen";
    ranks.set(hash, Math.min(ranks.get(hash) ?? SPLIT_RANK[name], SPLIT_RANK[name]));
    return "kept";
  });
}

function leftOutWarnings(listed: readonly ListedImage[], fates: readonly Fate[]): string[] {
  return SPLIT_NAMES.flatMap((name) => {
    const of = (fate: Fate) => listed.filter((image, i) => image.name === name && fates[i] === fate);
    const unknown = of("unknown");
    const classes = [...new Set(unknown.map(({ className }) => className))].map((className) => {
      const count = unknown.filter((image) => image.className === className).length;
      return `left out: ${counted(count, `${name} image`)} of "${className}", a class that the run does not know`;
    });
    const seen = of("seen").length;
    return [
      ...classes,
      ...(seen > 0 ? [`left out: ${counted(seen, `${name} image`)} that the run was trained or selected on`] : []),
    ];
  });
}

/**
 * If splits are drawn, an image that was in an evaluation split by its path, but whose content the run has seen, is
 * drawn into the split that the run has seen it in. These images are counted here, because they are missing from the
 * evaluation split.
 */
function redrawn(run: DataRecord, listed: readonly ListedImage[]): string[] {
  const byPath = earlierSplits(run, { byContent: false });
  const earlier = earlierSplits(run, { byContent: true });
  const counts = new Map<SplitName, number>();
  for (const { name, path, hash } of listed) {
    const before = byPath({ relative: path, hash });
    const now = earlier({ relative: path, hash });
    if (before === undefined || now === undefined || before === now || SPLIT_RANK[name] >= SPLIT_RANK[before]) continue;
    counts.set(before, (counts.get(before) ?? 0) + 1);
  }
  return [...counts].map(
    ([name, count]) => `left out: ${counted(count, `${name} image`)} that the run was trained or selected on`,
  );
}

/** Selects images of a split. If all images and classes are kept, the result shares the tensors of the split. */
function selected({ classNames, normalization }: DataRecord, split: Split, kept: readonly number[]): Split {
  const common = { classNames, numClasses: classNames.length, normalization };
  const sameClasses = split.classNames.join("\0") === classNames.join("\0");
  if (sameClasses && kept.length === split.labels.numel) return { ...split, ...common };
  const chosen = selectImages(split, { indices: Int32Array.from(kept), name: split.name });
  if (sameClasses) return { ...chosen, ...common };
  const places = split.classNames.map((name) => BigInt(classNames.indexOf(name)));
  const labels = BigInt64Array.from(chosen.labels.data() as BigInt64Array, (label) => places[Number(label)] as bigint);
  chosen.labels.dispose();
  return { ...chosen, ...common, labels: tensor(labels, { shape: [labels.length], dtype: "int64" }) };
}

/**
 * Sorts the images of a split in the order of a record, with new images at the end. Returns the split itself if it has
 * that order already.
 */
export function inRecordedOrder(split: Split, run: DataRecord): Split {
  const files = run.splits[split.name]?.files ?? null;
  const { paths } = split;
  if (files === null || paths === undefined) return split;
  const places = new Map(files.map(({ path }, place) => [path, place]));
  const rank = paths.map((path) => places.get(path) ?? files.length);
  const order = Int32Array.from(paths.keys()).sort((a, b) => (rank[a] as number) - (rank[b] as number) || a - b);
  return order.every((place, i) => place === i) ? split : selectImages(split, { indices: order, name: split.name });
}
