/**
 * The domain of an axis that holds all values, with a margin at both ends. The margin is a share of the range; if the values are the same
 * but for rounding, it is a share of their size.
 */
export function domainOf(values: readonly number[], margin: number): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const size = Math.max(Math.abs(low), Math.abs(high));
  const pad = high - low > 1e-9 * size ? margin * (high - low) : 0.02 * size || 0.1;
  return [low - pad, high + pad];
}
