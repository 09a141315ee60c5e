/// <reference path="./jstat.d.ts" />
import jstat from "jstat";

const { ibeta, studentt } = jstat.jStat;

/** With fewer pairs no test is made, because it could not tell an effect from chance. */
const LEAST_PAIRS = 3;

/** The result of a paired comparison. Values that do not exist are null, never NaN. */
export interface PairedTest {
  pairs: number;
  /** Mean of the differences, or null without a pair. */
  mean: number | null;
  /** Sample standard deviation of the differences (n − 1), or null with fewer than two pairs. */
  deviation: number | null;
  /** Two-sided p of Student's t = mean / (deviation / √n) with n − 1 degrees of freedom, or null if no test is made. */
  p: number | null;
  /** The 95 % confidence interval of the mean, or null if no test is made. */
  low: number | null;
  high: number | null;
}

/**
 * Student's t-test of paired differences against zero. No test is made of fewer than three pairs, nor if all differences are equal, because
 * then there is no variance to compare the mean with.
 *
 * @param differences one for each seed, m − plain; values that are not finite are left out
 */
export function pairedTest(differences: readonly number[]): PairedTest {
  const known = differences.filter(Number.isFinite);
  const pairs = known.length;
  if (pairs === 0) return { pairs, mean: null, deviation: null, p: null, low: null, high: null };
  const mean = known.reduce((sum, value) => sum + value, 0) / pairs;
  if (pairs === 1) return { pairs, mean, deviation: null, p: null, low: null, high: null };
  const largest = Math.max(...known.map(Math.abs));
  // The differences are scaled by a power of two near the largest, so that no square underflows or overflows and no digit changes.
  const unit = largest === 0 ? 1 : 2 ** Math.floor(Math.log2(largest));
  const squares = known.reduce((sum, value) => sum + ((value - mean) / unit) ** 2, 0);
  const deviation = unit * Math.sqrt(squares / (pairs - 1));
  const error = deviation / Math.sqrt(pairs);
  // Differences that are equal up to rounding have no variance to test against.
  if (pairs < LEAST_PAIRS || deviation <= 1e-12 * largest)
    return { pairs, mean, deviation, p: null, low: null, high: null };
  const freedom = pairs - 1;
  const reach = studentt.inv(0.975, freedom) * error;
  return { pairs, mean, deviation, p: twoSided(mean / error, freedom), low: mean - reach, high: mean + reach };
}

/** P(|T| ≥ |t|), computed by the incomplete beta function, which is accurate in the tail. */
function twoSided(t: number, freedom: number): number {
  return Math.min(1, Math.max(0, ibeta(freedom / (freedom + t * t), freedom / 2, 0.5)));
}

/**
 * Holm's step-down adjustment of several p values, returned in their order. In ascending order, the k-th of m values (from 0) is multiplied
 * by m − k, and none is smaller than the one before. Null stays null and is not counted.
 */
export function holm(ps: readonly (number | null)[]): (number | null)[] {
  const tested = ps.flatMap((p, index) => (p === null ? [] : [{ p, index }])).sort((a, b) => a.p - b.p);
  const adjusted: (number | null)[] = ps.map(() => null);
  let before = 0;
  tested.forEach(({ p, index }, rank) => {
    before = Math.max(before, Math.min(1, p * (tested.length - rank)));
    adjusted[index] = before;
  });
  return adjusted;
}
