import { type Aliases, outputNames, valueNames } from "./aliases.ts";
import { operatorOf } from "./operators.ts";
import type { Graph, Node, ValueName } from "./program.ts";

/** How an operator that writes to an argument is run. */
export type WritePlan =
  /** As an operator that does not write. Nobody else reads that memory afterwards. */
  | { readonly kind: "out-of-place"; readonly written: ValueName; readonly ownMemory: boolean }
  /** As it is, because other values in that memory are read afterwards. */
  | { readonly kind: "in-place" };

export interface WritePlans {
  /** By the index of the node. */
  readonly plans: ReadonlyMap<number, WritePlan>;
  /** The name under which a node reads a value: that of its last change. By node index and name in the file. */
  nameAt(index: number, name: ValueName): ValueName;
  /** Inputs of the graph that are written to, and have to be copied first: parameters and the caller's images among them. */
  readonly copiedInputs: ReadonlySet<ValueName>;
}

/**
 * Decides for each operator that writes in place (`relu_`, `add_`) how it is run. Where only the result is read afterwards, it
 * may run as the operator that does not write, which keeps taps, the caller's images and what autograd has saved as they are.
 * Where views of the same memory are read afterwards, as behind `x[:, 0] = y`, it has to write.
 */
export function planWrites(graph: Graph, aliases: Aliases): WritePlans {
  const lastRead = lastReads(graph);
  const renamed: { index: number; from: ValueName; to: ValueName }[] = [];
  const plans = new Map<number, WritePlan>();
  const copiedInputs = new Set<ValueName>();
  const inputs = new Set(graph.inputs);
  const same = new Map<ValueName, Set<ValueName>>(); // names of exactly the same tensor
  for (const [index, node] of graph.nodes.entries()) {
    const written = writtenName(node);
    if (written === null) continue;
    const result = resultName(node);
    const exact = same.get(written) ?? new Set([written]);
    const others = [...aliases.of(written)].filter((name) => !exact.has(name) && name !== result);
    const isShared = others.some((name) => (lastRead.get(name) ?? -1) > index && isDefinedBefore(graph, name, index));
    if (isShared) {
      plans.set(index, { kind: "in-place" });
      for (const name of aliases.of(written)) if (inputs.has(name)) copiedInputs.add(name);
    } else {
      const ownMemory = ![...aliases.of(written)].some((name) => inputs.has(name));
      plans.set(index, { kind: "out-of-place", written, ownMemory });
      if (result !== null) for (const from of exact) renamed.push({ index, from, to: result });
    }
    if (result !== null) {
      const joined = new Set([...exact, result]);
      for (const name of joined) same.set(name, joined);
    }
  }
  return { plans, copiedInputs, nameAt: (index, name) => renamedAt(renamed, index, name) };
}

function renamedAt(
  renamed: readonly { index: number; from: ValueName; to: ValueName }[],
  index: number,
  name: ValueName,
): ValueName {
  const found = renamed.findLast((entry) => entry.from === name && entry.index < index);
  return found?.to ?? name;
}

/** The value that a node writes to in place; null if it writes to none. */
export function writtenName(node: Node): ValueName | null {
  const operator = operatorOf(node.target);
  const argument = operator?.args.find(({ type }) => type.writes && type.lists === 0);
  const given = node.inputs.find(({ name }) => name === argument?.name)?.argument;
  return given?.kind === "value" ? given.name : null;
}

function resultName(node: Node): ValueName | null {
  const [output] = node.outputs;
  return output === undefined ? null : (outputNames(output)[0] ?? null);
}

function lastReads(graph: Graph): Map<ValueName, number> {
  const last = new Map<ValueName, number>();
  for (const [index, node] of graph.nodes.entries())
    for (const name of node.inputs.flatMap(({ argument }) => valueNames(argument))) last.set(name, index);
  for (const name of graph.outputs.flatMap(valueNames)) last.set(name, Number.POSITIVE_INFINITY);
  return last;
}

/** Whether a value existed before a node; views that are made of its result don't matter. */
function isDefinedBefore(graph: Graph, name: ValueName, index: number): boolean {
  const defined = graph.nodes.findIndex((node) => node.outputs.some((output) => outputNames(output).includes(name)));
  return defined < index;
}
