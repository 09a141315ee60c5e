import { Aliases, outputNames, valueNames } from "./aliases.ts";
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
 * Decides for each operator that writes in place (`relu_`, `add_`) how it is run. If only the result is read afterwards, it
 * may run as the operator that does not write, which keeps taps, the caller's images and what autograd has saved as they are.
 * If views of the same memory are read afterwards, as after `x[:, 0] = y`, it has to write. It also has to if the memory is
 * that of a buffer, or if a block of the graph (`no_grad`) changes a value of the graph around it.
 */
export function planWrites(graph: Graph, aliases: Aliases, lasting: LastingInputs): WritePlans {
  const lastRead = lastReads(graph);
  const definedAt = definitionsOf(graph);
  const renamed = new Map<ValueName, Renaming[]>();
  const plans = new Map<number, WritePlan>();
  const copiedInputs = new Set<ValueName>();
  const inputs = new Set(graph.inputs);
  const same = new Map<ValueName, Set<ValueName>>(); // names of exactly the same tensor
  const copy = (name: ValueName) => {
    for (const alias of aliases.of(name)) if (inputs.has(alias) && !lasting.isBlock) copiedInputs.add(alias);
  };
  const lasts = (node: Node, name: ValueName) =>
    !isNorm(node) && [...aliases.of(name)].some((alias) => inputs.has(alias) && lasting.has(alias));
  for (const [index, node] of graph.nodes.entries()) {
    const changed = changedByBlock(node, lasting);
    if (changed.length > 0) plans.set(index, { kind: "in-place" });
    for (const name of changed) copy(name);
    const written = writtenName(node);
    if (written === null) continue;
    const result = resultName(node);
    const exact = same.get(written) ?? new Set([written]);
    const others = [...aliases.of(written)].filter((name) => !exact.has(name) && name !== result);
    const isShared = others.some((name) => (lastRead.get(name) ?? -1) > index && (definedAt.get(name) ?? -1) < index);
    if (isShared || lasts(node, written)) {
      plans.set(index, { kind: "in-place" });
      copy(written);
    } else {
      const ownMemory = ![...aliases.of(written)].some((name) => inputs.has(name));
      plans.set(index, { kind: "out-of-place", written, ownMemory });
      if (result !== null)
        for (const from of exact) renamed.set(from, [...(renamed.get(from) ?? []), { index, to: result }]);
    }
    if (result !== null) {
      const joined = new Set([...exact, result]);
      for (const name of joined) same.set(name, joined);
    }
  }
  return { plans, copiedInputs, nameAt: (index, name) => renamedAt(renamed, index, name) };
}

/** The inputs of a graph whose changes outlast its run: buffers of the model, and all inputs of a block but those of batch norms. */
export interface LastingInputs {
  readonly isBlock: boolean;
  has(name: ValueName): boolean;
  /** Those of a block inside the graph. */
  ofBlock(): LastingInputs;
}

/** Norms update their statistics themselves. */
const isNorm = (node: Node): boolean => node.inputs.some(({ name }) => name === "running_mean");

/** The inputs of a block that it changes in place. */
function changedByBlock(node: Node, lasting: LastingInputs): ValueName[] {
  const at = node.inputs.findIndex(({ argument }) => argument.kind === "graph");
  const block = node.inputs[at]?.argument;
  if (block?.kind !== "graph") return [];
  const changed = changedInputs(block.graph, lasting.ofBlock());
  const operands = node.inputs.slice(at + 1).map(({ argument }) => (argument.kind === "value" ? argument.name : null));
  return operands.filter((name, i): name is ValueName => name !== null && changed.has(block.graph.inputs[i] as string));
}

/** The lasting inputs of a graph that its nodes change in place. */
export function changedInputs(graph: Graph, lasting: LastingInputs): ReadonlySet<ValueName> {
  const aliases = new Aliases(graph);
  const written = graph.nodes.flatMap((node) => {
    const own = isNorm(node) ? null : writtenName(node);
    return [...(own === null ? [] : [own]), ...changedByBlock(node, lasting)];
  });
  const reached = new Set(written.flatMap((name) => [...aliases.of(name)]));
  return new Set(graph.inputs.filter((name) => reached.has(name) && lasting.has(name)));
}

/** From a node on, a value goes by another name. */
interface Renaming {
  readonly index: number;
  readonly to: ValueName;
}

const renamedAt = (renamed: ReadonlyMap<ValueName, Renaming[]>, index: number, name: ValueName): ValueName =>
  renamed.get(name)?.findLast((entry) => entry.index < index)?.to ?? name;

/** The index of the node that defines each value; inputs of the graph have none. */
export function definitionsOf(graph: Graph): Map<ValueName, number> {
  const entries = graph.nodes.flatMap((node, index) =>
    node.outputs.flatMap(outputNames).map((name): [ValueName, number] => [name, index]),
  );
  return new Map(entries);
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
