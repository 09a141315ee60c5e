import { counted, wordFor } from "../../counted.ts";
import { SPLIT_NAMES, type SplitName } from "../splits/split.ts";
import { type DataRecord, type LeftOutImage, type SplitRecordOfData, wholeHash } from "./data-record.ts";
import { renamings, renamingText } from "./renamed.ts";

/** An image of a data record, with its class, split and digests. */
interface Known {
  path: string;
  split: SplitName;
  className: string;
  hash: string;
  /** Digest of the image and its mask together. */
  whole: string;
}

/** How the images differ between two records. A moved image is listed under the split that it was in before. */
interface Changes {
  added: Known[];
  gone: Known[];
  changed: Known[];
  relabelled: Known[];
  moved: Known[];
}

/** Number of example paths that a message names for each kind of change. */
const SHOWN = 2;

/**
 * Lists the differences between the data that a run was trained with and the present data, each as a clause of a
 * sentence: classes that were removed or added, classes and splits that appear to have been renamed, and for each split
 * the images that were added, removed, changed or given another class. The list is empty for the same data. The order
 * of the images does not matter.
 */
export function dataDifferences(run: DataRecord, now: DataRecord): string[] {
  const shape = ({ channels, imageSize }: DataRecord) => [channels, ...imageSize].join("x");
  const images = imageDifferences(run, now);
  const classes = classDifferences(run.classNames, now.classNames);
  const norm = ({ normalization: { mean, std } }: DataRecord) => JSON.stringify([mean, std]);
  // The normalisation of a named data set follows from its training images, whose differences are listed already. A
  // program may choose any normalisation, so only there a difference is reported.
  const follows = run.dataset !== null || now.dataset !== null || norm(run) === norm(now);
  return [
    ...classes,
    ...(classes.length + images.length === 0 ? [] : renamings(run, now).map(renamingText)),
    ...(shape(run) === shape(now) ? [] : [`images are ${shape(now)} (in the run ${shape(run)})`]),
    ...images,
    ...leftOutDifferences(run, now),
    ...(follows ? [] : [`the normalisation is ${norm(now)} (in the run ${norm(run)})`]),
  ];
}

/**
 * Differences between the images that a resumed run left out earlier and those that it leaves out now. A run leaves
 * images out when it continues with changed data.
 */
export function leftOutDifferences({ leftOut: run = [] }: DataRecord, { leftOut: now = [] }: DataRecord): string[] {
  const keys = (images: readonly LeftOutImage[]) =>
    new Map(images.map((image) => [JSON.stringify([image.path, image.className, image.hash]), image.path]));
  const [before, after] = [keys(run), keys(now)];
  const added = [...after].filter(([key]) => !before.has(key)).map(([, path]) => path);
  const gone = [...before].filter(([key]) => !after.has(key)).map(([, path]) => path);
  const parts = Object.entries({ added, gone }).flatMap(([word, paths]) =>
    paths.length === 0 ? [] : [`${paths.length} ${word} (${shown(paths)})`],
  );
  return parts.length === 0 ? [] : [`images that the run leaves out: ${parts.join(", ")}`];
}

/** The first paths of a list, with "..." if there are more. */
const shown = (paths: readonly string[]): string =>
  `${paths.slice(0, SHOWN).join(", ")}${paths.length > SHOWN ? ", ..." : ""}`;

const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(", ");

function classDifferences(run: readonly string[], now: readonly string[]): string[] {
  const gone = run.filter((name) => !now.includes(name));
  const added = now.filter((name) => !run.includes(name));
  const word = ({ length }: readonly string[]) => wordFor(length, "class");
  const verb = ({ length }: readonly string[]) => wordFor(length, "is", "are");
  if (gone.length + added.length === 0)
    return run.join("\0") === now.join("\0") ? [] : [`the classes are in another order: ${quoted(now)}`];
  return [
    ...(gone.length > 0 ? [`${word(gone)} ${quoted(gone)} of the run ${verb(gone)} missing`] : []),
    ...(added.length > 0 ? [`${word(added)} ${quoted(added)} ${verb(added)} new`] : []),
  ];
}

