import { expectShapes } from "../tensor/expect.ts";
import { type Tensor, tidy, where } from "../tensor/index.ts";

export interface DefinedMean {
  /** Mean of the values that are not NaN; NaN where there is none. */
  mean: number;
  /** Number of values that are not NaN. */
  defined: number;
  /** Number of those that are: dead maps, empty masks. Report it beside the mean. */
  undefined: number;
}

/**
 * The mean of a metric over the samples for which it is defined, and how many they are. For a split, join the values of its
 * batches first.
 *
 * @param values (N)
 */
export function definedMean(values: Tensor): DefinedMean {
  const { N } = expectShapes("definedMean", { values: [values, "N"] }) as { N: number };
  return tidy(() => {
    const wide = values.detach().to("float64");
    const missing = wide.isnan();
    const defined = N - missing.to("float64").sum().item();
    return { mean: where(missing, 0, wide).sum().item() / defined, defined, undefined: N - defined };
  });
}
