import { BatchCamError } from "../errors.ts";
import { tidy } from "./core.ts";
import { DTYPES, type DType } from "./dtype.ts";

export type Leaf = number | bigint | boolean;
export type NestedArray = number | bigint | boolean | readonly NestedArray[];

/** Converts the values of a tensor's `data()` to those that `tolist` returns. */
export function leavesOf(data: ArrayLike<number | bigint>, dtype: DType): Leaf[] {
  if (dtype === "bool") return Array.from(data, (value) => value !== 0);
  const values = Array.from(data);
  const numbers = values.map(Number);
  return numbers.every(Number.isSafeInteger) || dtype !== "int64" ? numbers : values;
}

/** Converts values in row-major order to nested arrays of a shape. */
export function nestedOf(leaves: readonly Leaf[], shape: readonly number[]): NestedArray {
  const [size, ...inner] = shape;
  if (size === undefined) return leaves[0] as Leaf;
  const step = inner.reduce((product, length) => product * length, 1);
  return Array.from({ length: size }, (_, i) => nestedOf(leaves.slice(i * step, (i + 1) * step), inner));
}

// The rest of this file prints tensors in the format of torch's `repr` with its default settings.
const PRECISION = 4;
const THRESHOLD = 1000;
const EDGE = 3;
const WIDTH = 80;
const PREFIX = "tensor(";

/** The dtypes that torch does not print, because they are evident from the values. */
const SELF_EVIDENT: readonly string[] = ["float32", "int64", "bool"];

/** The part of a tensor that printing needs. This file does not import `Tensor`, whose methods print. */
interface Printable {
  readonly dtype: DType;
  readonly numel: number;
  readonly ndim: number;
  readonly sizes: readonly number[];
  readonly requiresGrad: boolean;
  detach(): Printable;
  narrow(dim: number, start: number, length: number): Printable;
  tolist(): NestedArray;
}

type Format = (value: Leaf) => string;

/**
 * A tensor in torch's format: the values in rows, without the middle of large tensors, and then the properties that the values do not
 * show.
 */
export function printed(tensor: Printable): string {
  const suffixes = [];
  if (tensor.numel === 0 && tensor.ndim !== 1) suffixes.push(`size=(${tuple(tensor.sizes)})`);
  if (!(tensor.numel > 0 ? SELF_EVIDENT : ["float32"]).includes(tensor.dtype))
    suffixes.push(`dtype=torch.${tensor.dtype}`);
  if (tensor.requiresGrad) suffixes.push("requires_grad=True");
  return withSuffixes(tensor.numel === 0 ? `${PREFIX}[]` : PREFIX + valuesOf(tensor), suffixes);
}

const tuple = (sizes: readonly number[]) => (sizes.length === 1 ? `${sizes[0]},` : sizes.join(", "));

function withSuffixes(text: string, suffixes: readonly string[]): string {
  let result = text;
  let line = text.length - text.lastIndexOf("\n") + 1;
  for (const suffix of suffixes) {
    const fits = line + suffix.length + 2 <= WIDTH;
    result += fits ? `, ${suffix}` : `,\n${" ".repeat(PREFIX.length)}${suffix}`;
    line = fits ? line + suffix.length + 2 : PREFIX.length + suffix.length;
  }
  return `${result})`;
}

function valuesOf(tensor: Printable): string {
  const cut = tensor.sizes.map((size) => tensor.numel > THRESHOLD && size > 2 * EDGE);
  const shown = tidy(() => edges(tensor.detach(), cut));
  const leaves: Leaf[] = [];
  collect(shown, leaves);
  const format = DTYPES[tensor.dtype].floating ? floatFormat(leaves as number[]) : plainFormat(leaves);
  return rows(shown, { cut, indent: PREFIX.length, format });
}

/**
 * The values to print. Of a dimension whose middle is left out, only the first and the last ones remain. `from` is the first dimension
 * that has not been cut yet.
 */
function edges(tensor: Printable, cut: readonly boolean[], from = 0): NestedArray {
  const dim = cut.indexOf(true, from);
  if (dim < 0) return tensor.tolist();
  const size = tensor.sizes[dim] as number;
  const edge = (start: number) => edges(tensor.narrow(dim, start, EDGE), cut, dim + 1);
  return joined(edge(0), edge(size - EDGE), dim);
}

/** Concatenates two nested arrays along a dimension. */
function joined(first: NestedArray, last: NestedArray, dim: number): NestedArray {
  const [a, b] = [first as NestedArray[], last as NestedArray[]];
  return dim === 0 ? [...a, ...b] : a.map((row, i) => joined(row, b[i] as NestedArray, dim - 1));
}

function collect(value: NestedArray, leaves: Leaf[]): void {
  if (typeof value !== "object") leaves.push(value);
  else for (const item of value) collect(item, leaves);
}

interface Layout {
  /** For each dimension, whether its middle is left out. */
  cut: readonly boolean[];
  /** The number of columns to the left of the text. */
  indent: number;
  format: Format;
}

