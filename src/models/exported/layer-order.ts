import type { Model } from "../model.ts";
import type { Graph } from "./program.ts";

/**
 * The layers from the input to the head as patterns of parameter names: one for each layer with a matrix of weights. Norms and the like
 * belong to the layer before them.
 */
export function layerPatternsOf(graph: Graph, model: Model): RegExp[] {
  const parameters = [...model.namedParameters()];
  const groups: string[][] = [];
  for (const path of layersInOrder(graph, model.classifier)) {
    const own = parameters.filter(([name]) => name.startsWith(`${path}.`));
    if (own.length === 0) continue;
    const last = groups.at(-1);
    if (last === undefined || own.some(([, { ndim }]) => ndim > 1)) groups.push([path]);
    else last.push(path);
  }
  const literally = (path: string) => path.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return groups.map((group) => new RegExp(`^(?:${group.map(literally).join("|")})\\.`));
}

/** Modules that only hold others. */
const CONTAINER = /(?:^|\.)(?:Sequential|ModuleList|ModuleDict)$/;

/**
 * Paths of the layers between the input and the head, in the order in which they run: the outermost modules that are not containers,
 * such as `conv1`, `layer1.0` and `blocks.3`. The head itself is left out.
 */
function layersInOrder({ nodes }: Graph, head: string): string[] {
  const paths = new Set<string>();
  for (const { scopes } of nodes) {
    const layer = scopes.find(({ path, type }) => path !== "" && !CONTAINER.test(type));
    if (layer !== undefined && !`${head}.`.startsWith(`${layer.path}.`)) paths.add(layer.path);
  }
  return [...paths];
}
