import { DTYPES, type DType } from "./dtype.ts";
import type { NestedArray } from "./nested.ts";
import { decimal, exponential } from "./number-format.ts";
import { tidy } from "./tidy.ts";

// What torch's `repr` writes, with its default settings.
const PRECISION = 4;
const THRESHOLD = 1000;
const EDGE = 3;
const WIDTH = 80;
const PREFIX = "tensor(";

/** The dtypes that torch does not name: those that the printed values tell. */
const SELF_EVIDENT: readonly string[] = ["float32", "int64", "bool"];

/** What printing needs of a tensor. It does not import `Tensor`, whose methods print. */
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

type Leaf = number | bigint | boolean;
type Format = (value: Leaf) => string;

/** A tensor as torch prints it: values in rows, the middle of large tensors left out, then what the values do not tell. */
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

/** The values, of each dimension whose middle is left out the first and last ones; `from` is the first dimension that is not cut yet. */
function edges(tensor: Printable, cut: readonly boolean[], from = 0): NestedArray {
  const dim = cut.indexOf(true, from);
  if (dim < 0) return tensor.tolist();
  const size = tensor.sizes[dim] as number;
  const edge = (start: number) => edges(tensor.narrow(dim, start, EDGE), cut, dim + 1);
  return joined(edge(0), edge(size - EDGE), dim);
}

/** Two nested arrays one after the other along a dimension. */
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
  /** Columns to the left of the text. */
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

/** Whole numbers with a point, else four decimals; powers of ten where the values differ by more than a thousand times. */
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
