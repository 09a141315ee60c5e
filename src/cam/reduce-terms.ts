import { type Tensor, tensor } from "../tensor/index.ts";
import { principalComponent } from "./eigen.ts";
import type { Terms } from "./gradient-methods.ts";
import { weightedSum } from "./weighted-sum.ts";

/**
 * A layer's signed map (B, h, w): the sum of its terms over the channels, or their first principal component. Each sample's weights
 * are divided by a power of two near the largest of them, which rounds nothing, and the map is multiplied by it again, so that no
 * product leaves float32's range. The map has the activations' dtype, or float64 if float32 could not hold it.
 */
export function reduceTerms(activations: Tensor, terms: Terms, project: boolean): Tensor {
  if ("summands" in terms) return project ? principalComponent(terms.summands) : terms.summands.sum([1]);
  const exact = terms.weights.to("float64");
  const scales = largestOf(exact).map(powerOfTwo);
  const scale = tensor(scales, { shape: [scales.length, 1] });
  const weights = exact.div(scale).to(activations.dtype);
  const map = project
    ? principalComponent(activations.mul(weights.unsqueeze(2).unsqueeze(3)))
    : weightedSum(activations, weights);
  const holds = (largest: number, own: number) => isOrdinary(own) && isOrdinary(largest * own);
  const fits = largestOf(map.flatten(1)).every((largest, row) => holds(largest, scales[row] as number));
  const dtype = fits ? map.dtype : "float64";
  return map.to(dtype).mul(scale.unsqueeze(2).to(dtype));
}

/** The largest magnitude of each row. */
function largestOf(rows: Tensor): Float64Array {
  return rows.detach().abs().amax([1]).to("float64").data() as Float64Array;
}

/** The largest power of two that does not exceed a value; 1 for zero and what is not finite. */
const powerOfTwo = (value: number) => (value > 0 && value < Infinity ? 2 ** Math.floor(Math.log2(value)) : 1);

/** Whether values up to this one keep their digits in float32. */
const isOrdinary = (largest: number) => !(largest > 1e37 || (largest > 0 && largest < 1e-30));
