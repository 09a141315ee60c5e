import { partsOf } from "./node-names.ts";
import { operatorOf } from "./operators.ts";
import type { Argument, Graph, Node, ValueName } from "./program.ts";

/**
 * Operators that may return their input itself, or a view of it, although their schema doesn't say so: dropout in evaluation mode,
 * for example.
 */
const MAY_RETURN_INPUT = new Set([
  ...[
    "dropout",
    "feature_dropout",
    "alpha_dropout",
    "feature_alpha_dropout",
    "native_dropout",
    "type_as",
    "_unsafe_view",
  ],
  ...["atleast_1d", "atleast_2d", "atleast_3d", "broadcast_tensors", "meshgrid", "einsum", "expand_copy", "rrelu"],
]);

/** Which values of a graph share memory. */
export class Aliases {
  readonly #groups = new Map<ValueName, Set<ValueName>>();

  constructor(graph: Graph) {
    for (const node of graph.nodes) this.#addNode(node);
  }

  /** The names of all values in the memory of this one, itself among them. */
  of(name: ValueName): ReadonlySet<ValueName> {
    return this.#groups.get(name) ?? new Set([name]);
  }

  #addNode(node: Node): void {
    for (const [input, output] of sharedBy(node)) this.#join(input, output);
  }

  #join(a: ValueName, b: ValueName): void {
    const joined = new Set([...this.of(a), ...this.of(b)]);
    for (const name of joined) this.#groups.set(name, joined);
  }
}

/** Pairs of an input and an output of a node that may share memory. */
function sharedBy(node: Node): [ValueName, ValueName][] {
  const outputs = node.outputs.flatMap(outputNames);
  const operator = operatorOf(node.target);
  // The outputs of a subgraph may be its inputs; those of an unknown operator too.
  const any = operator === null || MAY_RETURN_INPUT.has(partsOf(node.target).base);
  if (any) {
    const inputs = node.inputs.flatMap(({ argument }) => valueNames(argument));
    return inputs.flatMap((input) => outputs.map((output): [ValueName, ValueName] => [input, output]));
  }
  return operator.returns.flatMap((type, i) => {
    const output = node.outputs[i];
    if (type.alias === null || output === undefined) return [];
    const sources = operator.args.filter((argument) => argument.type.alias === type.alias).map(({ name }) => name);
    const inputs = node.inputs.filter(({ name }) => sources.includes(name));
    const names = inputs.flatMap(({ argument }) => valueNames(argument));
    return names.flatMap((input) => outputNames(output).map((name): [ValueName, ValueName] => [input, name]));
  });
}

/** The names of the values in an argument. */
export function valueNames(argument: Argument): ValueName[] {
  if (argument.kind === "value") return [argument.name];
  if (argument.kind === "values") return argument.names.filter((name) => name !== null);
  return argument.kind === "list" ? argument.items.flatMap(valueNames) : [];
}

/** The names that an output defines. */
export function outputNames(output: Node["outputs"][number]): ValueName[] {
  if (output.kind === "values") return output.names.filter((name) => name !== null);
  return output.name === null ? [] : [output.name];
}
