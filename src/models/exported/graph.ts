import { argumentOf, NO_DTYPE, object, outputOf, type ValueKind } from "./arguments.ts";
import { dtypeName, dtypeOfFile, layoutName, STRIDED } from "./enumerations.ts";
import type { Argument, Graph, Node, Output, Sizes, ValueName } from "./program.ts";
import {
  checked,
  type GraphJson,
  GraphSchema,
  type NodeJson,
  NodeSchema,
  type TensorMeta,
  type Union,
} from "./schema.ts";
import { moduleName, scopesOf } from "./scopes.ts";

/** Throws an error about the file. Without a remedy the file is said to be damaged. */
export type FailGraph = (problem: string, remedy?: string) => never;

/** Graphs that a node runs. The other higher-order operators are refused by name. */
const RUN_GRAPHS = new Set(["higher_order.wrap_with_set_grad_enabled", "higher_order.wrap_with_autocast"]);

/** Subgraphs inside of subgraphs. Blocks of `no_grad` and autocast are seldom nested at all. */
const MAX_DEPTH = 4;

/**
 * Reads a graph, and checks that every name is defined once and before it is used (so that there is no cycle), that tensors
 * have dtypes and layouts of this engine, and that no size depends on the values of a tensor.
 */
export function graphOf(json: GraphJson, fail: FailGraph, depth = 0): Graph {
  const reader = new GraphReader(json, fail, depth);
  return reader.read();
}

class GraphReader {
  private readonly json: GraphJson;
  private readonly fail: FailGraph;
  private readonly depth: number;
  private readonly defined = new Map<ValueName, ValueKind>();

  constructor(json: GraphJson, fail: FailGraph, depth: number) {
    this.json = json;
    this.fail = fail;
    this.depth = depth;
  }

  read(): Graph {
    const inputs = this.json.inputs.flatMap((union) => this.inputOf(union));
    const nodes = this.json.nodes.map((node, at) => this.nodeOf(node, at));
    const fail: FailGraph = (problem, remedy) => this.fail(`an output of the graph: ${problem}`, remedy);
    const context = { fail, use: this.user(fail), graph: () => fail("expected a value, got a graph") };
    const outputs = this.json.outputs.map((union) => argumentOf(union, context));
    return { inputs, nodes, outputs, sizes: sizesOf(this.json) };
  }

  /** An input that is not a tensor or a symbolic number is a constant, which the graph does not use. */
  private inputOf(union: Union): ValueName[] {
    const name = tensorNameOf(union);
    const what =
      name === undefined ? "an input of the graph" : `the input ${JSON.stringify(name.slice(0, 80))} of the graph`;
    const fail: FailGraph = (problem, remedy) => this.fail(`${what}: ${problem}`, remedy);
    const output = outputOf(union, { fail, define: this.definer(fail, "it") });
    if (output.kind === "values") return fail("expected a tensor, got a list of tensors");
    return output.name === null ? [] : [output.name];
  }

  private nodeOf(value: unknown, at: number): Node {
    const json = checked(NodeSchema, value, (problem) => this.fail(`${labelOf(value, at)}: ${problem}`));
    const scopes = scopesOf(json.metadata);
    const target = json.target.replace(/^torch\.ops\./, "");
    const name = json.name ?? firstOutputOf(json) ?? String(at);
    const fail: FailGraph = (problem, remedy) => {
      const module = moduleName(scopes);
      const place = module === undefined ? "" : ` in ${module}`;
      return this.fail(
        `node ${JSON.stringify(name.slice(0, 80))} (${target.slice(0, 80)}${place}): ${problem}`,
        remedy,
      );
    };
    expectTarget(target, fail);
    const inputs = json.inputs.map((input) => ({
      name: input.name,
      argument: this.inputArgument(input, target, fail),
    }));
    const define = this.definer(fail, "its result");
    const outputs = json.outputs.map((union) => outputOf(union, { fail, define }));
    return { name, target, inputs, outputs: target.startsWith("higher_order.") ? flat(outputs) : outputs, scopes };
  }

  private inputArgument({ name, arg }: NodeJson["inputs"][number], target: string, fail: FailGraph): Argument {
    const failHere: FailGraph = (problem, remedy) =>
      fail(name === "" ? problem : `argument ${name.slice(0, 80)}: ${problem}`, remedy);
    const graph = (content: unknown) => {
      if (!RUN_GRAPHS.has(target)) return failHere("it takes a graph, which this operator does not run");
      if (this.depth >= MAX_DEPTH) return failHere(`its graphs are nested deeper than ${MAX_DEPTH} levels`);
      const json = checked(GraphSchema, object(content, failHere).graph, (problem) => failHere(problem));
      return graphOf(json, (problem, remedy) => fail(`in its graph: ${problem}`, remedy), this.depth + 1);
    };
    return argumentOf(arg, { fail: failHere, use: this.user(failHere), graph });
  }