function imageDifferences(run: DataRecord, now: DataRecord): string[] {
  const names = SPLIT_NAMES.filter((name) => run.splits[name]?.digest !== now.splits[name]?.digest);
  if (names.length === 0) return [];
  const unnamed = names.filter((name) => run.splits[name]?.files == null || now.splits[name]?.files == null);
  const lost = unnamed.map((name) => `${name}: ${withoutNames(run.splits[name], now.splits[name])}`);
  const changes = changesOf(knownIn(run), knownIn(now));
  const told = SPLIT_NAMES.flatMap((name) => {
    if (unnamed.includes(name)) return [];
    const text = textOf(changes, name);
    return text === "" ? [] : [`${name}: ${text}`];
  });
  const found = [...lost, ...told];
  return found.length > 0 ? found : names.map((name) => `${name}: its images are different`);
}

/**
 * The difference of a split whose images have no paths. It can only compare counts, because nothing says which image is
 * which.
 */
function withoutNames(run: SplitRecordOfData | undefined, now: SplitRecordOfData | undefined): string {
  if (run === undefined || now === undefined)
    return run === undefined ? "the run has no such split" : "there is no such split now";
  const counts =
    run.images === now.images
      ? `${counted(now.images, "image")}`
      : `${counted(now.images, "image")}, in the run ${run.images}`;
  const classes =
    run.classCounts.join() === now.classCounts.join()
      ? ""
      : `, of the classes ${now.classCounts.join(", ")}, in the run ${run.classCounts.join(", ")}`;
  return `images or labels are different (${counts}${classes})`;
}

function knownIn({ splits, classNames }: DataRecord): Known[] {
  const seen = new Map<string, number>();
  return SPLIT_NAMES.flatMap((split) =>
    (splits[split]?.files ?? []).map(({ path, label, hash, mask }) => {
      // A CSV file may name the same file several times.
      const times = seen.get(path) ?? 0;
      seen.set(path, times + 1);
      const className = classNames[label] ?? String(label);
      return {
        path: times === 0 ? path : `${path} (${times + 1})`,
        split,
        className,
        hash,
        whole: wholeHash({ hash, mask }),
      };
    }),
  );
}

function changesOf(run: readonly Known[], now: readonly Known[]): Changes {
  const changes: Changes = { added: [], gone: [], changed: [], relabelled: [], moved: [] };
  const nowByPath = new Map(now.map((image) => [image.path, image]));
  const runPaths = new Set(run.map(({ path }) => path));
  const added = new Map<string, Known[]>();
  for (const image of now)
    if (!runPaths.has(image.path)) added.set(image.hash, [...(added.get(image.hash) ?? []), image]);
  for (const image of run) {
    const found = nowByPath.get(image.path);
    if (found !== undefined) compare(image, found, changes);
    else takeMoved(image, added, changes);
  }
  changes.added = [...added.values()].flat();
  return changes;
}

function compare(image: Known, found: Known, { changed, relabelled, moved }: Changes): void {
  if (found.className !== image.className) relabelled.push(found);
  else if (found.whole !== image.whole) changed.push(image);
  else if (found.split !== image.split) moved.push(found);
}

/**
 * An image whose path no longer exists counts as moved if its content is found under a new path, and as relabelled if
 * that path belongs to another class.
 */
function takeMoved(image: Known, added: Map<string, Known[]>, { gone, relabelled, moved }: Changes): void {
  const [found, ...rest] = added.get(image.hash) ?? [];
  if (found === undefined) {
    gone.push(image);
    return;
  }
  if (rest.length > 0) added.set(image.hash, rest);
  else added.delete(image.hash);
  const place = { ...found, split: image.split };
  if (found.className === image.className) moved.push(place);
  else relabelled.push(place);
}

const WORDS = {
  added: "added",
  gone: "gone",
  changed: "changed",
  relabelled: "relabelled",
  moved: "under another path or in another split",
} as const satisfies Record<keyof Changes, string>;

function textOf(changes: Changes, split: SplitName): string {
  const parts = (Object.keys(WORDS) as (keyof Changes)[]).flatMap((kind) => {
    const own = changes[kind].filter((image) => image.split === split);
    if (own.length === 0) return [];
    return [`${counted(own.length, "image")} ${WORDS[kind]} (${shown(own.map(({ path }) => path))})`];
  });
  return parts.join(", ");
}
