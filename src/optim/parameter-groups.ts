import { types } from "node:util";
import {
  describeValue,
  expectMap,
  expectNumber,
  expectString,
  itemsOf,
  optionsOf,
  wrongArgument,
} from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import type { Tensor } from "../tensor/index.ts";
import { expectTensor, isTensor } from "../tensor/internal.ts";

/**
 * Tensors, or pairs of names and tensors as `namedParameters()` returns them. With names, the optimizer's state does not depend on the
 * order.
 */
export type Parameters = Iterable<Tensor | readonly [string, Tensor]>;

/** Parameters with settings of their own. Settings that are left out are those of the optimizer. */
export interface ParameterGroup {
  params: Parameters;
  /** The group's learning rate. If the optimizer's rate is changed, the ratio to it is kept. */
  lr?: number;
  weightDecay?: number;
}

/** A parameter with the state that the optimizer keeps for it. */
export interface Slot {
  /** The parameter's name, or its index among all parameters. */
  readonly name: string;
  readonly param: Tensor;
  /** The number of steps of this parameter. */
  step: number;
  /** The buffers, by torch's names; empty before the first step. */
  buffers: Record<string, Tensor>;
}

export interface Group {
  readonly slots: readonly Slot[];
  /** The group's rate as a multiple of the optimizer's. */
  readonly scale: number;
  readonly weightDecay: number;
}

interface Defaults {
  lr: number;
  weightDecay: number;
}

/** Reads parameters or groups of parameters, and refuses tensors that cannot be optimized. */
export function readGroups(
  operation: string,
  params: Parameters | Iterable<ParameterGroup>,
  defaults: Defaults,
): readonly Group[] {
  const expected = "tensors, [name, tensor] pairs or { params } groups";
  const items: readonly unknown[] = itemsOf<unknown>(`${operation}: params`, params, expected);
  const groups = items.some(isGroup) ? items : [{ params: items }];
  const seen = new Map<Tensor, string>();
  const read = groups.map((group) => {
    if (!isGroup(group))
      throw new BatchCamError("E_ARGUMENT", `${operation}: params mixes parameter groups and tensors`);
    return readGroup(operation, group, { defaults, seen });
  });
  if (seen.size === 0)
    throw new BatchCamError("E_ARGUMENT", `${operation}: params is empty; pass model.namedParameters()`);
  return read;
}

function isGroup(value: unknown): value is ParameterGroup {
  return typeof value === "object" && value !== null && "params" in value;
}

function readGroup(
  operation: string,
  group: ParameterGroup,
  context: { defaults: Defaults; seen: Map<Tensor, string> },
): Group {
  const { defaults, seen } = context;
  const { lr, weightDecay = defaults.weightDecay } = optionsOf(`${operation}: group`, group, [
    "params",
    "lr",
    "weightDecay",
  ]);
  expectSetting(operation, { weightDecay, ...(lr === undefined ? {} : { lr }) });
  if (lr !== undefined && defaults.lr === 0) {
    throw new BatchCamError(
      "E_ARGUMENT",
      `${operation}: a group with its own lr needs an optimizer lr > 0, to which it keeps its ratio`,
    );
  }
  const params = itemsOf<Tensor | readonly [string, Tensor]>(
    `${operation}: params`,
    group.params,
    "tensors or [name, tensor] pairs",
  );
  const slots = params.map((item) => readSlot(operation, item, seen));
  return { slots, weightDecay, scale: lr === undefined ? 1 : lr / defaults.lr };
}

function readSlot(operation: string, item: Tensor | readonly [string, Tensor], seen: Map<Tensor, string>): Slot {
  const [name, param]: readonly unknown[] = Array.isArray(item) ? item : [String(seen.size), item];
  if (typeof name !== "string" || !isTensor(param)) {
    throw new BatchCamError(
      "E_ARGUMENT",
      `${operation}: params must hold tensors, [name, tensor] pairs or { params } groups, got ${describeValue(param)}`,
    );
  }
  expectTensor(param, `${operation}: parameter "${name}"`);
  const problem = problemWith(name, param as Tensor, seen);
  if (problem !== undefined) throw new BatchCamError("E_ARGUMENT", `${operation}: parameter "${name}" ${problem}`);
  seen.set(param as Tensor, name);
  return { name, param: param as Tensor, step: 0, buffers: {} };
}

function problemWith(name: string, param: Tensor, seen: ReadonlyMap<Tensor, string>): string | undefined {
  if (!param.dtype.includes("float")) return `must have a floating-point dtype, got ${param.dtype}`;
  if (!param.isLeaf) return "is the result of recorded operations; optimize the tensor it was made from";
  if (seen.has(param)) return `is the same tensor as "${seen.get(param)}"; name each once`;
  if ([...seen.values()].includes(name)) return "shares its name with another";
  return undefined;
}

