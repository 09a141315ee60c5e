import type { Tensor } from "../tensor/index.ts";

/** Float32 for what comes in 16 bits; any other tensor itself. */
export function single(x: Tensor): Tensor {
  return x.dtype === "bfloat16" || x.dtype === "float16" ? x.to("float32") : x;
}
