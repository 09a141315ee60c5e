import { BatchCamError } from "../errors.ts";
import { tensor } from "../tensor/index.ts";
import { type DataRecord, earlierSplits } from "./data-record.ts";
import type { Split } from "./split.ts";
import type { SplitName } from "./split-names.ts";
import { selectImages } from "./validation-split.ts";

type Splits = Partial<Record<SplitName, Split>> & { train: Split; test: Split };

/** Other images as a run takes them, and what was left out for that. */
export interface AdaptedSplits {
  splits: Splits;
  warnings: string[];
}

/**
 * Other images under the classes, in their order, and the normalisation of a run. Left out are images of classes that the run does not
 * know, and validation and test images that the run was trained on (or chosen by), under whatever path.
 *
 * @param what names the data in messages
 * @throws E_DATA for images of another size, and for a split of which nothing is left
 */
export function underClassesOf(run: DataRecord, splits: Splits, what: string): AdaptedSplits {
  const { images } = splits.train;
  const [, channels, ...size] = images.sizes;
  const fault = (problem: string) => new BatchCamError("E_DATA", `${what}: ${problem}`);
  if (channels !== run.channels || size.join() !== run.imageSize.join())
    throw fault(
      `images are ${[channels, ...size].join("x")}, the run takes ${[run.channels, ...run.imageSize].join("x")}`,
    );
  const warnings: string[] = [];
  const adapted = (Object.entries(splits) as [SplitName, Split][]).map(([name, split]) => {
    const kept = keptOf(run, { name, split }, warnings);
    if (kept.length === 0) throw fault(`no image of ${name} is left that the run can take: ${warnings.join("; ")}`);
    return [name, selected(run, split, kept)] as const;
  });
  return { splits: Object.fromEntries(adapted) as Splits, warnings };
}

/** Places of the images of a split that a run can take. */
function keptOf(run: DataRecord, { name, split }: { name: SplitName; split: Split }, warnings: string[]): number[] {
  const { classNames, paths, hashes } = split;
  const labels = Array.from(split.labels.data() as BigInt64Array, Number);
  const unknown = new Map<string, number>();
  const earlier = earlierSplits(run, { byContent: true });
  let seen = 0;
  const kept = [...labels.entries()].flatMap(([place, label]) => {
    const className = classNames[label] ?? String(label);
    if (!run.classNames.includes(className)) {
      unknown.set(className, (unknown.get(className) ?? 0) + 1);
      return [];
    }
    const [path, hash] = [paths?.[place], hashes?.[place]];
    const before = path === undefined || hash === undefined ? undefined : earlier({ relative: path, hash });
    const spoilt = before !== undefined && RANK[before] < RANK[name];
    if (spoilt) seen++;
    return spoilt ? [] : [place];
  });
  for (const [className, count] of unknown)
    warnings.push(`left out: ${count} ${name} images of "${className}", a class that the run does not know`);
  if (seen > 0) warnings.push(`left out: ${seen} ${name} images that the run was trained or chosen by`);
  return kept;
}

/** What a model has seen of one split must not judge it in a later one. */
const RANK: Readonly<Record<SplitName, number>> = { train: 0, val: 1, test: 2 };

/** Shares the images of a split that stays whole. */
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

/** The images in the order of a record, new ones behind; the split itself where that is its order. */
export function inRecordedOrder(split: Split, run: DataRecord): Split {
  const files = run.splits[split.name]?.files ?? null;
  const { paths } = split;
  if (files === null || paths === undefined) return split;
  const places = new Map(files.map(({ path }, place) => [path, place]));
  const rank = paths.map((path) => places.get(path) ?? files.length);
  const order = Int32Array.from(paths.keys()).sort((a, b) => (rank[a] as number) - (rank[b] as number) || a - b);
  return order.every((place, i) => place === i) ? split : selectImages(split, { indices: order, name: split.name });
}
