import type { TrainConfig } from "../../config/index.ts";
import { counted, wordFor } from "../../counted.ts";
import { batchIndices, type Split, type SplitName, selectImages } from "../../data/index.ts";
import { lowestDraws } from "../../data/internal.ts";
import type { Tensor } from "../../tensor/index.ts";

/** The test images that a config evaluates on: all of them, or a selection that depends only on their number. */
export const limitTest = (test: Split, config: Pick<TrainConfig, "limitTest">): Split =>
  limit(test, config.limitTest, 0);

/** Splits, limited to the numbers of images that a config allows. */
export function limited({ train, val, test }: WithValidation, config: TrainConfig): WithValidation {
  return {
    train: limit(train, config.limitTrain, config.seed),
    val: limit(val, config.limitVal, config.seed),
    ...(test === undefined ? {} : { test: limitTest(test, config) }),
  };
}

export function limitWarnings(
  config: TrainConfig,
  { found, whole }: { found: Parts; whole: WithValidation },
): string[] {
  const unused = found.val !== undefined && config.valImages !== undefined;
  const own = unused ? ["valImages is not used: the data set has a validation split of its own"] : [];
  if (config.fastDevRun) return own;
  return [
    ...own,
    ...tooFew("limitTrain", config.limitTrain, whole.train),
    ...tooFew("limitVal", config.limitVal, whole.val),
    ...(whole.test === undefined ? [] : tooFew("limitTest", config.limitTest, whole.test)),
  ];
}

/** Makes a data set that has the same few images for training and validation. */
export function overfitted(
  train: Split,
  { overfitBatches = 1, batchSize, seed }: TrainConfig,
): { train: Split; val: Split } {
  const indices = choice(train, Math.min(overfitBatches * batchSize, train.labels.numel), seed);
  return { train: selectImages(train, { indices, name: "train" }), val: selectImages(train, { indices, name: "val" }) };
}

function tooFew(key: string, asked: number | undefined, { labels }: Split): string[] {
  if (asked === undefined || asked <= labels.numel) return [];
  return [
    `${key} is ${asked}, but there ${wordFor(labels.numel, "is", "are")} ${counted(labels.numel, "image")} to take from: all of them are used`,
  ];
}

function limit(split: Split, count: number | undefined, seed: number): Split {
  if (count === undefined || count >= split.labels.numel) return split;
  return selectImages(split, { indices: choice(split, count, seed), name: split.name });
}

/** A seeded selection of `count` images: by their paths, or by the order of epoch 0, which no training epoch uses. */
function choice({ labels, paths }: Split, count: number, seed: number): Int32Array {
  if (paths !== undefined) return lowestDraws(paths, count, { purpose: "limit", seed });
  const [indices = new Int32Array()] = batchIndices(labels.numel, { batchSize: count, seed, epoch: 0 });
  return indices;
}

/** The splits of a data set or of a program. A split that the files do not name, or that was not passed, is absent. */
export type Parts = Partial<Record<SplitName, Split>> & { train: Split };

/** Splits of which the validation split is known. */
export type WithValidation = Parts & { val: Split };

/** The tensors of splits, each once, because splits can share tensors. */
export class OwnedSplits {
  readonly #others: ReadonlySet<Tensor>;
  #own = new Set<Tensor>();

  /** @param others splits that belong to the caller, which are never freed */
  constructor(others: readonly (Split | undefined)[] = []) {
    this.#others = new Set(tensorsOf(others));
  }

  add(parts: Parts): void {
    for (const tensor of tensorsOf(Object.values(parts))) if (!this.#others.has(tensor)) this.#own.add(tensor);
  }

  /** Frees every tensor that the given splits do not use. */
  keep(parts: Parts): void {
    this.add(parts);
    const kept = new Set(tensorsOf(Object.values(parts)));
    for (const tensor of this.#own) if (!kept.has(tensor)) tensor.dispose();
    this.#own = new Set([...this.#own].filter((tensor) => kept.has(tensor)));
  }

  dispose(): void {
    for (const tensor of this.#own) tensor.dispose();
    this.#own.clear();
  }
}

/** A value that is not a split, which a program may pass, has no tensors here and is refused later. */
const tensorsOf = (splits: readonly (Split | undefined)[]): Tensor[] =>
  splits.flatMap((split) => [split?.images, split?.labels, split?.masks].filter((tensor) => tensor !== undefined));
