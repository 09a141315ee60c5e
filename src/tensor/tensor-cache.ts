import { keep, type TensorCore } from "./core.ts";

/** The functions that free the caches of this thread. `emptyCache` calls them. */
const releases: (() => void)[] = [];

/** Registers a function that frees a cache. Each source file with a cache calls it once. */
export function onEmptyCache(release: () => void): void {
  releases.push(release);
}

export function releaseCaches(): void {
  for (const release of releases) release();
}

/** The largest number of bytes in one cache of constants. */
const CAPACITY = 2 ** 24;

/**
 * Constant tensors by name, such as interpolation weights. If they exceed a total size, the least recently used ones are freed;
 * `emptyCache` frees all. A tensor of more than a quarter of that size is not kept, so that the tensors returned last, which the caller
 * still uses, are never freed.
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
