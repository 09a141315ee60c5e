import { dtypeName, dtypeOfFile, layoutName, MEMORY_FORMATS, STRIDED } from "./enumerations.ts";
import type { Argument, Graph, Output, ValueName } from "./program.ts";
import type { Union } from "./schema.ts";

/** The surroundings in which an argument is read. */
export interface ArgumentContext {
  /** Throws an error that names the node. */
  fail: (problem: string, remedy?: string) => never;
  /** Throws unless a value of this name has been defined before. */
  use: (name: ValueName, kind: ValueKind) => ValueName;
  /** Reads the graph of a node that runs one. */
  graph: (value: unknown) => Graph;
}

/** A number is one that depends on the sizes of the input, such as the result of `sym_size`. */
export type ValueKind = "tensor" | "number";

/** The kind and the content of a union of the schema. */
export function variant(union: Union, fail: (problem: string) => never): [kind: string, content: unknown] {
  const [entry, ...others] = Object.entries(union);
  if (entry === undefined || others.length > 0) return fail(`expected one kind, got ${Object.keys(union).length}`);
  return entry;
}

type Reader = (content: unknown, context: ArgumentContext) => Argument;

const list =
  (item: Reader): Reader =>
  (content, context) => ({ kind: "list", items: array(content, context.fail).map((each) => item(each, context)) });

const int: Reader = (content, { fail }) => ({ kind: "int", value: integer(content, fail) });
const float: Reader = (content, { fail }) => ({ kind: "float", value: real(content, fail) });
const bool: Reader = (content, { fail }) => ({
  kind: "bool",
  value: typeof content === "boolean" ? content : fail(`expected true or false, got ${shown(content)}`),
});
const string: Reader = (content, { fail }) => ({ kind: "string", value: text(content, fail) });

/** A symbolic number: the name of a value, or the number itself. */
const symbolic =
  (literal: string, reader: Reader): Reader =>
  (content, context) => {
    const [kind, value] = variant(object(content, context.fail), context.fail);
    if (kind === literal) return reader(value, context);
    if (kind === "as_name") return { kind: "value", name: context.use(text(value, context.fail), "number") };
    return context.fail(`the kind ${kind} of a number is not known`, NEWER_SCHEMA);
  };
const symInt = symbolic("as_int", int);
const symFloat = symbolic("as_float", float);
const symBool = symbolic("as_bool", bool);

const tensor: Reader = (content, context) => ({
  kind: "value",
  name: context.use(nameOf(content, context.fail), "tensor"),
});

const optionalTensor: Reader = (content, context) => {
  const [kind, value] = variant(object(content, context.fail), context.fail);
  return kind === "as_none" ? { kind: "none" } : tensor(value, context);
};

const tensors =
  (item: Reader): Reader =>
  (content, context) => ({
    kind: "values",
    names: array(content, context.fail).map((each) => {
      const found = item(each, context);
      return found.kind === "value" ? found.name : null;
    }),
  });

const refused =
  (what: string, remedy: string): Reader =>
  (_, { fail }) =>
    fail(`it takes ${what}, which is not supported`, remedy);

const REWRITE = "rewrite this part of the model with ordinary tensors and numbers, and export it again";
const NEWER_SCHEMA = "export the model with an older version of torch, or read it with a newer version of this package";

const READERS: Readonly<Record<string, Reader>> = {
  as_none: () => ({ kind: "none" }),
  as_tensor: tensor,
  as_tensors: tensors(tensor),
  as_optional_tensor: optionalTensor,
  as_optional_tensors: tensors(optionalTensor),
  as_int: int,
  as_ints: list(int),
  as_int_lists: list(list(int)),
  as_float: float,
  as_floats: list(float),
  as_float_lists: list(list(float)),
  as_bool: bool,
  as_bools: list(bool),
  as_string: string,
  as_strings: list(string),
  as_sym_int: symInt,
  as_sym_ints: list(symInt),
  as_sym_float: symFloat,
  as_sym_floats: list(symFloat),
  as_sym_bool: symBool,
  as_sym_bools: list(symBool),
  as_scalar_type: (content, { fail }) => {
    const value = integer(content, fail);
    const dtype = dtypeOfFile(value);
    return dtype === undefined
      ? fail(`it takes the dtype ${dtypeName(value)}, ${NO_DTYPE}`, REWRITE)
      : { kind: "dtype", dtype };
  },
  as_memory_format: (content, { fail }) => {
    const format = MEMORY_FORMATS[integer(content, fail)];
    return format === undefined
      ? fail(`the memory format ${shown(content)} is not known`)
      : { kind: "memory-format", format };
  },
  as_layout: (content, { fail }) => {
    const value = integer(content, fail);
    return value === STRIDED
      ? { kind: "layout", layout: "strided" }
      : fail(`it takes the layout ${layoutName(value)}, and only dense (strided) tensors are supported`, REWRITE);
  },
  as_device: () => ({ kind: "device" }),
  as_graph: (content, { graph }) => ({ kind: "graph", graph: graph(content) }),
  as_custom_obj: refused("a custom object (a TorchScript class)", REWRITE),
  as_operator: refused("another operator", REWRITE),
  as_complex: refused("a complex number", REWRITE),
  as_nested_tensors: refused("lists of lists of tensors", REWRITE),
  as_string_to_argument: refused("a dict", REWRITE),
};

