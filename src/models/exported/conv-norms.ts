import { outputNames, valueNames } from "./aliases.ts";
import type { WritePlans } from "./in-place.ts";
import { argumentOf } from "./model-head.ts";
import { partsOf } from "./node-names.ts";
import type { Graph, Node, ValueName } from "./program.ts";

/** A convolution and the batch norm behind it, with the sum and the ReLU that follow: nodes that one kernel can run. */
export interface ConvNormGroup {
  readonly conv: number;
  readonly norm: number;
  /** All its nodes in their order; the last one gives the result. */
  readonly nodes: readonly number[];
  /** The value that the convolution reads, and the one that is added; null if none is. */
  readonly input: ValueName;
  readonly shortcut: ValueName | null;
  readonly relu: boolean;
  /** The values that nobody reads outside of it. */
  readonly inner: readonly ValueName[];
}

/**
 * The groups of a graph. Between a group's first node and its last one, nothing else may write in place, because the group runs
 * at the position of its last node.
 */
export function convNormGroups(graph: Graph, writes: WritePlans): ConvNormGroup[] {
  const finder = new GroupFinder(graph, writes);
  return graph.nodes.flatMap((node, index) => (isPlainConv(node) ? (finder.groupOf(index) ?? []) : []));
}

class GroupFinder {
  readonly #graph: Graph;
  readonly #writes: WritePlans;
  readonly #readers = new Map<ValueName, number[]>();
  /** Nodes that belong to a group: a sum of two norms belongs to one of them. */
  readonly #taken = new Set<number>();

  constructor(graph: Graph, writes: WritePlans) {
    this.#graph = graph;
    this.#writes = writes;
    for (const [index, node] of graph.nodes.entries())
      for (const name of this.#reads(node, index)) this.#readers.set(name, [...(this.#readers.get(name) ?? []), index]);
    const end = Number.POSITIVE_INFINITY;
    for (const name of graph.outputs.flatMap(valueNames)) this.#readers.set(writes.nameAt(end, name), [end, end]);
  }

  #reads(node: Node, index: number): ValueName[] {
    return node.inputs.flatMap(({ argument }) => valueNames(argument).map((name) => this.#writes.nameAt(index, name)));
  }

  groupOf(conv: number): ConvNormGroup | null {
    const nodes = [conv];
    const inner: ValueName[] = [];
    /** The only reader of the last node's output, if it is one of these operators. */
    const next = (...operators: string[]): Node | null => {
      const output = this.#outputOf(nodes.at(-1) as number);
      const [reader, ...others] = output === null ? [] : (this.#readers.get(output) ?? []);
      const isFree = reader !== undefined && others.length === 0 && !this.#taken.has(reader);
      const node = isFree ? this.#graph.nodes[reader] : undefined;
      if (node === undefined || output === null || !operators.includes(partsOf(node.target).base)) return null;
      inner.push(output);
      nodes.push(reader as number);
      return node;
    };
    const norm = next("batch_norm");
    if (norm === null || !isPlainNorm(norm)) return null;
    const shortcut = this.#shortcut(next, () => inner.at(-1) as ValueName, nodes, inner);
    const relu = next("relu", "relu_") !== null;
    if (!this.#isQuiet(nodes)) return null;
    for (const index of nodes) this.#taken.add(index);
    const [input] = this.#reads(this.#graph.nodes[conv] as Node, conv);
    return { conv, norm: nodes[1] as number, nodes, input: input as ValueName, shortcut, relu, inner };
  }

  /** The other operand of a sum behind the norm; null if no sum follows. */
  #shortcut(
    next: (...operators: string[]) => Node | null,
    own: () => ValueName,
    nodes: number[],
    inner: ValueName[],
  ): ValueName | null {
    const sum = next("add", "add_");
    if (sum === null) return null;
    const operands = this.#reads(sum, nodes.at(-1) as number);
    const other = operands.find((name) => name !== own());
    const isPlain =
      operands.length === 2 && argumentOf(sum, "alpha") === undefined && partsOf(sum.target).overload === "Tensor";
    if (isPlain && other !== undefined) return other;
    nodes.pop();
    inner.pop();
    return null;
  }

  #outputOf(index: number): ValueName | null {
    const names = (this.#graph.nodes[index] as Node).outputs.flatMap(outputNames);
    return names.length === 1 ? (names[0] as ValueName) : null;
  }

  #isQuiet(nodes: readonly number[]): boolean {
    for (let index = nodes[0] as number; index <= (nodes.at(-1) as number); index++) {
      const plan = this.#writes.plans.get(index);
      if (plan !== undefined && (plan.kind === "in-place" || !nodes.includes(index))) return false;
    }
    return true;
  }
}

/** A convolution of two dimensions whose padding is given in numbers. */
const isPlainConv = (node: Node): boolean => node.target === "aten.conv2d.default";

/** A batch norm with weight, bias and running statistics. */
function isPlainNorm(node: Node): boolean {
  const given = ["weight", "bias", "running_mean", "running_var"].map((name) => argumentOf(node, name)?.kind);
  return node.target === "aten.batch_norm.default" && given.every((kind) => kind === "value");
}
