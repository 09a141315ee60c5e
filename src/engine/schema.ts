import { native } from "./addon.ts";

// Operators that are known only when a program runs, with their schemas: the counterpart of src/tensor/generated/aten.ts.

/** The type of an argument or result: "Tensor", "int", "Scalar" ..., each perhaps optional, or a list. */
export interface SchemaType {
  /**
   * The name of the innermost type: Tensor, int, SymInt, float, bool, str, Scalar, ScalarType, Layout, Device, MemoryFormat, Generator
   * ...
   */
  readonly base: string;
  /** Number of list levels around it. */
  readonly lists: number;
  /** Whether the value, or each element of the innermost list, may be absent. */
  readonly optional: boolean;
  /** Whether the whole list may be absent. */
  readonly optionalList: boolean;
  /** The length to which a single number is expanded, as for `int[2]`; null for types without one. */
  readonly length: number | null;
  /** The type as it is written in the schema, for messages. */
  readonly text: string;
  /** The letter of its alias set; null for a value that shares no memory. */
  readonly alias: string | null;
  /** Whether the operator writes to it. */
  readonly writes: boolean;
}

/**
 * An argument of a call. A `slot` is the index of a value that is known only when the call runs. A `code` is libtorch's number of a
 * dtype, a layout, a device or a memory format.
 */
export type CallArgument =
  | { readonly kind: "none" }
  | { readonly kind: "int" | "float" | "code"; readonly value: number }
  | { readonly kind: "bool"; readonly value: boolean }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "list"; readonly items: readonly CallArgument[] }
  | { readonly kind: "slot"; readonly slot: number };

export interface SchemaArgument {
  readonly name: string;
  readonly type: SchemaType;
  /** The default; null for a required argument. */
  readonly fallback: CallArgument | null;
}

/** An operator of this libtorch. */
export interface OperatorSchema {
  /** The name with namespace and overload: "aten::add.Tensor". */
  readonly name: string;
  /** Its index for `run`. */
  readonly index: number;
  readonly args: readonly SchemaArgument[];
  readonly returns: readonly SchemaType[];
}

const known = new Map<string, OperatorSchema | null>();

/** The operator of a name ("aten::conv2d") and overload (""); null if this libtorch does not have it. */
export function findOperator(base: string, overload: string): OperatorSchema | null {
  const name = overload === "" ? base : `${base}.${overload}`;
  const found = known.get(name);
  if (found !== undefined) return found;
  const index = native.resolve(base, overload);
  const operator = index < 0 ? null : { name, index, ...parseSchema(native.schemaOf(index)) };
  known.set(name, operator);
  return operator;
}

/** Reads a schema, such as `aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor`. */
export function parseSchema(text: string): Pick<OperatorSchema, "args" | "returns"> {
  const open = text.indexOf("(");
  const arrow = text.lastIndexOf(") -> ");
  const args = splitTopLevel(text.slice(open + 1, arrow)).filter((part) => part !== "*");
  const result = text.slice(arrow + 5).trim();
  const results = result.startsWith("(") ? splitTopLevel(result.slice(1, -1)) : [result];
  return { args: args.map(parseArgument), returns: results.map((part) => parseType(withoutName(part))) };
}

/** A result may have a name after its type: "Tensor(a!) out". */
const withoutName = (result: string): string => result.replace(/(?<=[\w)\]?]) \w+$/, "");

function parseArgument(text: string): SchemaArgument {
  const [, declared = "", name = "", given] = /^(.+?) (\w+)(?:=(.*))?$/s.exec(text) ?? [];
  const type = parseType(declared);
  return { name, type, fallback: given === undefined ? null : parseDefault(type, given) };
}

function parseType(declared: string): SchemaType {
  const aliases = /\(([^)]*)\)/.exec(declared)?.[1];
  const text = declared.replace(/\([^)]*\)/, "");
  const [, base = "", suffix = ""] = /^(\w+)(.*)$/.exec(text) ?? [];
  const lists = (suffix.match(/\[\d*\]/g) ?? []).length;
  const length = /\[(\d+)\]/.exec(suffix)?.[1];
  return {
    base,
    lists,
    optional: suffix.startsWith("?"),
    optionalList: lists > 0 && suffix.endsWith("?"),
    length: length === undefined ? null : Number(length),
    text,
    alias: aliases === undefined ? null : (/^[a-z]/.exec(aliases)?.[0] ?? "*"),
    writes: aliases?.includes("!") ?? false,
  };
}

/** Reductions and memory formats are printed by name. */
const NAMED: Readonly<Record<string, number>> = {
  Mean: 1,
  contiguous_format: 0,
  inf: Number.POSITIVE_INFINITY,
};

function parseDefault(type: SchemaType, text: string): CallArgument {
  if (text === "None") return { kind: "none" };
  if (text.startsWith("[")) {
    const items = splitTopLevel(text.slice(1, -1)).map((item) => parseDefault(type, item));
    return { kind: "list", items };
  }
  if (type.base === "str") return { kind: "string", value: text.slice(1, -1) };
  if (text === "True" || text === "False") return { kind: "bool", value: text === "True" };
  const value = NAMED[text] ?? Number(text);
  return { kind: /^-?\d+$/.test(text) ? "int" : "float", value };
}

function splitTopLevel(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let part = "";
  for (const character of text) {
    if ("([".includes(character)) depth++;
    if (")]".includes(character)) depth--;
    if (character === "," && depth === 0) {
      parts.push(part.trim());
      part = "";
    } else part += character;
  }
  if (part.trim() !== "") parts.push(part.trim());
  return parts;
}
