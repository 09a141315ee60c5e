/** The stretch of an axis that holds all values, with a margin on both sides: a share of it, or of the values where they are the same but for rounding. */
export function extent(values: readonly number[], margin: number): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const size = Math.max(Math.abs(low), Math.abs(high));
  const pad = high - low > 1e-9 * size ? margin * (high - low) : 0.02 * size || 0.1;
  return [low - pad, high + pad];
}
