import { axisList, type CellAxes, movedAxes } from "./cell-axes.ts";
import type { NodeCells, Operand } from "./node-cells.ts";
import { reshapedAxes } from "./reshaped-axes.ts";

/** The cells of a node's results; null if they are not known. */
type Rule = (node: NodeCells) => CellAxes | null;

/** Operators that leave each value in its cell, whatever the dimensions mean. */
const POINTWISE = [
  ...["add", "sub", "mul", "div", "neg", "abs", "pow", "square", "sqrt", "rsqrt", "exp", "log", "clamp", "clamp_min"],
  ...["clamp_max", "maximum", "minimum", "where", "addcmul", "addcdiv", "lerp", "masked_fill", "type_as", "to"],
  ...["_to_copy", "clone", "contiguous", "alias", "detach", "lift_fresh_copy", "dropout", "native_dropout"],
  ...["feature_dropout", "alpha_dropout", "feature_alpha_dropout", "relu", "relu6", "gelu", "silu", "mish", "sigmoid"],
  ...[
    "tanh",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "elu",
    "celu",
    "selu",
    "prelu",
    "rrelu",
    "softplus",
  ],
  ...["log_sigmoid", "threshold", "sin", "cos", "softmax", "_softmax", "log_softmax", "batch_norm", "layer_norm"],
  ...["native_layer_norm", "group_norm", "native_group_norm", "instance_norm", "rms_norm", "native_batch_norm"],
  ...["_native_batch_norm_legit_no_training", "_native_batch_norm_legit", "expand", "expand_as"],
];

/** Operators on maps (N, C, h, w) that keep the order of rows and columns. */
const ON_MAPS = [
  ...["conv2d", "convolution", "_convolution", "conv_transpose2d", "max_pool2d", "max_pool2d_with_indices"],
  ...["avg_pool2d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d", "upsample_nearest2d"],
  ...["upsample_bilinear2d", "upsample_bicubic2d", "_upsample_bilinear2d_aa", "pixel_shuffle", "pixel_unshuffle"],
  ...["channel_shuffle", "native_channel_shuffle", "reflection_pad2d", "replication_pad2d"],
];

const REDUCTIONS = ["mean", "sum", "amax", "amin", "linalg_vector_norm", "norm", "max", "min"];

/** The first operand whose cells the result has too; one with fewer cells is broadcast. */
function pointwise(node: NodeCells): CellAxes | null {
  const { result } = node;
  const fits = ({ axes, sizes }: Operand) => {
    if (axes === null || result === null || sizes === null) return axes !== null;
    return sizes.length === result.length && axisList(axes).every((axis) => sizes[axis] === result[axis]);
  };
  return node.operands.find(fits)?.axes ?? null;
}

const isMaps = (axes: CellAxes | null): boolean =>
  axes !== null && "row" in axes && axes.row === 2 && axes.column === 3;

const onMaps: Rule = ({ main }) => (isMaps(main.axes) ? main.axes : null);

/** The last dimension is mixed, so it must hold no cells. */
const onLast: Rule = ({ main: { axes, sizes } }) =>
  axes !== null && sizes !== null && !axisList(axes).includes(sizes.length - 1) ? axes : null;

function permute(node: NodeCells): CellAxes | null {
  const dims = node.numbers("dims").map((dim) => node.dimension(dim));
  return movedAxes(node.main.axes, (axis) => dims.indexOf(axis));
}

/** `swapaxes` calls its dimensions axis0 and axis1. */
function transpose(node: NodeCells): CellAxes | null {
  const of = (name: string) => node.number(`dim${name}`, node.number(`axis${name}`, Number.NaN));
  const [a, b] = ["0", "1"].map((name) => node.dimension(of(name))) as [number, number];
  if (!(a >= 0 && b >= 0)) return null;
  return movedAxes(node.main.axes, (axis) => (axis === a ? b : axis === b ? a : axis));
}

const reshape: Rule = ({ main: { axes, sizes }, result }) =>
  axes === null || sizes === null || result === null ? null : reshapedAxes(axes, sizes, result);

/** Dimensions without cells are taken out, or become 1. */
function reduction(node: NodeCells): CellAxes | null {
  const dims = node.numbers("dim").map((dim) => node.dimension(dim));
  return dims.length === 0 ? null : without(node.main.axes, dims, node.flag("keepdim"));
}

function without(axes: CellAxes | null, dims: readonly number[], keep = false): CellAxes | null {
  if (dims.some(Number.isNaN)) return null;
  const behind = (axis: number) => axis - (keep ? 0 : dims.filter((dim) => dim < axis).length);
  return movedAxes(axes, (axis) => (dims.includes(axis) ? Number.NaN : behind(axis)));
}

