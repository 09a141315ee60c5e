import { keep, type TensorCore } from "./core.ts";

/** Functions that free what this thread keeps only to save time, called by `emptyCache`. */
const releases: (() => void)[] = [];

/** Registers a function that frees memory which can be made again. Called once for each module that holds such memory. */
export function onEmptyCache(release: () => void): void {
  releases.push(release);
}

export function releaseCaches(): void {
  for (const release of releases) release();
}

/** The largest number of bytes that one cache of constants holds. */
const CAPACITY = 2 ** 24;

/**
 * Constant tensors by name, such as the weights of a resizing: the least recently used ones are freed once they exceed a number
 * of bytes together, and all of them by `emptyCache`. A tensor of more than a quarter of these bytes is not kept, so that those
 * returned last, which the caller still computes with, are never the ones that are freed.
 */
export class TensorCache<T extends TensorCore> {
  readonly #tensors = new Map<string, T>(); // in the order of their last use
  readonly #capacity: number;
  #bytes = 0;

  constructor(capacity = CAPACITY) {
    this.#capacity = capacity;
    onEmptyCache(() => this.clear());
  }

  get(key: string, make: () => T): T {
    const found = this.#tensors.get(key);
    if (found !== undefined) {
      this.#tensors.delete(key);
      this.#tensors.set(key, found);
      return found;
    }
    const made = make();
    if (made.nbytes > this.#capacity / 4) return made;
    this.#tensors.set(key, keep(made));
    this.#bytes += made.nbytes;
    for (const [oldest, tensor] of this.#tensors) {
      if (this.#bytes <= this.#capacity) break;
      this.#tensors.delete(oldest);
      this.#bytes -= tensor.nbytes;
      tensor.dispose();
    }
    return made;
  }

  clear(): void {
    for (const tensor of this.#tensors.values()) tensor.dispose();
    this.#tensors.clear();
    this.#bytes = 0;
  }
}
