import { arange, type Tensor } from "../../tensor/index.ts";

/** Images that are not constant, so that no layer's output is either. Another `step` gives others. */
export function exampleImages(
  sizes: readonly number[],
  { dtype, device }: Pick<Tensor, "dtype" | "device">,
  step = 0.7,
): Tensor {
  const count = sizes.reduce((product, size) => product * size, 1);
  return arange(0, count, { dtype: "float32" })
    .mul(step)
    .sin()
    .reshape([...sizes])
    .to(dtype)
    .to(device);
}
