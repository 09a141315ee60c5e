import { optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { handleOf } from "../tensor/core.ts";
import { keep, type Tensor } from "../tensor/index.ts";

/** What a tensor is to the module that owns it. */
export type Role = "parameter" | "buffer";

const roles = new WeakMap<object, Role>();

/**
 * Marks a tensor as a trainable weight of the module that it is assigned to, and makes it outlive every `tidy`. Returns
 * the tensor itself.
 *
 * @throws E_DTYPE unless it is floating, E_ARGUMENT where autograd made it from other tensors.
 */
export function parameter(tensor: Tensor, options: { requiresGrad?: boolean } = {}): Tensor {
  const { requiresGrad = true } = optionsOf("parameter", options, ["requiresGrad"]);
  handleOf(tensor, "parameter: tensor");
  if (!tensor.dtype.includes("float")) {
    throw new BatchCamError(
      "E_DTYPE",
      `parameter: needs a floating dtype, got ${tensor.dtype}; use buffer() for what is not trained`,
    );
  }
  if (!tensor.isLeaf) {
    throw new BatchCamError(
      "E_ARGUMENT",
      "parameter: the tensor is the result of recorded operations; detach() it first",
    );
  }
  tensor.requiresGrad = requiresGrad;
  return mark(tensor, "parameter");
}

/** Marks a tensor as state that a module saves but does not train (running statistics); it outlives every `tidy`. */
export function buffer(tensor: Tensor): Tensor {
  handleOf(tensor, "buffer: tensor");
  return mark(tensor, "buffer");
}

export function mark(tensor: Tensor, role: Role): Tensor {
  roles.set(keep(tensor), role);
  return tensor;
}

export function roleOf(value: unknown): Role | undefined {
  return typeof value === "object" && value !== null ? roles.get(value) : undefined;
}
