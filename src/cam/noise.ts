import { BatchCamError } from "../errors.ts";
import { isTensor } from "../tensor/core.ts";
import { randn, type Tensor } from "../tensor/index.ts";
import { OwnGenerator } from "../tensor/own-generator.ts";

export interface NoiseOptions {
  /** Copies, where the noise is not given. */
  samples: number;
  /** Of normal noise: a number, or a tensor that broadcasts to x. */
  deviation: number | Tensor;
  /** A number in place of the deviation, or the noise itself (n, ...x). */
  noise?: number | Tensor;
  seed?: number;
}

/**
 * The offsets of noisy copies of x, one by one. They are functions of the seed alone; the engine's generator is left as it was.
 *
 * @throws E_SHAPE where the noise given does not fit x
 */
export function noiseLike(x: Tensor, { samples, deviation, noise, seed = 0 }: NoiseOptions): Tensor[] {
  if (isTensor(noise)) return givenNoise(x, noise as Tensor);
  const draw = () => randn(x.sizes, { dtype: x.dtype }).mul(noise ?? deviation);
  using generator = new OwnGenerator("explain", seed);
  return generator.draw(() => Array.from({ length: samples }, draw));
}

function givenNoise(x: Tensor, noise: Tensor): Tensor[] {
  if (noise.ndim === x.ndim + 1 && noise.sizes.slice(1).join() === x.sizes.join() && noise.numel > 0)
    return noise.to(x.dtype).unbind(0);
  const expected = `[copies, ${x.shape.join(", ")}]`;
  throw new BatchCamError("E_SHAPE", `explain: noise must be ${expected}, got [${noise.shape.join(", ")}]`);
}