function rows(value: NestedArray, { cut, indent, format }: Layout): string {
  if (typeof value !== "object") return format(value);
  const inner = { cut: cut.slice(1), indent: indent + 1, format };
  const items = value.map((item) => rows(item, inner));
  const space = " ".repeat(indent + 1);
  if (cut.length === 1) {
    const [width = 0] = items.map((item) => item.length);
    const inLine = Math.max(1, Math.floor((WIDTH - indent) / (width + 2)));
    if (cut[0]) items.splice(EDGE, 0, " ...");
    return `[${chunks(items, inLine)
      .map((line) => line.join(", "))
      .join(`,\n${space}`)}]`;
  }
  if (cut[0]) items.splice(EDGE, 0, "...");
  return `[${items.join(`,${"\n".repeat(cut.length - 1)}${space}`)}]`;
}

function chunks(items: readonly string[], size: number): string[][] {
  const lines: string[][] = [];
  for (let start = 0; start < items.length; start += size) lines.push(items.slice(start, start + size));
  return lines;
}

function plainFormat(values: readonly Leaf[]): Format {
  const text = (value: Leaf) => (typeof value === "boolean" ? (value ? "True" : "False") : String(value));
  const width = Math.max(...values.map((value) => text(value).length));
  return (value) => text(value).padStart(width);
}

/**
 * Formats whole numbers with a point and others with four decimals, or all in scientific notation if their magnitudes
 * differ by a factor of more than a thousand.
 */
function floatFormat(values: readonly number[]): Format {
  const known = values.filter((value) => Number.isFinite(value) && value !== 0);
  const magnitudes = known.map(Math.abs);
  const [least, most] = [Math.min(...magnitudes), Math.max(...magnitudes)];
  const whole = known.every(Number.isInteger);
  const powers = known.length > 0 && (most / least > 1000 || most > 1e8 || (!whole && least < 1e-4));
  const finite = (value: number) => {
    if (powers) return exponential(value, PRECISION);
    return whole ? `${decimal(value, 0)}.` : decimal(value, PRECISION);
  };
  const text = (value: number) => {
    if (Number.isFinite(value)) return finite(value);
    return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  };
  const width = Math.max(1, ...known.map((value) => finite(value).length));
  return (value) => text(value as number).padStart(width);
}

// Formats numbers as Python does, which rounds ties to the even digit; JavaScript rounds them away from zero.

/** `f"{value:.{digits}f}"` */
export function decimal(value: number, digits: number): string {
  const magnitude = Math.abs(value);
  // For larger numbers, toFixed uses scientific notation, and there are no decimals to round.
  const text = magnitude >= 1e21 ? BigInt(magnitude).toString() + (digits > 0 ? `.${"0".repeat(digits)}` : "") : "";
  return signOf(value) + (text || rounded(magnitude.toFixed(digits), magnitude.toFixed(digits + 40), digits));
}

/** `f"{value:.{digits}e}"` */
export function exponential(value: number, digits: number): string {
  const magnitude = Math.abs(value);
  const [near = "", exponent = "+0"] = magnitude.toExponential(digits).split("e");
  const [exact = ""] = magnitude.toExponential(digits + 40).split("e");
  return `${signOf(value)}${rounded(near, exact, digits)}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}

const signOf = (value: number) => (value < 0 || Object.is(value, -0) ? "-" : "");

/** The text that JavaScript rounded or, if the exact value is a tie, the text with the even last digit. */
function rounded(near: string, exact: string, digits: number): string {
  const kept = exact.slice(0, exact.indexOf(".") + (digits > 0 ? digits + 1 : 0));
  const tie = /^\.?50*$/.test(exact.slice(kept.length));
  return tie && Number(kept.at(-1)) % 2 === 0 ? kept : near;
}

/** The part of a tensor that JSON needs. This file does not import `Tensor`, which has a `toJSON`. */
interface Listed {
  readonly numel: number;
  readonly sizes: readonly number[];
  readonly dtype: string;
  tolist(): NestedArray;
}

/** The largest number of values that are converted, about 20 MB of text in float32. */
const MOST_VALUES = 2 ** 20;

/** A tensor's values as nested arrays that JSON can represent; see `Tensor.toJSON`. */
export function jsonOf(tensor: Listed): NestedArray {
  if (tensor.numel > MOST_VALUES)
    throw new BatchCamError(
      "E_ARGUMENT",
      `toJSON: expected a tensor of at most ${MOST_VALUES} values, got [${tensor.sizes.join(", ")}]: save it with saveSafetensors, write String(tensor) to a log, or call tolist() if JSON of this size is meant`,
    );
  const values = tensor.tolist();
  if (tensor.dtype === "int64" && holdsBigint(values))
    throw new BatchCamError(
      "E_ARGUMENT",
      'toJSON: expected int64 values from -(2^53 - 1) to 2^53 - 1, which JSON keeps exactly, got larger ones: write tolist() with the bigints as strings, or convert the tensor with to("float64")',
    );
  return values;
}

/** Checking one value is enough: `tolist` returns bigints for all values or for none. */
function holdsBigint(values: NestedArray): boolean {
  const leaf = Array.isArray(values) ? values.flat(Number.POSITIVE_INFINITY)[0] : values;
  return typeof leaf === "bigint";
}
