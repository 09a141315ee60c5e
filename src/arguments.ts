import { types } from "node:util";
import { BatchCamError, type ErrorCode } from "./errors.ts";
import { nearestName } from "./nearest-name.ts";

// Checks of arguments that TypeScript would refuse, for callers from JavaScript. `place` names the operation and the
// argument in messages, such as "narrow: start".

export function wrongArgument(
  place: string,
  expected: string,
  value: unknown,
  code: ErrorCode = "E_ARGUMENT",
): BatchCamError {
  return new BatchCamError(code, `${place}: expected ${expected}, got ${describeValue(value)}`);
}

/**
 * Describes a value in a message: the value itself if it is short, otherwise its kind. Every message must use this
 * function, because it never throws.
 */
export function describeValue(value: unknown): string {
  try {
    return described(value);
  } catch {
    return `a hostile ${typeof value}`; // a Proxy or a getter that throws when it is read
  }
}

function described(value: unknown): string {
  if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) {
    const plain = value.length <= 8 && value.every((item) => !Array.isArray(item));
    return plain ? `[${Array.from(value, describeValue).join(", ")}]` : `an array of ${value.length}`;
  }
  const name: unknown = value.constructor?.name;
  return typeof name === "string" && name !== "" ? name : "an object";
}

/** Makes an error with a rule such as "be an integer >= 1": "Conv2d: groups must be an integer >= 1, got 0". */
function refusal(place: string, rule: string, value: unknown): BatchCamError {
  return new BatchCamError("E_ARGUMENT", `${place} must ${rule}, got ${describeValue(value)}`);
}

/** The keys of an object type; for a union, the keys of all its members. */
type KeysOf<T> = T extends unknown ? keyof T & string : never;

/** Makes a list that lacks a key of T fail to compile, with the missing key in the error. */
type Complete<T, K extends string> = [KeysOf<T>] extends [K] ? unknown : { "the list lacks": Exclude<KeysOf<T>, K> };

/**
 * Checks that options are an object without unknown names, and returns them. This is how a public function reads its
 * options: `const { a = 1 } = optionsOf("f", options, ["a"])`. Destructuring in the signature would throw a TypeError
 * for null and ignore a misspelt name. The compiler refuses a list that lacks a key of the options' type. Without
 * `known`, every name is accepted; this is for options that another function checks.
 *
 * @throws E_ARGUMENT for another kind of value, and for an unknown name, with the nearest known one
 */
export function optionsOf<T extends object, const K extends KeysOf<T> = KeysOf<T>>(
  operation: string,
  options: T,
  known?: readonly K[] & Complete<T, K>,
): T {
  objectOf(`${operation}: options`, options);
  if (known !== undefined) expectKnownKeys(operation, options, known);
  return options;
}

/** Throws for an unknown key: "road: unknown option sede; did you mean seed?". */
function expectKnownKeys(operation: string, options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).find((key) => !known.includes(key));
  if (unknown === undefined) return;
  const near = nearestName(unknown, known);
  const hint = near === undefined ? "." : `; did you mean ${near}?`;
  const shown = unknown.length > 40 ? `${unknown.slice(0, 40)}...` : unknown;
  throw new BatchCamError(
    "E_ARGUMENT",
    `${operation}: unknown option ${shown}${hint} The options are ${known.join(", ")}`,
  );
}

export function objectOf<T extends object>(place: string, value: T): T {
  if (typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Map)) return value;
  throw refusal(place, "be an object", value);
}

/** Throws unless the value is a number for which `holds` is true. `rule` describes the condition, such as "be in [0, 1)". */
export function expectNumber(
  place: string,
  value: unknown,
  rule = "be a number",
  holds: (value: number) => boolean = () => true,
): void {
  if (typeof value !== "number" || !holds(value)) throw refusal(place, rule, value);
}

/** Throws unless the value is an integer from `least` to `most`. */
export function expectInteger(place: string, value: unknown, least: number, most = Number.MAX_SAFE_INTEGER): void {
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) return;
  const range = most === Number.MAX_SAFE_INTEGER ? `>= ${least}` : `from ${least} to ${most}`;
  throw refusal(place, `be an integer ${range}`, value);
}

export function expectBoolean(place: string, value: unknown): void {
  if (typeof value !== "boolean") throw refusal(place, "be true or false", value);
}

export function expectString(place: string, value: unknown): void {
  if (typeof value !== "string") throw refusal(place, "be a string", value);
}

export function expectFunction(place: string, value: unknown): void {
  if (typeof value !== "function") throw refusal(place, "be a function", value);
}

/** Throws for a value that cannot be a path: not a string, empty, or with a zero byte. */
export function expectPath(place: string, value: unknown): void {
  if (typeof value === "string" && value !== "" && !value.includes("\0")) return;
  throw refusal(place, "be a path, a string that is not empty and has no zero byte", value);
}

/** The items of an iterable. A string is refused, because nobody means its letters. */
export function itemsOf<T>(place: string, value: Iterable<T>, expected: string): T[] {
  const iterable = typeof value === "object" && value !== null && typeof value[Symbol.iterator] === "function";
  if (!iterable || isShell(value)) throw refusal(place, `be ${expected}`, value);
  return [...value];
}

/** Throws unless the value is a Map. */
export function expectMap(place: string, value: unknown, expected = "a Map of names and tensors"): void {
  if (!types.isMap(value)) throw refusal(place, `be ${expected}`, value);
}

/**
 * Whether a value is a Proxy of a collection or an object that only inherits from one. Such a value has no entries, and
 * its methods throw.
 */
function isShell(value: object): boolean {
  return (value instanceof Map && !types.isMap(value)) || (value instanceof Set && !types.isSet(value));
}

export function expectSignal(place: string, value: unknown): void {
  if (value !== undefined && !(value instanceof AbortSignal)) throw refusal(place, "be an AbortSignal", value);
}

/**
 * Calls a user's function in a mode that ends when it returns. A promise is refused, because its code would run after the mode has ended.
 */
export function callSync<T>(operation: string, fn: () => T): T {
  if (typeof fn !== "function") throw wrongArgument(operation, "a function", fn);
  const result = fn();
  if (typeof (result as { then?: unknown } | null | undefined)?.then === "function") {
    throw new BatchCamError("E_ARGUMENT", `${operation}: the function must be synchronous, it returned a promise`);
  }
  return result;
}
