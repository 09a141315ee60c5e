import jstat from "jstat";

const { ibeta, studentt } = jstat.jStat;

/** Fewer pairs than this say nothing about chance: no test is made of them. */
const LEAST_PAIRS = 3;

/** What paired differences come to. NaN nowhere: null where there is no such number. */
export interface PairedTest {
  pairs: number;
  /** Of the differences; null without a pair. */
  mean: number | null;
  /** Sample standard deviation of the differences (n − 1); null with fewer than two pairs. */
  deviation: number | null;
  /** Two-sided p of Student's t = mean / (deviation / √n), n − 1 degrees of freedom; null where no test is made. */
  p: number | null;
  /** 95 % confidence interval of the mean; null where no test is made. */
  low: number | null;
  high: number | null;
}

/**
 * Student's t-test of paired differences against zero. No test is made of fewer than three pairs, nor where all differences
 * are the same, since then there is no spread to judge them by.
 *
 * @param differences one a seed, m − plain; those that are not finite are left out
 */
export function pairedTest(differences: readonly number[]): PairedTest {
  const known = differences.filter(Number.isFinite);
  const pairs = known.length;
  if (pairs === 0) return { pairs, mean: null, deviation: null, p: null, low: null, high: null };
  const mean = known.reduce((sum, value) => sum + value, 0) / pairs;
  if (pairs === 1) return { pairs, mean, deviation: null, p: null, low: null, high: null };
  const largest = Math.max(...known.map(Math.abs));
  // A power of two near the largest, so that no square vanishes or overflows and no digit changes.
  const unit = largest === 0 ? 1 : 2 ** Math.floor(Math.log2(largest));
  const squares = known.reduce((sum, value) => sum + ((value - mean) / unit) ** 2, 0);
  const deviation = unit * Math.sqrt(squares / (pairs - 1));
  const error = deviation / Math.sqrt(pairs);
  // Differences of equal size differ by their rounding alone.
  if (pairs < LEAST_PAIRS || deviation <= 1e-12 * largest)
    return { pairs, mean, deviation, p: null, low: null, high: null };
  const freedom = pairs - 1;
  const reach = studentt.inv(0.975, freedom) * error;
  return { pairs, mean, deviation, p: twoSided(mean / error, freedom), low: mean - reach, high: mean + reach };
}

/** P(|T| ≥ |t|) by the incomplete beta function, which loses no digits in the tail. */
function twoSided(t: number, freedom: number): number {
  return Math.min(1, Math.max(0, ibeta(freedom / (freedom + t * t), freedom / 2, 0.5)));
}

/**
 * Holm's step-down adjustment of the p of several tests, in their order: sorted upwards, the k-th of m (from 0) is multiplied by
 * m − k, and none is below the one before. Null stays null and counts for nothing.
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
