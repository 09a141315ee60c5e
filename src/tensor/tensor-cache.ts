import { versionOf } from "./autograd.ts";
import { isTensor, keep, type TensorCore, tidy } from "./core.ts";

/** The functions that free the caches of this thread. `emptyCache` calls them. */
const releases: (() => void)[] = [];

/** Registers a function that frees a cache. Each source file with a cache calls it once. */
function onEmptyCache(release: () => void): void {
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

/** A value that was derived from some tensors, and the state of these tensors at that time. */
interface Entry {
  readonly made: object;
  readonly sources: readonly TensorCore[];
  readonly versions: readonly number[];
  readonly purpose: string;
  readonly owner: WeakRef<object>;
}

const entries = new WeakMap<object, Entry>();

/** The objects that have an entry, for `emptyCache`: a WeakMap does not list its keys. */
const owners = new Set<WeakRef<object>>();
const collected = new FinalizationRegistry<WeakRef<object>>((owner) => owners.delete(owner));
onEmptyCache(() => {
  for (const owner of [...owners]) {
    const alive = owner.deref();
    if (alive !== undefined) forgetDerived(alive);
  }
});

export interface Derivation<T> {
  /** The tensors that the values are computed from. */
  readonly sources: readonly TensorCore[];
  /** Names what the values are for: values for another purpose replace them. */
  readonly purpose: string;
  readonly make: () => T;
}

/**
 * Tensors derived from others, such as folded weights: the properties of what `make` returns. They are computed again if one of their
 * sources was changed in place or replaced, or if they are needed for another purpose. Each owner has one set, which no tidy frees. It
 * exists until `forgetDerived` or `emptyCache` is called.
 */
export function derivedTensors<T extends object>(owner: object, { sources, purpose, make }: Derivation<T>): T {
  const found = entries.get(owner);
  const versions = sources.map(versionOf);
  const same = (source: TensorCore, index: number) =>
    found?.sources[index] === source && found.versions[index] === versions[index];
  if (found?.purpose === purpose && found.sources.length === sources.length && sources.every(same))
    return found.made as T;
  forgetDerived(owner);
  const made = tidy(make);
  for (const value of Object.values(made)) if (isTensor(value)) keep(value);
  const entry = { made, sources, versions, purpose, owner: new WeakRef(owner) };
  entries.set(owner, entry);
  owners.add(entry.owner);
  collected.register(owner, entry.owner, entry.owner);
  return made;
}

/** Frees what `derivedTensors` made for an owner. */
export function forgetDerived(owner: object): void {
  const entry = entries.get(owner);
  if (entry === undefined) return;
  for (const value of Object.values(entry.made)) if (isTensor(value)) value.dispose();
  entries.delete(owner);
  owners.delete(entry.owner);
  collected.unregister(entry.owner);
}
