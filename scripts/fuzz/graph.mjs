// Damages the graph of a program of torch.export (.pt2) so that most copies can still be read: what the nodes compute is changed.
import { storedEntries, zipWithoutSums } from "./program.mjs";

/** @import { Random } from "./random.mjs" */

/** @typedef {Record<string, any>} Json a value of the file's JSON; its fields are those of torch's schema */
/** @typedef {{ name: string, arg: Json }} Input */
/** @typedef {{ target: string, inputs: Input[], outputs: Json[] }} GraphNode */
/** @typedef {{ program: Json, weights: Json[], nodes: GraphNode[], values: string[] }} Parts */

const PROGRAM = /(?:^|\/)(?:models\/model|serialized_exported_program)\.json$/;
const WEIGHTS = /model_weights_config\.json$/;

/** Whole numbers that sizes, dimensions, strides and steps are changed to: most are plausible, some are far too large. */
const INTEGERS = [
  0,
  1,
  -1,
  2,
  3,
  4,
  5,
  7,
  8,
  16,
  -2,
  -7,
  64,
  1000,
  65536,
  2 ** 20,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 40,
  2 ** 62,
];
const FLOATS = [0, -1, 0.5, 1, 2, 1e-45, 1e38, -1e38, 1e300, "NaN", "Infinity", "-Infinity"];

/** Operators that take sizes, indices or windows, or whose results share memory: the most likely ones to trust their arguments. */
const OPERATORS = [
  ..."adaptive_avg_pool2d.default adaptive_max_pool2d.default add.Tensor add_.Tensor addmm.default arange.default".split(
    " ",
  ),
  ..."argsort.default as_strided.default as_strided_.default avg_pool2d.default baddbmm.default bernoulli.p bmm.default".split(
    " ",
  ),
  ..."bucketize.Tensor cat.default channel_shuffle.default clone.default col2im.default constant_pad_nd.default".split(
    " ",
  ),
  ..."conv1d.default conv2d.default conv3d.default conv_transpose2d.input convolution.default copy_.default".split(" "),
  ..."cumsum.default diagonal.default diff.default div.Tensor dropout.default einsum.default embedding.default".split(
    " ",
  ),
  ..."empty.memory_format expand.default eye.default fft_fft2.default fill_.Scalar flatten.using_ints flip.default".split(
    " ",
  ),
  ..."full.default gather.default gelu.default grid_sampler.default group_norm.default im2col.default index.Tensor".split(
    " ",
  ),
  ..."index_add.default index_put.default index_select.default instance_norm.default kthvalue.default".split(" "),
  ..."layer_norm.default linalg_inv.default linear.default linspace.default logsumexp.default lstm.input".split(" "),
  ..."masked_fill.Scalar masked_select.default matmul.default max.dim max_pool2d.default max_pool2d_with_indices.default".split(
    " ",
  ),
  ..."max_unpool2d.default mean.dim mm.default mul.Tensor multinomial.default narrow.default native_batch_norm.default".split(
    " ",
  ),
  ..."native_group_norm.default native_layer_norm.default nonzero.default one_hot.default ones.default pad.default".split(
    " ",
  ),
  ..."permute.default pixel_shuffle.default pixel_unshuffle.default pow.Tensor_Scalar quantile.default randperm.default".split(
    " ",
  ),
  ..."reflection_pad2d.default relu.default relu_.default repeat.default repeat_interleave.self_int".split(" "),
  ..."replication_pad2d.default reshape.default resize_.default roll.default rot90.default scalar_tensor.default".split(
    " ",
  ),
  ..."scaled_dot_product_attention.default scatter.src scatter_add.default searchsorted.Tensor select.int".split(" "),
  ..."set_.source_Tensor slice.Tensor softmax.int sort.default split.Tensor split_with_sizes.default squeeze.dim".split(
    " ",
  ),
  ..."stack.default std.correction sum.dim_IntList sym_size.int take_along_dim.default tensor_split.sections tile.default".split(
    " ",
  ),
  ..."topk.default transpose.int tril.default tril_indices.default unbind.int unfold.default unsqueeze.default".split(
    " ",
  ),
  ..."upsample_bicubic2d.vec upsample_bilinear2d.vec upsample_nearest2d.vec var_mean.correction view.default view.dtype".split(
    " ",
  ),
  ..."view_as_complex.default where.self zeros.default zeros_like.default".split(" "),
  ..."_assert_async.msg _native_batch_norm_legit.default _native_batch_norm_legit_no_training.default _to_copy.default".split(
    " ",
  ),
  ..."_scaled_dot_product_flash_attention_for_cpu.default _softmax.default _unsafe_index.Tensor _unsafe_view.default".split(
    " ",
  ),
  ..."_adaptive_avg_pool2d.default _embedding_bag.default _pdist_forward.default _cdist_forward.default".split(" "),
];

