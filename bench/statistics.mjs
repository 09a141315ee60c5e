// Medians with their spread.

/**
 * @param {readonly number[]} sorted
 * @param {number} share
 * @returns {number}
 */
const quantile = (sorted, share) => sorted[Math.round(share * (sorted.length - 1))] ?? Number.NaN;

/** @param {readonly number[]} numbers */
export const median = (numbers) =>
  quantile(
    numbers.toSorted((a, b) => a - b),
    0.5,
  );

/**
 * The median with the 10th and 90th percentiles, or with the smallest and largest value of fewer than ten numbers.
 *
 * @param {readonly number[]} numbers
 * @returns {import("./types.d.ts").Spread}
 */
export function spread(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const share = sorted.length < 10 ? 0 : 0.1;
  return { median: quantile(sorted, 0.5), low: quantile(sorted, share), high: quantile(sorted, 1 - share) };
}
