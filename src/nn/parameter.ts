import { expectNumber, optionsOf, wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { keep, noGrad, type Tensor, tensor, tidy } from "../tensor/index.ts";
import { expectTensor } from "../tensor/internal.ts";

/**
 * The role of a tensor in the module that owns it. A buffer that is not persistent is converted and listed as the others, but
 * is in no state dict; a constant is only converted.
 */
export type Role = "parameter" | "buffer" | "non-persistent buffer" | "constant";

const roles = new WeakMap<object, Role>();

/**
 * Marks a tensor as a trainable weight of the module that it is assigned to, and exempts it from every `tidy`. Returns
 * the same tensor.
 *
 * @throws E_DTYPE unless it is a floating-point tensor, E_ARGUMENT if autograd made it from other tensors
 */
export function parameter(tensor: Tensor, options: { requiresGrad?: boolean } = {}): Tensor {
  const { requiresGrad = true } = optionsOf("parameter", options, ["requiresGrad"]);
  expectTensor(tensor, "parameter: tensor");
  if (!tensor.dtype.includes("float")) {
    throw new BatchCamError(
      "E_DTYPE",
      `parameter: needs a floating-point dtype, got ${tensor.dtype}; use buffer() for what is not trained`,
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

/** Marks a tensor as state that a module saves but does not train, such as running statistics, and exempts it from every `tidy`. */
export function buffer(tensor: Tensor): Tensor {
  expectTensor(tensor, "buffer: tensor");
  return mark(tensor, "buffer");
}

export function mark(tensor: Tensor, role: Role): Tensor {
  roles.set(keep(tensor), role);
  return tensor;
}

export function roleOf(value: unknown): Role | undefined {
  return typeof value === "object" && value !== null ? roles.get(value) : undefined;
}

export type FanMode = "fanIn" | "fanOut";

/** fanIn and fanOut of a weight (out, in, ...kernel), as torch defines them. */
function fansOf(weight: Tensor): { fanIn: number; fanOut: number } {
  expectTensor(weight, "init: weight");
  const [outputs, inputs, ...kernel] = weight.sizes;
  if (outputs === undefined || inputs === undefined) {
    throw new BatchCamError(
      "E_SHAPE",
      `init: a fan needs a weight of two dimensions or more, got [${weight.sizes.join(", ")}]`,
    );
  }
  const field = kernel.reduce((product, size) => product * size, 1);
  return { fanIn: inputs * field, fanOut: outputs * field };
}

function fanOf(operation: string, weight: Tensor, mode: FanMode): number {
  if (mode !== "fanIn" && mode !== "fanOut") throw wrongArgument(`${operation}: mode`, '"fanIn" or "fanOut"', mode);
  return fansOf(weight)[mode];
}

/**
 * Draws from the uniform distribution in ±√3·gain/√fan, gain = √(2 / (1 + a²)): He et al. 2015, with torch's default
 * slope for layers, a = √5.
 */
export function kaimingUniform_(weight: Tensor, options: { a?: number; mode?: FanMode } = {}): Tensor {
  const { a = Math.sqrt(5), mode = "fanIn" } = optionsOf("kaimingUniform_", options, ["a", "mode"]);
  expectNumber("kaimingUniform_: a", a);
  const deviation = Math.sqrt(2 / (1 + a ** 2)) / Math.sqrt(fanOf("kaimingUniform_", weight, mode));
  const bound = Math.sqrt(3) * deviation;
  return noGrad(() => weight.uniform_(-bound, bound));
}

/** Draws from the normal distribution with standard deviation √2/√fan, for layers followed by a ReLU: He et al. 2015. */
export function kaimingNormal_(weight: Tensor, options: { mode?: FanMode } = {}): Tensor {
  const { mode = "fanOut" } = optionsOf("kaimingNormal_", options, ["mode"]);
  const deviation = Math.SQRT2 / Math.sqrt(fanOf("kaimingNormal_", weight, mode));
  return noGrad(() => weight.normal_(0, deviation));
}

/** Draws from the uniform distribution in ±1/√fanIn, with fanIn of the weight that the bias belongs to. */
export function biasUniform_(bias: Tensor, weight: Tensor): Tensor {
  const bound = 1 / Math.sqrt(fansOf(weight).fanIn);
  expectTensor(bias, "biasUniform_: bias");
  return noGrad(() => bias.uniform_(-bound, bound));
}

export interface TruncatedNormalOptions {
  mean?: number;
  std?: number;
  /** Values are limited to [min, max], which are absolute as in torch and timm, not multiples of `std`. */
  min?: number;
  max?: number;
}

/**
 * The largest float32 below 1. Draws of `uniform_` are limited to it, because erf⁻¹(−1) is infinite and would give an
 * outlier at `min`.
 */
const BELOW_ONE = 1 - 2 ** -24;

/** Draws normal values within [min, max], by the inverse of the cumulative distribution function: torch's `trunc_normal_`. */
export function truncatedNormal_(weight: Tensor, options: TruncatedNormalOptions = {}): Tensor {
  const {
    mean = 0,
    std = 1,
    min = -2,
    max = 2,
  } = optionsOf("truncatedNormal_", options, ["mean", "std", "min", "max"]);
  expectTensor(weight, "truncatedNormal_: weight");
  for (const [name, value] of Object.entries({ mean, std, min, max })) expectNumber(`truncatedNormal_: ${name}`, value);
  if (!(std > 0 && min < max)) {
    throw new BatchCamError(
      "E_ARGUMENT",
      `truncatedNormal_: needs std > 0 and min < max, got std ${std}, min ${min}, max ${max}`,
    );
  }
  const [low, high] = [erf((min - mean) / std / Math.SQRT2), erf((max - mean) / std / Math.SQRT2)];
  return noGrad(() =>
    weight
      .uniform_(low, high)
      .clamp_(-BELOW_ONE, BELOW_ONE)
      .erfinv_()
      .mul_(std * Math.SQRT2)
      .add_(mean)
      .clamp_(min, max),
  );
}

const erf = (x: number): number => tidy(() => tensor([x], { dtype: "float64" }).erf().item());
