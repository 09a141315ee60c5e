import { expectString } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { type DType, noGrad, type Tensor } from "../tensor/index.ts";
import { mark, type Role } from "./parameter.ts";

/** A property of a module that holds a parameter or a buffer. */
export interface TensorSlot {
  readonly owner: object;
  readonly key: string;
  readonly tensor: Tensor;
  readonly role: Role;
}

const FLOATING: readonly string[] = ["float32", "float64", "bfloat16", "float16"] satisfies DType[];
const OTHER: readonly string[] = ["int64", "int32", "int16", "int8", "uint8", "bool"] satisfies DType[];

/** Converts the tensors of a module tree and puts the results in their places; on a failure nothing has changed. */
export function replaceTensors(slots: readonly TensorSlot[], targets: readonly string[]): void {
  for (const target of targets) expectString("Module.to: target", target);
  const wrong = targets.find((target) => OTHER.includes(target));
  if (wrong !== undefined) {
    throw new BatchCamError(
      "E_DTYPE",
      `Module.to: weights need one of ${FLOATING.join(", ")} (or a device), got ${wrong}`,
    );
  }
  const converted = new Map(slots.map(({ tensor }) => [tensor, convert(tensor, targets)]));
  for (const { owner, key, tensor, role } of slots) {
    const made = converted.get(tensor) as Tensor;
    if (made === tensor) continue;
    made.requiresGrad = tensor.requiresGrad;
    (owner as Record<string, Tensor>)[key] = mark(made, role);
  }
  for (const [tensor, made] of converted) if (made !== tensor) tensor.dispose();
}

function convert(tensor: Tensor, targets: readonly string[]): Tensor {
  const floating = FLOATING.includes(tensor.dtype);
  let value = tensor;
  for (const target of targets) {
    const unchanged = FLOATING.includes(target) ? !floating || value.dtype === target : value.device === target;
    if (unchanged) continue;
    const next = noGrad(() => value.to(target));
    if (value !== tensor) value.dispose();
    value = next;
  }
  return value;
}
