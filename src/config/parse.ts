import { z } from "zod";
import { describeValue, expectFunction, expectString, objectOf, optionsOf, wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { givenFault } from "./given.ts";
import { hint } from "./nearest-name.ts";

/** The JSON schema of a field, from which flags, help and messages are derived. */
export interface FieldSchema {
  type?: string | string[];
  anyOf?: FieldSchema[];
  const?: unknown;
  enum?: unknown[];
  /** The ending of a file's name that the field takes. */
  extension?: string;
  default?: unknown;
  description?: string;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  short?: string;
  /** Whether the flag may be given several times. */
  repeat?: boolean;
  group?: string;
  /** A remark that is added to the error for a wrong value. */
  remark?: string;
}

export interface ParseOptions {
  /** The name of the input at the start of a message, such as `train config` or `a.yaml`. */
  what: string;
  /** Converts a key to the name that the user knows: the key itself in files and calls, `--batch-size` for a flag. */
  label?: (key: string) => string;
}

/** The fields of a schema by name, in the order of their declaration. */
export function fieldsOf(schema: z.ZodObject): Record<string, FieldSchema> {
  expectSchema("fieldsOf", schema);
  return (z.toJSONSchema(schema, { io: "input" }).properties ?? {}) as Record<string, FieldSchema>;
}

/**
 * Checks `input` against `schema` and fills in the defaults.
 *
 * @throws E_CONFIG naming every wrong key with what was expected and what was given, and for an unknown key the nearest
 *   known one
 */
export function parseConfig<S extends z.ZodObject>(schema: S, input: unknown, options: ParseOptions): z.output<S> {
  expectSchema("parseConfig", schema);
  const { what, label = String } = optionsOf("parseConfig", options, ["what", "label"]);
  expectString("parseConfig: what", what);
  expectFunction("parseConfig: label", label);
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const context = { fields: fieldsOf(schema), input, label };
  const faults = result.error.issues.flatMap((issue) => describeIssue(issue, context));
  throw new BatchCamError("E_CONFIG", `${what}: ${faults.join("; ")}`);
}

function expectSchema(operation: string, schema: unknown): void {
  if (!(schema instanceof z.ZodObject)) throw wrongArgument(`${operation}: schema`, "a zod object schema", schema);
}

interface IssueContext {
  fields: Record<string, FieldSchema>;
  input: unknown;
  label: (key: string) => string;
}

function describeIssue(issue: z.core.$ZodIssue, { fields, input, label }: IssueContext): string[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => `unknown option ${label(key)}${hint(key, Object.keys(fields))}`);
  }
  const key = issue.path[0];
  if (key === undefined) return [`expected an object of options, got ${shown(input)}`];
  const field = fields[String(key)] ?? {};
  const value = (input as Record<PropertyKey, unknown>)[key];
  const given = givenFault(String(key), value);
  if (given !== null) return [`${label(String(key))} ${given}`];
  const written =
    issue.code === "custom" ||
    issue.code === "invalid_format" ||
    (issue.code === "too_small" && issue.origin === "string");
  const choices = choicesOf(field).map(String);
  const near = typeof value === "string" && !choices.includes(value) ? hint(value, choices) : "";
  const misspelt = field.remark === undefined ? near : `: ${field.remark}`;
  const rule = written ? withLabels(issue.message, Object.keys(fields), label) : expectation(field);
  return [`${label(String(key))} must be ${rule}, got ${shown(value)}${misspelt}`];
}

/** Replaces the keys in a rule ("left out with plain", "at most lr (0.1)") by the names that the user knows. */
function withLabels(rule: string, keys: readonly string[], label: (key: string) => string): string {
  const isNamed = (before: string, word: string) => keys.includes(word) && (before !== "" || /[A-Z]/.test(word));
  return rule.replace(
    /((?:\b(?:with|without|add|above|over|at most|and|as) )?)\b(\w+)/g,
    (all, before: string, word: string) => (isNamed(before, word) ? before + label(word) : all),
  );
}

const KINDS: Record<string, string> = {
  integer: "a whole number",
  number: "a number",
  boolean: "true or false",
  string: "text",
  array: "a list",
  object: "options",
};

/** The JSON types that a field accepts. */
export function typesOf(field: FieldSchema): string[] {
  const { type, anyOf = [] } = objectOf("typesOf: field", field);
  if (!Array.isArray(anyOf)) throw wrongArgument("typesOf: anyOf", "an array of fields", anyOf);
  return [...[type ?? []].flat(), ...anyOf.flatMap(typesOf)];
}

/** The values that a field accepts by name, also if it accepts others. */
export const choicesOf = ({ enum: values = [], anyOf = [] }: FieldSchema): unknown[] => [
  ...values,
  ...anyOf.flatMap(choicesOf),
];

/** Describes the values that a field accepts, such as `a number, at least 0 and below 1`. */
export function expectation(field: FieldSchema): string {
  objectOf("expectation: field", field);
  if (field.const !== undefined) return describeValue(field.const);
  if (field.enum !== undefined) {
    if (!Array.isArray(field.enum)) throw wrongArgument("expectation: enum", "an array of choices", field.enum);
    const choices = field.enum.map(describeValue);
    return choices.length === 1 ? `${choices[0]}` : `one of ${choices.join(", ")}`;
  }
  if (field.extension !== undefined) return `a path that ends with ${field.extension}`;
  const isNamed = (one: FieldSchema) => one.extension !== undefined || one.enum !== undefined;
  if (field.anyOf?.some(isNamed)) return field.anyOf.map(expectation).join(", or ");
  const kind = typesOf(field).map((type) => KINDS[type] ?? type);
  const limits = [
    field.minimum !== undefined && field.minimum > -Number.MAX_SAFE_INTEGER && `at least ${field.minimum}`,
    field.exclusiveMinimum !== undefined && `above ${field.exclusiveMinimum}`,
    field.maximum !== undefined && field.maximum < Number.MAX_SAFE_INTEGER && `at most ${field.maximum}`,
    field.exclusiveMaximum !== undefined && `below ${field.exclusiveMaximum}`,
  ].filter((limit) => limit !== false);
  return [kind.join(" or "), ...(limits.length > 0 ? [limits.join(" and ")] : [])].join(", ");
}

function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value);
  if (Array.isArray(value)) return "a list";
  return value !== null && typeof value === "object" ? "an object" : String(value);
}