export const NO_DTYPE = "which this engine does not support";

/** An argument of a node, or an output of a graph. */
export function argumentOf(union: Union, context: ArgumentContext): Argument {
  const [kind, content] = variant(union, context.fail);
  const reader = Object.hasOwn(READERS, kind) ? READERS[kind] : undefined;
  return reader === undefined
    ? context.fail(`the kind of argument ${shown(kind)} is not known`, NEWER_SCHEMA)
    : reader(content, context);
}

/** The surroundings in which a node's outputs are read. */
export interface OutputContext {
  fail: (problem: string, remedy?: string) => never;
  /** Records a value that is defined here. */
  define: (name: ValueName, kind: ValueKind) => ValueName;
}

export function outputOf(union: Union, { fail, define }: OutputContext): Output {
  const [kind, content] = variant(union, fail);
  const context = { fail, use: define, graph: () => fail("expected a value as output, got a graph") };
  if (!OUTPUT_KINDS.has(kind)) return fail(`the kind of output ${shown(kind)} is not supported`, REWRITE);
  const found = argumentOf(union, context);
  if (found.kind === "value" || found.kind === "values") return found;
  if (found.kind === "list" || found.kind === "graph") return fail(`expected an output, got ${shown(content)}`);
  return { kind: "value", name: null };
}

/** An output without a name is a constant (`as_int`), or a tensor that is absent. */
const OUTPUT_KINDS = new Set(
  "as_none as_tensor as_tensors as_optional_tensor as_optional_tensors as_sym_int as_sym_float as_sym_bool as_int as_float as_bool".split(
    " ",
  ),
);

/** The name of a value in `{ name }`. */
export function nameOf(content: unknown, fail: (problem: string) => never): ValueName {
  const name = text(object(content, fail).name, fail);
  return name === "" ? fail("a value has an empty name") : name;
}

export function object(content: unknown, fail: (problem: string) => never): Union {
  if (typeof content === "object" && content !== null && !Array.isArray(content)) return content as Union;
  return fail(`expected an object, got ${shown(content)}`);
}

function array(content: unknown, fail: (problem: string) => never): unknown[] {
  return Array.isArray(content) ? content : fail(`expected a list, got ${shown(content)}`);
}

export function text(content: unknown, fail: (problem: string) => never): string {
  return typeof content === "string" ? content : fail(`expected a string, got ${shown(content)}`);
}

/** JSON.parse rounds the limits of int64, which mean "to the end" in slices, to 2^63. */
const INT64_LIMIT = 2 ** 63;

function integer(content: unknown, fail: (problem: string) => never): number {
  if (typeof content !== "number" || !Number.isInteger(content))
    return fail(`expected an integer, got ${shown(content)}`);
  if (Math.abs(content) === INT64_LIMIT) return Math.sign(content) * Number.MAX_SAFE_INTEGER;
  return Number.isSafeInteger(content) ? content : fail(`the integer ${content} is larger than 2^53`);
}

const NON_FINITE: Readonly<Record<string, number>> = {
  Infinity: Number.POSITIVE_INFINITY,
  "-Infinity": Number.NEGATIVE_INFINITY,
  NaN: Number.NaN,
};

function real(content: unknown, fail: (problem: string) => never): number {
  const value = typeof content === "string" && Object.hasOwn(NON_FINITE, content) ? NON_FINITE[content] : content;
  return typeof value === "number" ? value : fail(`expected a number, got ${shown(content)}`);
}

/** A JSON value in messages. */
function shown(content: unknown): string {
  const whole = JSON.stringify(content) ?? "nothing";
  return whole.length > 60 ? `${whole.slice(0, 60)}…` : whole;
}
