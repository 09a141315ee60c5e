import { BatchCamError } from "../../errors.ts";
import { outputNames, valueNames } from "./aliases.ts";
import { labelOf, partsOf } from "./node-names.ts";
import type { Argument, Node, Program, ValueName } from "./program.ts";

// The two ends of the network, found in its graph: the layer that takes the images, and the one that gives the logits.

/** A layer with a weight, found by its node. */
export interface WeightedLayer {
  /** Path of the module that has the weight. */
  readonly path: string;
  readonly node: Node;
  /** Its weight and bias in the program; null if it has none. */
  readonly weight: ValueName;
  readonly bias: ValueName | null;
}

/** Operators that pass the values on, in another shape or by the mean of their positions. */
const SHAPES = new Set([
  ...["view", "reshape", "flatten", "squeeze", "unsqueeze", "contiguous", "clone", "alias", "detach", "_unsafe_view"],
  ...["to", "_to_copy", "permute", "transpose", "lift_fresh_copy"],
]);
const DROPOUTS = new Set(["dropout", "native_dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"]);
const POOLS = new Set(["adaptive_avg_pool2d", "mean", "avg_pool2d"]);
const WEIGHTED = new Set(["linear", "addmm", "conv2d", "convolution"]);
const NO_LOGITS = new Set(["softmax", "_softmax", "log_softmax", "_log_softmax", "sigmoid"]);

/** The nodes of a program by what they define. */
export class Definitions {
  readonly #nodes = new Map<ValueName, Node>();
  readonly #tensors: ReadonlyMap<ValueName, string>;

  constructor(program: Program) {
    for (const node of program.graph.nodes)
      for (const name of node.outputs.flatMap(outputNames)) this.#nodes.set(name, node);
    this.#tensors = new Map(program.tensors.flatMap(({ value, name }) => (value === null ? [] : [[value, name]])));
  }

  nodeOf(name: ValueName): Node | undefined {
    return this.#nodes.get(name);
  }

  /** The name of a parameter of the program that a value is, perhaps transposed; undefined for another value. */
  parameterOf(name: ValueName): { value: ValueName; name: string } | undefined {
    const known = this.#tensors.get(name);
    if (known !== undefined) return { value: name, name: known };
    const node = this.nodeOf(name);
    const isTransposed = node !== undefined && ["t", "transpose", "permute"].includes(partsOf(node.target).base);
    const [source] = isTransposed ? node.inputs.flatMap(({ argument }) => valueNames(argument)) : [];
    return source === undefined ? undefined : this.parameterOf(source);
  }

  weightedLayer(node: Node): WeightedLayer | null {
    const isAddmm = partsOf(node.target).base === "addmm";
    const weight = this.#argument(node, isAddmm ? "mat2" : "weight");
    if (weight === undefined || !/(?:^|\.)weight$/.test(weight.name)) return null;
    const bias = this.#argument(node, isAddmm ? "self" : "bias");
    return { path: weight.name.replace(/\.?weight$/, ""), node, weight: weight.value, bias: bias?.value ?? null };
  }

  #argument(node: Node, name: string): { value: ValueName; name: string } | undefined {
    const given = argumentOf(node, name);
    return given?.kind === "value" ? this.parameterOf(given.name) : undefined;
  }
}

export const argumentOf = (node: Node, name: string): Argument | undefined =>
  node.inputs.find((input) => input.name === name)?.argument;

/** The value that a node passes on: its first tensor. */
const mainInput = (node: Node): ValueName | undefined => node.inputs.flatMap(({ argument }) => valueNames(argument))[0];

/**
 * The linear layer (or the convolution) that gives the logits; null if something else does.
 *
 * @throws E_DATA if a softmax or sigmoid follows, because its output is not logits
 */
export function classifierOf(program: Program, definitions: Definitions, source: string): WeightedLayer | null {
  let name: ValueName | undefined = program.output;
  while (name !== undefined) {
    const node = definitions.nodeOf(name);
    if (node === undefined) return null;
    const base = partsOf(node.target).base.replace(/_$/, "");
    if (NO_LOGITS.has(base)) throw noLogits(node, source);
    if (WEIGHTED.has(base)) return definitions.weightedLayer(node);
    const passes = SHAPES.has(base) || DROPOUTS.has(base) || POOLS.has(base) || base === "relu";
    name = passes ? mainInput(node) : undefined;
  }
  return null;
}

function noLogits(node: Node, source: string): BatchCamError {
  return new BatchCamError(
    "E_DATA",
    `loadExportedModel: ${source}: the output of the program is that of ${labelOf(node)}, and not the logits: export the model without it`,
  );
}

/** The first convolution that reads the images; null if none does. */
export function firstConvOf(program: Program, definitions: Definitions): WeightedLayer | null {
  const fromImages = new Set<ValueName>([program.input.value]);
  for (const node of program.graph.nodes) {
    const { base } = partsOf(node.target);
    const main = mainInput(node);
    if (main === undefined || !fromImages.has(main)) continue;
    if (base === "conv2d" || base === "convolution") return definitions.weightedLayer(node);
    const keepsChannels = SHAPES.has(base) || ["sub", "add", "mul", "div", "pad", "constant_pad_nd"].includes(base);
    if (keepsChannels) for (const name of node.outputs.flatMap(outputNames)) fromImages.add(name);
  }
  return null;
}

/**
 * The value whose maps the classifier reads by their global average or flattened, if nothing else happens between them; null
 * otherwise, and if the logits are not the classifier's own output.
 */
export function pooledMaps(
  program: Program,
  definitions: Definitions,
  classifier: WeightedLayer | null,
): ValueName | null {
  if (classifier === null || partsOf(classifier.node.target).base !== "linear") return null;
  if (!classifier.node.outputs.flatMap(outputNames).includes(program.output)) return null;
  let name = mainInput(classifier.node);
  let isPooled = false;
  while (name !== undefined) {
    const node: Node | undefined = definitions.nodeOf(name);
    if (node === undefined) return null;
    const { base } = partsOf(node.target);
    const isPool: boolean = !isPooled && isGlobalMean(node);
    const keeps = ["flatten", "view", "reshape", "squeeze", "contiguous", "clone", "alias"].includes(base);
    const p = argumentOf(node, "p");
    const isIdle = DROPOUTS.has(base) && p !== undefined && "value" in p && p.value === 0;
    if (!isPool && !keeps && !isIdle) return name;
    isPooled ||= isPool;
    name = mainInput(node);
  }
  return null;
}

function isGlobalMean(node: Node): boolean {
  const { base } = partsOf(node.target);
  const numbers = (name: string): number[] => {
    const given = argumentOf(node, name);
    const items = given?.kind === "list" ? given.items : given === undefined ? [] : [given];
    return items.map((item) => (item.kind === "int" ? item.value : Number.NaN));
  };
  if (base === "adaptive_avg_pool2d") return numbers("output_size").every((side) => side === 1);
  const dims = numbers("dim").map((dim) => (dim < 0 ? dim + 4 : dim));
  return base === "mean" && dims.length === 2 && dims.includes(2) && dims.includes(3);
}
