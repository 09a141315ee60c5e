import type { TensorCore } from "./core.ts";

const names = new WeakMap<TensorCore, string>();

/** Remembers of which layer a tensor is the output, for messages. */
export function nameTap(tensor: TensorCore, layer: string): void {
  names.set(tensor, layer);
}

/** The layer whose output a tensor is, where a forward pass told it. */
export const tapName = (tensor: TensorCore): string | undefined => names.get(tensor);
