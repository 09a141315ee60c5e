import type { Tensor } from "../tensor/index.ts";
import { isTensor, versionOf } from "../tensor/internal.ts";

/**
 * Where a module's output comes from: "own" says that nobody else holds its memory; "input" that it is an input of the module, as
 * of `Identity`; "rewritten" that it is one that the module changed in place, or a view of one; "unknown" that it may be a view of an
 * input, or kept by the module.
 */
export type OutputOrigin = "own" | "input" | "rewritten" | "unknown";

/** Where an output comes from, of a module whose inputs had these versions before it ran. */
export function originOf(output: unknown, inputs: readonly unknown[], before: readonly number[]): OutputOrigin {
  if (!isTensor(output)) return "unknown";
  const version = versionOf(output);
  // A view has the version of what it is a view of, and an output of its own has hardly ever that of a changed input.
  const isRewritten = inputs.some(
    (input, i) => isTensor(input) && versionOf(input) !== before[i] && versionOf(input) === version,
  );
  if (isRewritten) return "rewritten";
  return inputs.includes(output) ? "input" : "unknown";
}

/** Whether an output may be the input of its module, or a view of it, that the module left as it was. */
export const mayShare = (origin: OutputOrigin): boolean => origin === "input" || origin === "unknown";

interface Handed<M> {
  readonly module: M;
  readonly tensor: Tensor;
  readonly version: number;
}

/** Outputs that copies took the place of, to find out whether either was changed in place afterwards. */
export class SharedOutputs<M extends object> {
  readonly #outputs: Handed<M>[] = [];
  readonly #copies: Handed<M>[] = [];

  add(module: M, output: Tensor, next: Tensor): void {
    if (!isTensor(output)) return;
    this.#outputs.push({ module, tensor: output, version: versionOf(output) });
    this.#copies.push({ module, tensor: next, version: versionOf(next) });
  }

  /** Modules whose own output was changed, which only somebody can do who has its memory under another name. */
  changedElsewhere(): Set<M> {
    return changedOf(this.#outputs);
  }

  /** Modules whose output or its copy was changed. */
  changed(): Set<M> {
    return changedOf([...this.#outputs, ...this.#copies]);
  }
}

function changedOf<M>(handed: readonly Handed<M>[]): Set<M> {
  const changed = handed.filter(({ tensor, version }) => !tensor.isDisposed && versionOf(tensor) !== version);
  return new Set(changed.map(({ module }) => module));
}