/**
 * A copy of a program whose graph computes something else: one to four changes of its nodes, or of the sizes that it names.
 *
 * @param {Buffer} zip
 * @param {Random} random
 */
export function mutateGraph(zip, random) {
  const entries = storedEntries(zip);
  const jsonOf = (/** @type {RegExp} */ pattern) => entries.find(({ name }) => pattern.test(name));
  const [program, weights] = [jsonOf(PROGRAM), jsonOf(WEIGHTS)];
  if (program === undefined) throw new Error("the archive has no program");
  const parse = (/** @type {Buffer} */ data) =>
    JSON.parse(data.toString().replaceAll(/-?\b(?:Infinity|NaN)\b(?!")/g, "0"));
  const json = parse(program.data);
  const config = weights === undefined ? {} : parse(weights.data);
  const parts = { program: json, weights: Object.values(config.config ?? {}), ...nodesOf(json) };
  for (let count = 1 + random.below(4); count > 0; count--) random.pick(CHANGES)(parts, random);
  program.data = Buffer.from(JSON.stringify(json));
  if (weights !== undefined) weights.data = Buffer.from(JSON.stringify(config));
  return zipWithoutSums(entries);
}

/**
 * The nodes of a program with those of its blocks, and the names of its values.
 *
 * @param {Json} program
 * @returns {Pick<Parts, "nodes" | "values">}
 */
function nodesOf(program) {
  /** @type {GraphNode[]} */
  const nodes = [];
  const values = new Set();
  const open = [program.graph_module.graph];
  for (let graph = open.pop(); graph !== undefined; graph = open.pop()) {
    for (const name of Object.keys(graph.tensor_values ?? {})) values.add(name);
    for (const node of graph.nodes) {
      nodes.push(node);
      for (const { arg } of node.inputs) if (arg.as_graph) open.push(arg.as_graph.graph);
    }
  }
  return { nodes, values: [...values] };
}

/**
 * The ways to change a program. Each changes the parts that it is given.
 *
 * @type {readonly ((parts: Parts, random: Random) => void)[]}
 */
const CHANGES = [
  changeConstant,
  changeConstant,
  changeConstant,
  changeConstant,
  rewire,
  rewire,
  swapArguments,
  moveArgument,
  swapTargets,
  otherOperator,
  otherOperator,
  otherList,
  changeOrder,
  changeValue,
  changeWeight,
  changeEnds,
];

/** @param {Parts} parts @param {Random} random */
function changeConstant({ nodes }, random) {
  const { inputs } = random.pick(nodes);
  if (inputs.length === 0) return;
  const { arg } = random.pick(inputs);
  const [kind = ""] = Object.keys(arg);
  if (kind === "as_int") arg[kind] = random.pick(INTEGERS);
  else if (kind === "as_ints" && arg[kind].length > 0)
    arg[kind][random.below(arg[kind].length)] = random.pick(INTEGERS);
  else if (kind === "as_float") arg[kind] = random.pick(FLOATS);
  else if (kind === "as_bool") arg[kind] = !arg[kind];
  else if (kind === "as_scalar_type") arg[kind] = random.below(16);
  else if (kind === "as_sym_int") arg[kind] = { as_int: random.pick(INTEGERS) };
  else if (kind === "as_sym_ints" && arg[kind].length > 0)
    arg[kind][random.below(arg[kind].length)] = { as_int: random.pick(INTEGERS) };
}

/** A list of numbers gets another length. @param {Parts} parts @param {Random} random */
function otherList({ nodes }, random) {
  const lists = nodes.flatMap(({ inputs }) => inputs.filter(({ arg }) => Array.isArray(arg.as_ints)));
  if (lists.length === 0) return;
  const length = random.below(7);
  random.pick(lists).arg.as_ints = Array.from({ length }, () => random.pick(INTEGERS));
}

/** An input reads another value of the program. @param {Parts} parts @param {Random} random */
function rewire({ nodes, values }, random) {
  const reading = nodes.flatMap(({ inputs }) => inputs.filter(({ arg }) => arg.as_tensor !== undefined));
  if (reading.length > 0) random.pick(reading).arg.as_tensor.name = random.pick(values);
}

/** @param {Parts} parts @param {Random} random */
function swapArguments({ nodes }, random) {
  const { inputs } = random.pick(nodes);
  if (inputs.length < 2) return;
  const [a, b] = [random.pick(inputs), random.pick(inputs)];
  [a.arg, b.arg] = [b.arg, a.arg];
}

/** An argument comes from another node. @param {Parts} parts @param {Random} random */
function moveArgument({ nodes }, random) {
  const [from, to] = [random.pick(nodes).inputs, random.pick(nodes).inputs];
  if (from.length > 0 && to.length > 0) random.pick(to).arg = structuredClone(random.pick(from).arg);
}

/** @param {Parts} parts @param {Random} random */
function swapTargets({ nodes }, random) {
  const [a, b] = [random.pick(nodes), random.pick(nodes)];
  [a.target, b.target] = [b.target, a.target];
}

/**
 * A node calls another operator, with the node's arguments by position, and often with more numbers.
 *
 * @param {Parts} parts
 * @param {Random} random
 */
function otherOperator({ nodes, values }, random) {
  const node = random.pick(nodes);
  node.target = `torch.ops.aten.${random.pick(OPERATORS)}`;
  if (random.below(4) === 0) return;
  const more = [
    () => ({ as_int: random.pick(INTEGERS) }),
    () => ({ as_ints: Array.from({ length: random.below(5) }, () => random.pick(INTEGERS)) }),
    () => ({ as_tensor: { name: random.pick(values) } }),
    () => ({ as_tensors: [{ name: random.pick(values) }, { name: random.pick(values) }] }),
    () => ({ as_float: random.pick(FLOATS) }),
    () => ({ as_bool: random.below(2) === 0 }),
    () => ({ as_none: true }),
  ];
  const kept = node.inputs.slice(0, 1 + random.below(3)).map((input) => ({ ...input, name: "", kind: 1 }));
  const added = Array.from({ length: random.below(4) }, () => ({ name: "", arg: random.pick(more)(), kind: 1 }));
  node.inputs = [...kept, ...added];
}

/** Two nodes change places, or one runs twice or not at all. @param {Parts} parts @param {Random} random */
function changeOrder({ program }, random) {
  const { nodes } = program.graph_module.graph;
  const [a, b] = [random.below(nodes.length), random.below(nodes.length)];
  const way = random.below(3);
  if (way === 0) [nodes[a], nodes[b]] = [nodes[b], nodes[a]];
  else if (way === 1) nodes.splice(a, 1);
  else nodes.splice(b, 0, structuredClone(nodes[a]));
}

/** The size, the dtype or the stride that the program names for a value. @param {Parts} parts @param {Random} random */
function changeValue({ program }, random) {
  const described = Object.values(program.graph_module.graph.tensor_values);
  changeTensor(/** @type {Json} */ (random.pick(described)), random);
}

/** The same for a weight. @param {Parts} parts @param {Random} random */
function changeWeight({ weights }, random) {
  const described = weights.flatMap(({ tensor_meta: meta }) => meta ?? []);
  if (described.length > 0) changeTensor(random.pick(described), random);
}

/** @param {Json} description @param {Random} random */
function changeTensor(description, random) {
  const number = { as_int: random.pick(INTEGERS) };
  const way = random.below(5);
  if (way === 0) description.dtype = random.below(16);
  else if (way === 1) description.storage_offset = number;
  else if (way === 2) description.requires_grad = !description.requires_grad;
  else {
    const list = way === 3 ? description.sizes : description.strides;
    if (Array.isArray(list) && list.length > 0) list[random.below(list.length)] = number;
  }
}

/** Changes the inputs and outputs of the program. @param {Parts} parts @param {Random} random */
function changeEnds({ program, values }, random) {
  const { graph, signature } = program.graph_module;
  const way = random.below(4);
  const name = random.pick(values);
  if (way === 0) graph.outputs = [{ as_tensor: { name } }];
  else if (way === 1) random.pick(/** @type {Json[]} */ (graph.inputs)).as_tensor = { name };
  else if (way === 2) [graph.inputs[0], graph.inputs[1]] = [graph.inputs[1], graph.inputs[0]];
  else {
    const specs = random.pick([signature.input_specs, signature.output_specs]);
    const [spec] = Object.values(/** @type {Json} */ (random.pick(specs)));
    if (spec?.arg !== undefined) spec.arg = spec.arg.as_tensor ? { as_tensor: { name } } : { name };
  }
}
