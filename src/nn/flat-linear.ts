import { flatLinear as flatLinearOp, fusedDtype } from "../tensor/fused-ops.ts";
import type { Tensor } from "../tensor/index.ts";
import { isOf, isPlain, wantsFused } from "./fused.ts";
import { Linear } from "./linear.ts";
import { observed, report } from "./recorder.ts";
import { Flatten } from "./sequential.ts";

/** Means of a weight over the pixels that it reads, (J, K), by the output (B, J) of the layer. */
const means = new WeakMap<Tensor, Tensor>();

/** What `flatLinear` found beside this output of its linear layer; undefined for any other tensor. */
export const pooledWeightOf = (output: Tensor): Tensor | undefined => means.get(output);

/**
 * linear(flatten(maps)) of maps (B, K, h, w): one kernel that reads maps whose channels lie last as they are, where nobody
 * asks for the flattened ones; else the layers one after the other.
 */
export function flatLinear(flatten: Flatten, linear: Linear, maps: Tensor): Tensor {
  const dtype = fusedDtype(maps);
  const { weight, bias, inFeatures } = linear;
  const known = isPlain(flatten, Flatten) && flatten.start === 1 && flatten.end === -1 && isOf(linear, Linear);
  const fits =
    maps.ndim === 4 && maps.sizes[0] !== 0 && maps.sizes.slice(1).reduce((n, size) => n * size, 1) === inFeatures;
  const single = weight.dtype === "float32" && bias?.dtype === "float32";
  if (!known || !fits || !single || bias === null || dtype === null || !wantsFused())
    return linear.run(flatten.run(maps));
  let pooled: Tensor | undefined;
  const run = () => {
    const made = flatLinearOp(maps.to(dtype), weight, bias);
    pooled = made.pooled;
    return made.output;
  };
  const output = report(linear, observed(linear, run));
  if (pooled !== undefined) means.set(output, pooled);
  return output;
}