/** Fails with E_ARGUMENT unless every setting is finite and not negative. */
export function expectSetting(operation: string, settings: Record<string, number>): void {
  for (const [name, value] of Object.entries(settings)) {
    if (Number.isFinite(value) && value >= 0) continue;
    throw new BatchCamError("E_ARGUMENT", `${operation}: ${name} must be a number >= 0, got ${describeValue(value)}`);
  }
}

/** Fails with E_ARGUMENT unless every setting is in [0, 1). */
export function expectShare(operation: string, settings: Record<string, number>): void {
  for (const [name, value] of Object.entries(settings)) {
    if (typeof value === "number" && value >= 0 && value < 1) continue;
    throw new BatchCamError("E_ARGUMENT", `${operation}: ${name} must be in [0, 1), got ${describeValue(value)}`);
  }
}

export interface ParameterGroupsOptions {
  lr: number;
  weightDecay: number;
  /** Factor between the learning rates of a layer and the layer after it; with 1 every layer has the same rate. */
  layerDecay?: number;
  /** The layers from the input to the head, as patterns of parameter names; see `layersOf`. */
  layers?: readonly RegExp[];
  /** Whether parameters of at most one dimension (norms, biases, GRN) have no weight decay, as in timm. */
  filterBiasAndBn?: boolean;
}

/**
 * Parameters in groups for an optimizer, as timm's `param_groups_layer_decay`: layer l of L (from 0 at the input) learns at
 * `lr · layerDecay^(L − 1 − l)`, and norms and biases (at most one dimension) have no weight decay.
 *
 * @throws E_ARGUMENT for a layerDecay outside (0, 1]
 */
export function parameterGroups(named: ReadonlyMap<string, Tensor>, options: ParameterGroupsOptions): ParameterGroup[] {
  const {
    lr,
    weightDecay,
    layerDecay = 1,
    layers = [],
    filterBiasAndBn = true,
  } = optionsOf("parameterGroups", options, ["lr", "weightDecay", "layerDecay", "layers", "filterBiasAndBn"]);
  expectMap("parameterGroups: named", named);
  expectSetting("parameterGroups", { lr, weightDecay });
  expectNumber("parameterGroups: layerDecay", layerDecay, "be in (0, 1]", (n) => n > 0 && n <= 1);
  for (const [name, param] of named) expectTensor(param, `parameterGroups: ${describeValue(name)}`);
  const depths = layersOf([...named.keys()], layers);
  const last = Math.max(0, ...depths.values());
  const groups = new Map<string, ParameterGroup & { params: [string, Tensor][] }>();
  for (const [name, param] of named) {
    const decay = filterBiasAndBn && param.ndim <= 1 ? 0 : weightDecay;
    const rate = lr * layerDecay ** (last - (depths.get(name) ?? last));
    const key = `${rate} ${decay}`;
    const group = groups.get(key) ?? { params: [], lr: rate, weightDecay: decay };
    group.params.push([name, param]);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/**
 * The layer of each parameter, 0 at the input. Layers are ordered by the first pattern that a name matches, and then by
 * the numbers that the pattern captures. A name that matches no pattern belongs to the head, which is the last layer.
 */
export function layersOf(names: readonly string[], patterns: readonly RegExp[]): Map<string, number> {
  if (!Array.isArray(names)) throw wrongArgument("layersOf: names", "an array of parameter names", names);
  for (const name of names) expectString("layersOf: a name", name);
  if (!Array.isArray(patterns) || !patterns.every(types.isRegExp))
    throw wrongArgument("layersOf: patterns", "an array of regular expressions", patterns);
  const places = new Map(names.map((name) => [name, placeOf(name, patterns)]));
  const order = [...new Map(Array.from(places.values(), (place) => [place.join(), place])).values()].sort(inOrder);
  const depths = new Map(order.map((place, depth) => [place.join(), depth]));
  return new Map(Array.from(places, ([name, place]) => [name, depths.get(place.join()) as number]));
}

function placeOf(name: string, patterns: readonly RegExp[]): number[] {
  for (const [index, pattern] of patterns.entries()) {
    const match = pattern.exec(name);
    if (match !== null) return [index, ...match.slice(1).map((part) => Number(part ?? 0))];
  }
  return [patterns.length];
}

function inOrder(a: readonly number[], b: readonly number[]): number {
  const differing = a.findIndex((value, i) => value !== (b[i] ?? -1));
  return differing < 0 ? a.length - b.length : (a[differing] as number) - (b[differing] ?? -1);
}