const takenOut: Rule = (node) => without(node.main.axes, [node.dimension(node.number("dim", 0))]);

function unsqueeze(node: NodeCells): CellAxes | null {
  const dim = node.dimension(node.number("dim", Number.NaN), (node.main.sizes?.length ?? Number.NaN) + 1);
  return Number.isNaN(dim) ? null : movedAxes(node.main.axes, (axis) => (axis >= dim ? axis + 1 : axis));
}

/** Parts along a dimension without cells. */
function divided(node: NodeCells): CellAxes | null {
  const { axes } = node.main;
  const dim = node.dimension(node.number("dim", 0));
  return axes === null || Number.isNaN(dim) || axisList(axes).includes(dim) ? null : axes;
}

/** A slice may leave out cells one by one (x[:, ::2]), or tokens in front, but not a side of the image. */
function slice(node: NodeCells): CellAxes | null {
  const { axes, sizes } = node.main;
  const dim = node.dimension(node.number("dim", 0));
  if (axes === null || Number.isNaN(dim)) return null;
  if (!axisList(axes).includes(dim)) return axes;
  const [size, kept] = [sizes?.[dim], node.result?.[dim]].map(Number) as [number, number];
  const [start, step] = [node.number("start", 0), node.number("step", 1)];
  if ("row" in axes) return start < step && kept === Math.ceil((size - start) / step) ? axes : null;
  const isRest = step === 1 && start >= 0 && kept === size - start && start <= axes.prefix;
  return isRest ? { ...axes, prefix: axes.prefix - start } : null;
}

/** Tokens in front of the cells (a class token) shift them; nothing may follow. */
function cat(node: NodeCells): CellAxes | null {
  const { operands } = node;
  const at = operands.findIndex(({ axes }) => axes !== null);
  const axes = operands[at]?.axes ?? null;
  const dim = node.dimension(node.number("dim", 0), operands[at]?.sizes?.length);
  if (axes === null || Number.isNaN(dim)) return null;
  if (!axisList(axes).includes(dim)) return axes;
  if ("row" in axes || at !== operands.length - 1) return null;
  const before = operands.slice(0, at).map(({ sizes }) => Number(sizes?.[dim]));
  const prefix = before.reduce((sum, size) => sum + size, axes.prefix);
  return Number.isNaN(prefix) ? null : { ...axes, prefix };
}

function stack(node: NodeCells): CellAxes | null {
  const first = node.operands.find(({ axes }) => axes !== null);
  const dim = node.dimension(node.number("dim", 0), (first?.sizes?.length ?? Number.NaN) + 1);
  return Number.isNaN(dim) ? null : movedAxes(first?.axes ?? null, (axis) => (axis >= dim ? axis + 1 : axis));
}

/** Rows of the left matrix, or else columns of the right one: attention gives the cells of its queries. */
function matmul(node: NodeCells): CellAxes | null {
  const { operands, result } = node;
  const [left, right] = operands;
  const count = result?.length ?? Number.NaN;
  const has = (operand: Operand | undefined, mixed: number) =>
    operand?.axes != null && operand.sizes?.length === count && !axisList(operand.axes).includes(count - mixed);
  if (has(left, 1)) return left?.axes ?? null;
  return has(right, 2) ? (right?.axes ?? null) : null;
}

/** Zeros around the cells; in front of tokens they would shift them. */
const pad: Rule = ({ main: { axes } }) => (axes !== null && "row" in axes ? axes : null);

export const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...POINTWISE.map((name) => [name, pointwise] as const),
  ...ON_MAPS.map((name) => [name, onMaps] as const),
  ...REDUCTIONS.map((name) => [name, reduction] as const),
  ...["view", "reshape", "_unsafe_view", "flatten", "unflatten", "reshape_as", "view_as", "squeeze"].map(
    (name) => [name, reshape] as const,
  ),
  ...["split", "split_with_sizes", "chunk"].map((name) => [name, divided] as const),
  ...["select", "unbind"].map((name) => [name, takenOut] as const),
  ...["transpose", "swapaxes", "swapdims"].map((name) => [name, transpose] as const),
  ...["matmul", "bmm"].map((name) => [name, matmul] as const),
  ...["pad", "constant_pad_nd"].map((name) => [name, pad] as const),
  ["permute", permute],
  ["linear", onLast],
  ["unsqueeze", unsqueeze],
  ["slice", slice],
  ["cat", cat],
  ["stack", stack],
  ["scaled_dot_product_attention", onLast],
]);
