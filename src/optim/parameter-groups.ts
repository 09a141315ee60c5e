import { types } from "node:util";
import { describeValue, expectMap, expectNumber, expectString, optionsOf, wrongArgument } from "../arguments.ts";
import { handleOf } from "../tensor/core.ts";
import type { Tensor } from "../tensor/index.ts";
import { expectSetting, type ParameterGroup } from "./parameters.ts";

export interface ParameterGroupsOptions {
  lr: number;
  weightDecay: number;
  /** Factor of the learning rate from one layer to the one before it; 1 trains every layer at the same rate. */
  layerDecay?: number;
  /** The layers from the input to the head, as patterns of parameter names; see `layersOf`. */
  layers?: readonly RegExp[];
  /** Whether what has at most one dimension (norms, biases, GRN) is free of weight decay, as in timm. */
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
  expectNumber("parameterGroups: layerDecay", layerDecay, "lie in (0, 1]", (n) => n > 0 && n <= 1);
  for (const [name, param] of named) handleOf(param, `parameterGroups: ${describeValue(name)}`);
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
 * The layer of each parameter, 0 at the input. Names are sorted by the first pattern that they match, then by the numbers
 * that it captures; one that matches none belongs to the head, the last layer.
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
