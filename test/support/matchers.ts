import { expect } from "vitest";
import type { Tensor } from "../../src/tensor/index.ts";

type Nested = number | readonly Nested[];
/** A value with numbers and a shape. */
export type Comparable = Tensor | Nested | ArrayLike<number | bigint>;

export interface AllcloseOptions {
  rtol?: number;
  atol?: number;
  /** Whether NaN equals NaN. */
  equalNan?: boolean;
}

export interface RelL2Options {
  relL2: number;
  absL2?: number;
}

declare module "vitest" {
  // biome-ignore lint/suspicious/noExplicitAny: the interface that this extends is declared with it.
  interface Matchers<T = any> {
    /** |a − b| <= atol + rtol·|b| for every element, and equal shapes. The defaults are torch's: rtol 1e-5, atol 1e-8. */
    toBeAllclose(expected: Comparable, options?: AllcloseOptions): T;
    /** ‖a − b‖₂ <= relL2·‖b‖₂ + absL2, and equal shapes. */
    toHaveRelL2(expected: Comparable, options: RelL2Options): T;
  }
}

interface Values {
  shape: readonly number[];
  data: Float64Array;
}

interface Verdict {
  pass: boolean;
  message: () => string;
}

expect.extend({
  toBeAllclose(received: Comparable, expected: Comparable, options: AllcloseOptions = {}) {
    return compare("toBeAllclose", [received, expected], (a, b) => allclose(a, b, options));
  },
  toHaveRelL2(received: Comparable, expected: Comparable, options: RelL2Options) {
    return compare("toHaveRelL2", [received, expected], (a, b) => relL2(a, b, options));
  },
});

function compare(
  matcher: string,
  [received, expected]: readonly [Comparable, Comparable],
  judge: (a: Values, b: Values) => Verdict,
): Verdict {
  const [a, b] = [valuesOf(received), valuesOf(expected)];
  if (a.shape.join() === b.shape.join()) return judge(a, b);
  const message = () => `${matcher}: expected shape [${b.shape.join(", ")}], got [${a.shape.join(", ")}]`;
  return { pass: false, message };
}

function allclose(a: Values, b: Values, { rtol = 1e-5, atol = 1e-8, equalNan = false }: AllcloseOptions): Verdict {
  let worst = { excess: -1, index: -1 };
  let wrong = 0;
  for (let i = 0; i < a.data.length; i++) {
    const excess = excessOf(a.data[i] as number, b.data[i] as number, { rtol, atol, equalNan });
    if (excess > 1) wrong++;
    if (excess > worst.excess) worst = { excess, index: i };
  }
  const message = () => {
    if (wrong === 0) return `expected some element to differ by more than rtol ${rtol}, atol ${atol}; none does`;
    const [got, want] = [a.data[worst.index] as number, b.data[worst.index] as number];
    const where = `at [${position(worst.index, a.shape).join(", ")}] expected ${want}, got ${got}`;
    const size = `|a - b| = ${Math.abs(got - want)}, allowed ${atol + rtol * Math.abs(want)}`;
    return `${wrong} of ${a.data.length} elements are out of tolerance (rtol ${rtol}, atol ${atol}); the worst ${where}: ${size}`;
  };
  return { pass: wrong === 0, message };
}

/** The difference divided by the allowed difference; above 1 it is too large. */
function excessOf(a: number, b: number, { rtol, atol, equalNan }: Required<AllcloseOptions>): number {
  if (a === b || (equalNan && Number.isNaN(a) && Number.isNaN(b))) return 0;
  if (!Number.isFinite(a) || !Number.isFinite(b)) return Number.POSITIVE_INFINITY;
  return Math.abs(a - b) / (atol + rtol * Math.abs(b));
}

function relL2(a: Values, b: Values, options: RelL2Options): Verdict {
  const { relL2: relative, absL2 = 0 } = options;
  const difference = norm(a.data.map((value, i) => value - (b.data[i] as number)));
  const reference = norm(b.data);
  const allowed = relative * reference + absL2;
  const message = () =>
    `expected ‖a - b‖ <= ${relative}·‖b‖ + ${absL2} = ${allowed}, got ${difference} ` +
    `(‖b‖ = ${reference}, relative ${difference / reference})`;
  return { pass: difference <= allowed, message };
}

function norm(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}

function valuesOf(value: Comparable): Values {
  if (typeof value === "number") return { shape: [], data: Float64Array.of(value) };
  if (isTensor(value)) return { shape: value.shape, data: toFloat64(value.data()) };
  if (Array.isArray(value)) return { shape: shapeOf(value), data: toFloat64(value.flat(Infinity) as number[]) };
  const flat = value as ArrayLike<number | bigint>;
  return { shape: [flat.length], data: toFloat64(flat) };
}

function isTensor(value: object): value is Tensor {
  return "dtype" in value && "data" in value;
}

function shapeOf(nested: Nested): number[] {
  return Array.isArray(nested) ? [nested.length, ...(nested.length > 0 ? shapeOf(nested[0] as Nested) : [])] : [];
}

function toFloat64(values: ArrayLike<number | bigint>): Float64Array {
  return Float64Array.from(values as ArrayLike<number>, Number);
}

function position(index: number, shape: readonly number[]): number[] {
  const at: number[] = [];
  let rest = index;
  for (const size of shape.toReversed()) {
    at.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return at;
}
