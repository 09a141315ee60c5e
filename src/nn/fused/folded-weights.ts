import { keep, type Tensor, tidy } from "../../tensor/index.ts";
import { onEmptyCache, versionOf } from "../../tensor/internal.ts";

/** The weights that inference uses in place of a convolution's weights and the norm after it. */
export interface Folded {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly dtype: "float32" | "bfloat16";
  /**
   * The convolution's padding if the weights keep their layout for `winogradConv`; null if they are laid out for oneDNN's
   * kernel.
   */
  readonly winogradPadding: number | null;
  /**
   * The largest sum of the magnitudes of one output channel's weights. The convolution multiplies the largest magnitude
   * by at most this factor.
   */
  readonly gain: number;
  /** Largest magnitude of the bias. */
  readonly shift: number;
}

interface Entry extends Folded {
  readonly sources: readonly Tensor[];
  readonly versions: readonly number[];
  readonly purpose: string;
  readonly layer: WeakRef<object>;
}

/** The layers that have an entry, for `emptyCache`: a WeakMap does not list its keys. */
const layers = new Set<WeakRef<object>>();
const forgotten = new FinalizationRegistry<WeakRef<object>>((layer) => layers.delete(layer));
onEmptyCache(() => {
  for (const layer of [...layers]) {
    const alive = layer.deref();
    if (alive !== undefined) forgetFolded(alive);
  }
});

const entries = new WeakMap<object, Entry>();

/**
 * The folded weights of a layer. They are computed again if one of their sources was changed in place or replaced, or if they are needed
 * for another dtype or size. Each layer has one set, which no tidy frees. It exists until `forgetFolded` or `emptyCache` is called.
 */
export function foldedWeights(
  layer: object,
  { sources, purpose, make }: { sources: readonly Tensor[]; purpose: string; make: () => Folded },
): Folded {
  const found = entries.get(layer);
  const versions = sources.map(versionOf);
  const same = (source: Tensor, index: number) =>
    found?.sources[index] === source && found.versions[index] === versions[index];
  if (found?.purpose === purpose && found.sources.length === sources.length && sources.every(same)) return found;
  forgetFolded(layer);
  const made = tidy(make);
  keep(made.weight);
  keep(made.bias);
  const entry = { ...made, sources, versions, purpose, layer: new WeakRef(layer) };
  entries.set(layer, entry);
  layers.add(entry.layer);
  forgotten.register(layer, entry.layer, entry.layer);
  return entry;
}

/** Frees what `foldedWeights` made for a layer. */
export function forgetFolded(layer: object): void {
  const entry = entries.get(layer);
  if (entry === undefined) return;
  entry.weight.dispose();
  entry.bias.dispose();
  entries.delete(layer);
  layers.delete(entry.layer);
  forgotten.unregister(entry.layer);
}
