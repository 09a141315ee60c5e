import { keep, type Tensor, tidy } from "../tensor/index.ts";
import { versionOf } from "../tensor/version.ts";

/** What inference computes with in place of a convolution's weights and the norm behind it. */
export interface Folded {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly dtype: "float32" | "bfloat16";
  /** The convolution's padding where the weights are as they were, for `convAct`; null where they are laid out for oneDNN's kernel. */
  readonly pointsPadding: number | null;
  /** Largest sum of the magnitudes of one output channel's weights: by how much the largest value can grow. */
  readonly gain: number;
  /** Largest magnitude of the bias. */
  readonly shift: number;
}

interface Entry extends Folded {
  readonly sources: readonly Tensor[];
  readonly versions: readonly number[];
  readonly purpose: string;
}

const entries = new WeakMap<object, Entry>();

/**
 * The folded weights of a layer, made anew where one of their sources was changed in place or replaced, or where they are needed
 * for another purpose (a dtype, a size). One set lives for each layer, outside every tidy, until `forgetFolded`.
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
  const entry = { ...made, sources, versions, purpose };
  entries.set(layer, entry);
  return entry;
}

/** Frees what `foldedWeights` made for a layer. */
export function forgetFolded(layer: object): void {
  const entry = entries.get(layer);
  if (entry === undefined) return;
  entry.weight.dispose();
  entry.bias.dispose();
  entries.delete(layer);
}
