import type { Split } from "../data/index.ts";
import type { SplitName } from "../data/split-names.ts";
import type { Tensor } from "../tensor/index.ts";

/** The splits of a data set; one that the files do not name is absent. */
export type Parts = Partial<Record<SplitName, Split>> & { train: Split; test: Split };

/** The tensors of splits, of which many share theirs. */
export class OwnedSplits {
  readonly #others: ReadonlySet<Tensor>;
  #own = new Set<Tensor>();

  /** @param others splits of somebody else, which are never freed */
  constructor(others: Partial<Parts> = {}) {
    this.#others = new Set(tensorsOf(others));
  }

  add(parts: Parts): void {
    for (const tensor of tensorsOf(parts)) if (!this.#others.has(tensor)) this.#own.add(tensor);
  }

  /** Frees all that these splits do not use. */
  keep(parts: Parts): void {
    this.add(parts);
    const kept = new Set(tensorsOf(parts));
    for (const tensor of this.#own) if (!kept.has(tensor)) tensor.dispose();
    this.#own = new Set([...this.#own].filter((tensor) => kept.has(tensor)));
  }

  dispose(): void {
    for (const tensor of this.#own) tensor.dispose();
    this.#own.clear();
  }
}

const tensorsOf = (parts: Partial<Parts>): Tensor[] =>
  Object.values(parts).flatMap(({ images, labels, masks }) => [
    images,
    labels,
    ...(masks === undefined ? [] : [masks]),
  ]);