  private user(fail: FailGraph) {
    return (name: ValueName, kind: ValueKind): ValueName => {
      const found = this.defined.get(name);
      const value = JSON.stringify(name.slice(0, 80));
      if (found === undefined)
        return fail(`it uses the value ${value} before it is defined (the nodes are in a wrong order or form a cycle)`);
      return found === kind ? name : fail(`expected a ${kind}, got the ${found} ${value}`);
    };
  }

  /** @param what the value in messages: "its result" of a node */
  private definer(fail: FailGraph, what: string) {
    return (name: ValueName, kind: ValueKind): ValueName => {
      if (this.defined.has(name)) return fail(`the name ${JSON.stringify(name.slice(0, 80))} is defined twice`);
      this.defined.set(name, kind);
      const {
        tensor_values: tensors,
        sym_int_values: ints,
        sym_bool_values: bools,
        sym_float_values: floats,
      } = this.json;
      if (kind === "tensor" && Object.hasOwn(tensors, name)) expectTensor(what, tensors[name] as TensorMeta, fail);
      if (kind === "number") for (const values of [ints, bools, floats]) expectKnown(ofName(values, name), fail);
      return name;
    };
  }
}

function sizesOf({ tensor_values: tensors }: GraphJson): Map<ValueName, Sizes> {
  const entries = Object.entries(tensors);
  return new Map(
    entries.map(([name, { sizes }]) => [name, sizes.map((size) => size.as_int ?? expressionText(size.as_expr))]),
  );
}

const ofName = (values: Readonly<Record<string, unknown>>, name: string) =>
  Object.hasOwn(values, name) ? values[name] : undefined;

/** torch 2.6 writes the outputs of a graph that a node runs as one list, and later versions one by one. */
function flat(outputs: readonly Output[]): Output[] {
  return outputs.flatMap((output) =>
    output.kind === "values" ? output.names.map((name): Output => ({ kind: "value", name })) : [output],
  );
}

const STATIC =
  "rewrite this part of the model without it (a decision that does not depend on the image can be made in Python before the export), and export it again";

function expectTarget(target: string, fail: FailGraph): void {
  if (target === "") fail("it has no operator");
  if (!target.startsWith("higher_order.") || RUN_GRAPHS.has(target)) return;
  const name = target.slice("higher_order.".length, 80);
  fail(`the operator ${name} (control flow or a wrapper) is not supported`, STATIC);
}

function expectTensor(what: string, { dtype, layout, sizes }: TensorMeta, fail: FailGraph): void {
  if (dtypeOfFile(dtype) === undefined) fail(`${what} has the dtype ${dtypeName(dtype)}, ${NO_DTYPE}`, DTYPE_REMEDY);
  if (layout !== STRIDED)
    fail(`${what} has the layout ${layoutName(layout)}, and only dense (strided) tensors are supported`, DTYPE_REMEDY);
  for (const size of sizes) expectKnown(size, fail);
}

const DTYPE_REMEDY = "rewrite this part of the model with tensors of another kind, and export it again";

/** torch names the symbols of numbers that depend on a tensor's values u0, u1 ... and zuf0 ..., those of the input's sizes s0 ... */
const DATA_DEPENDENT = /\bz?uf?\d+\b/;

function expectKnown(value: unknown, fail: FailGraph): void {
  const expression = typeof value === "object" && value !== null ? (value as { as_expr?: unknown }).as_expr : undefined;
  const found = expression === undefined ? null : DATA_DEPENDENT.exec(expressionText(expression));
  if (found !== null) fail(`a size or number depends on the values of a tensor (the symbol ${found[0]})`, STATIC);
}

const expressionText = (expression: unknown): string =>
  String((expression as { expr_str?: unknown } | null)?.expr_str ?? "").slice(0, 10_000);

/** A node in messages, before it has been checked. */
function labelOf(value: unknown, at: number): string {
  const { name, target } = (value ?? {}) as { name?: unknown; target?: unknown };
  const known = [name, target].find((each) => typeof each === "string");
  return known === undefined ? `node ${at}` : `node ${at} (${JSON.stringify(known).slice(0, 80)})`;
}

/** The name of the first value that a node defines. Before torch 2.8 nodes have no names of their own. */
function firstOutputOf({ outputs: [output = {}] }: NodeJson): string | undefined {
  const [content] = Object.values(output);
  const first: unknown = Array.isArray(content) ? content[0] : content;
  const { name, as_name: symbol } = (first ?? {}) as { name?: unknown; as_name?: unknown };
  return [name, symbol].find((each) => typeof each === "string") as string | undefined;
}

/** The name of a value, if it is a tensor. */
function tensorNameOf({ as_tensor: tensor }: Union): string | undefined {
  const { name } = (tensor ?? {}) as { name?: unknown };
  return typeof name === "string" ? name : undefined;
}
