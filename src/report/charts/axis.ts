import { formatNumber, formatShort } from "../text/numbers.ts";

/** An axis from data to [0, 1], with the values to write beside it. */
export interface Axis {
  ticks: number[];
  /** A tick in words, with as many decimals as tell it from its neighbours. */
  label(tick: number): string;
  /** Position of a value, 0 at the lower end and 1 at the upper. */
  at(value: number): number;
}

/** A linear axis that holds all values, with about `count` round ticks; it ends at ticks, or at the values where `tight`. */
export function linearAxis(
  values: readonly number[],
  { count = 4, zero = false, whole = false, tight = false } = {},
): Axis {
  let [low, high] = extent(values);
  if (zero) {
    low = Math.min(0, low);
    high = Math.max(0, high);
  }
  if (high - low <= 1e-9 * Math.max(Math.abs(low), Math.abs(high))) {
    const pad = Math.abs(low) * 0.02 || 1;
    [low, high] = zero && low === 0 ? [0, 1] : [low - pad, high + pad];
  }
  const step = Math.max(whole ? 1 : 0, niceStep((high - low) / count));
  if (!tight) [low, high] = [Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step];
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  const ticks = Array.from({ length: last - first + 1 }, (_, index) => clean((first + index) * step, step));
  return { ticks, label: labels(step), at: (value) => (value - low) / (high - low) };
}

/** A logarithmic axis with ticks at powers of ten, or at 1, 2 and 5 where the values span less than two of them. */
export function logAxis(values: readonly number[]): Axis {
  const [low, high] = extent(values.filter((value) => value > 0));
  const from = Math.log10(low) - 0.05;
  const to = Math.log10(high) + 0.05;
  const span = to - from;
  const ticks: number[] = [];
  const stride = Math.max(1, Math.round(span / 4));
  for (let power = Math.floor(from); power <= to; power++) {
    for (const factor of span < 2 ? [1, 2, 5] : [1]) {
      const tick = factor * 10 ** power;
      const onStride = span < 2 || power % stride === 0;
      if (onStride && Math.log10(tick) >= from && Math.log10(tick) <= to) ticks.push(clean(tick, tick));
    }
  }
  const at = (value: number) => (Math.log10(value) - from) / span;
  return ticks.length > 1
    ? { ticks, label: formatShort, at }
    : { ...linearAxis([low, high], { count: 3, tight: true }), at };
}

function extent(values: readonly number[]): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low <= high ? [low, high] : [0, 1];
}

function labels(step: number): (tick: number) => string {
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return (tick) =>
    tick === 0 || decimals > 4 || Math.abs(tick) >= 1e5 ? formatShort(tick) : formatNumber(tick, decimals);
}

function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const rest = rough / power;
  return power * (rest < 1.5 ? 1 : rest < 3.5 ? 2 : rest < 7.5 ? 5 : 10);
}

/** Removes the rounding noise of multiples such as 0.30000000000000004. */
function clean(value: number, step: number): number {
  const digits = Math.min(100, Math.max(0, 1 - Math.floor(Math.log10(step))));
  return Number(value.toFixed(digits));
}
