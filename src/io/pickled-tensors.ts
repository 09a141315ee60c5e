import { describePickled } from "./pickle-value.ts";
import type { TensorFile } from "./tensor-file.ts";
import { readPickle } from "./torch-file.ts";
import { ForeignTensor, type TorchLayout, TorchTensor } from "./torch-globals.ts";

/** An entry of a dict of torch.save, whose values have not been read. */
export type PickledTensor =
  | { readonly layout: TorchLayout; readonly isParameter: boolean; readonly requiresGrad: boolean }
  /** The reason why the entry cannot be read: "has a sparse layout". */
  | { readonly problem: string };

/** The entries of a dict that torch.save wrote, by name. A file of 0 bytes has none. */
export async function readPickledTensors(file: TensorFile): Promise<Map<string, PickledTensor>> {
  if (file.size === 0) return new Map();
  const dict = await readPickle(file);
  if (!(dict instanceof Map)) return file.fail(`expected a dict of tensors, got ${describePickled(dict)}`);
  const tensors = new Map<string, PickledTensor>();
  for (const [name, value] of dict) {
    if (typeof name !== "string") return file.fail(`expected names that are strings, got ${describePickled(name)}`);
    if (value instanceof TorchTensor) tensors.set(name, value);
    else if (value instanceof ForeignTensor) tensors.set(name, { problem: `has ${value.problem}` });
    else tensors.set(name, { problem: `is ${describePickled(value)}, not a tensor` });
  }
  return tensors;
}
