import { findOperator, type OperatorSchema } from "../../tensor/internal.ts";
import { partsOf } from "./node-names.ts";
import type { Argument, Node } from "./program.ts";

/** The operator of a node's target, "aten.add_.Tensor"; null if this libtorch does not have it. */
export function operatorOf(target: string): OperatorSchema | null {
  const { namespace, base, overload } = partsOf(target);
  return findOperator(`${namespace}::${base}`, overload);
}

/** Whether the operator writes to one of its arguments. */
export const writesToArgument = (operator: OperatorSchema): boolean => operator.args.some(({ type }) => type.writes);

/**
 * Operators whose counterpart that does not write has a derivative of its own. That of others, such as `copy`, may have none; these write
 * to a copy of their argument.
 */
const COUNTERPARTS = new Set([
  ...["relu_", "relu6_", "hardtanh_", "hardswish_", "hardsigmoid_", "leaky_relu_", "silu_", "mish_", "elu_", "celu_"],
  ...["selu_", "sigmoid_", "tanh_", "clamp_", "clamp_min_", "clamp_max_", "threshold_", "exp_", "sqrt_", "rsqrt_"],
  ...["add_", "sub_", "mul_", "div_", "pow_", "neg_", "abs_", "square_", "addcmul_", "addcdiv_", "lerp_"],
  ...["masked_fill_", "unsqueeze_", "squeeze_", "transpose_", "t_", "detach_"],
]);

/** The operator that computes the same without writing: `relu` for `relu_`. Null if there is none that can be differentiated. */
export function outOfPlace(target: string): OperatorSchema | null {
  const { namespace, base, overload } = partsOf(target);
  if (!COUNTERPARTS.has(base)) return null;
  const own = findOperator(`${namespace}::${base}`, overload);
  const twin = findOperator(`${namespace}::${base.slice(0, -1)}`, overload);
  if (own === null || twin === null || twin.args.length !== own.args.length) return null;
  return own.args.every(({ name }, i) => twin.args[i]?.name === name) ? twin : null;
}

/**
 * The overload for a number in the place of a tensor: `mul.Scalar` for a `mul.Tensor` whose `other` is a number. It is what
 * PyTorch computes for such a call, with the same rules for dtypes. The target itself if there is none.
 */
export function withScalarOverload(node: Node, isNumber: (argument: Argument) => boolean): string {
  const { namespace, base, overload } = partsOf(node.target);
  if (overload !== "Tensor") return node.target;
  const other = node.inputs.find(({ name }) => name === "other");
  if (other === undefined || !isNumber(other.argument)) return node.target;
  const scalar = findOperator(`${namespace}::${base}`, "Scalar");
  const given = new Set(node.inputs.map(({ name }) => name));
  const takesAll = scalar !== null && [...given].every((name) => scalar.args.some((arg) => arg.name === name));
  return takesAll ? `${namespace}.${base}.Scalar` : node.target;
}

/** Views that the file asks for, which hold for the layout that its tensors had in memory when the model was exported. */
const VIEWS: readonly string[] = ["aten.view.default", "aten._unsafe_view.default"];

/**
 * The node with `reshape` in the place of `view`. This engine's kernels lay some results out in another way (channels last, or the
 * heads of an attention), of which a view may not exist.
 */
export function inAnyLayout(node: Node): Node {
  if (!VIEWS.includes(node.target)) return node;
  const inputs = node.inputs.map((input) => (input.name === "size" ? { ...input, name: "shape" } : input));
  return { ...node, target: "aten.reshape.default", inputs };
}
