import type { Tensor } from "../../tensor/index.ts";
import { flatLinear as flatLinearOp, fusedDtype, wantsFused } from "../../tensor/internal.ts";
import { emitOutput, isWatched, observed } from "../interception.ts";
import { Linear } from "../layers/linear.ts";
import { Flatten } from "../layers/sequential.ts";
import { isOf, isPlain } from "./conv-norm.ts";

/** The means of a weight over the pixels that it reads, (J, K), for each output tensor (B, J) of a layer. */
const means = new WeakMap<Tensor, Tensor>();

/**
 * The pooled weight that `flatLinear` computed together with this output; undefined for other tensors, or if the pooled weight was freed.
 */
export function pooledWeightOf(output: Tensor): Tensor | undefined {
  const pooled = means.get(output);
  return pooled?.isDisposed ? undefined : pooled;
}

/**
 * linear(flatten(maps)) of maps (B, K, h, w): one kernel that reads channels-last maps without a copy if the flattened maps are
 * not observed, otherwise the layers one after the other. The weight's means are kept if the output is observed.
 */
export function flatLinear(flatten: Flatten, linear: Linear, maps: Tensor): Tensor {
  const dtype = fusedDtype(maps);
  const { weight, bias, inFeatures } = linear;
  const known = isPlain(flatten, Flatten) && flatten.start === 1 && flatten.end === -1 && isOf(linear, Linear);
  const fits =
    maps.ndim === 4 && maps.sizes[0] !== 0 && maps.sizes.slice(1).reduce((n, size) => n * size, 1) === inFeatures;
  const isFloat32 = weight.dtype === "float32" && bias?.dtype === "float32";
  if (!known || !fits || !isFloat32 || bias === null || dtype === null || !wantsFused())
    return linear.run(flatten.run(maps));
  let pooled: Tensor | undefined;
  const run = () => {
    const made = flatLinearOp(maps.to(dtype), weight, bias);
    // Only an observer needs the means, and keeping them would keep the graph alive.
    if (isWatched(linear)) pooled = made.pooled;
    else made.pooled.dispose();
    return made.output;
  };
  const output = observed(linear, run);
  const next = emitOutput(linear, output);
  // The key may be the tap, which is the layer's own output, or the copy of it that the next layer reads.
  if (pooled !== undefined) for (const same of [output, next]) means.set(same, pooled);
  return next;
}
