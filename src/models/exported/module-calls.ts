import { outputNames, valueNames } from "./aliases.ts";
import type { Graph, Node, ValueName } from "./program.ts";
import { numberFunction, SIZE_TARGETS } from "./symbolic.ts";

/** One call of a module: the nodes and calls in it, one after the other. */
export interface ModuleCall {
  readonly path: string;
  readonly items: readonly (number | ModuleCall)[];
  /** Index of the last node in it. */
  readonly last: number;
  /** The value that it returns, as far as the graph shows: the last one made in it that is read outside; null for none. */
  readonly output: ValueName | null;
}

interface OpenCall {
  path: string;
  items: (number | ModuleCall)[];
  first: number;
}

/**
 * Divides the nodes of a graph into calls of modules, by the modules that the file names around each node. A module that is
 * called several times has several; calls that follow one another without a node between them count as one.
 */
export function moduleCalls(
  graph: Graph,
  nameAt: (index: number, name: ValueName) => ValueName,
): (number | ModuleCall)[] {
  const reads = readersOf(graph, nameAt);
  const root: OpenCall = { path: "", items: [], first: 0 };
  const open: OpenCall[] = [];
  let last = -1;
  const close = (depth: number): void => {
    while (open.length > depth) {
      const call = open.pop() as OpenCall;
      const output = outputOf(graph, call.first, last, { reads, nameAt });
      (open.at(-1) ?? root).items.push({ path: call.path, items: call.items, last, output });
    }
  };
  for (const [index, node] of graph.nodes.entries()) {
    const paths = pathsOf(node);
    // A number or a check belongs to no module in particular, and does not end a call.
    if (paths !== null) {
      const depth = paths.findIndex((path, i) => open[i]?.path !== path);
      close(depth === -1 ? paths.length : depth);
      for (const path of paths.slice(open.length)) open.push({ path, items: [], first: index });
    }
    (open.at(-1) ?? root).items.push(index);
    if (paths !== null || open.length > 0) last = index;
  }
  close(0);
  return root.items;
}

/** The paths around a node, outermost first, without the root; null for a node that may be anywhere. */
function pathsOf(node: Node): string[] | null {
  if (node.scopes.length === 0) return null;
  const isNumber = numberFunction(node.target) !== null || SIZE_TARGETS.includes(node.target);
  if (isNumber || node.outputs.flatMap(outputNames).length === 0) return null;
  return node.scopes.map(({ path }) => path).filter((path) => path !== "");
}

/** For each value, the index of the last node that reads it; infinite for the graph's own outputs. */
function readersOf(graph: Graph, nameAt: (index: number, name: ValueName) => ValueName): Map<ValueName, number> {
  const reads = new Map<ValueName, number>();
  for (const [index, node] of graph.nodes.entries())
    for (const { argument } of node.inputs)
      for (const name of valueNames(argument)) reads.set(nameAt(index, name), index);
  for (const name of graph.outputs.flatMap(valueNames)) reads.set(nameAt(Number.POSITIVE_INFINITY, name), Infinity);
  return reads;
}

function outputOf(
  graph: Graph,
  first: number,
  last: number,
  { reads, nameAt }: { reads: ReadonlyMap<ValueName, number>; nameAt: (index: number, name: ValueName) => ValueName },
): ValueName | null {
  for (let index = last; index >= first; index--) {
    const node = graph.nodes[index] as Node;
    if (pathsOf(node) === null) continue;
    // A value that is written to in place later on in the call goes by the name of the result.
    const names = node.outputs.flatMap(outputNames).map((name) => nameAt(last + 1, name));
    const found = names.findLast((name) => (reads.get(name) ?? -1) > last);
    if (found !== undefined) return found;
  }
  return null;
}
