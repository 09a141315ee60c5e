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
 * The offsets of noisy copies of x, one by one; each is broadcast over the batch unless the deviation has a value for each image.
 *
 * The draws are functions of the seed and of the size of one image alone: every image gets the same ones. So the map of an image is
 * the same by itself and in any batch, at any place, and it changes smoothly with the image. Draws that depended on the image's
 * values would be others for its neighbours, however near. The engine's generator is left as it was.
 *
 * @throws E_SHAPE where the noise given does not fit x
 */
export function noiseLike(x: Tensor, { samples, deviation, noise, seed = 0 }: NoiseOptions): Tensor[] {
  if (isTensor(noise)) return givenNoise(x, noise as Tensor);
  const size = x.sizes.slice(1);
  using generator = new OwnGenerator("explain", seed);
  const copies = generator.draw(() => Array.from({ length: samples }, () => randn([1, ...size])));
  return copies.map((copy) => copy.to(x.dtype).mul(noise ?? deviation));
}

function givenNoise(x: Tensor, noise: Tensor): Tensor[] {
  if (noise.ndim === x.ndim + 1 && noise.sizes.slice(1).join() === x.sizes.join() && noise.numel > 0)
    return noise.to(x.dtype).unbind(0);
  const expected = `[copies, ${x.shape.join(", ")}]`;
  throw new BatchCamError("E_SHAPE", `explain: noise must be ${expected}, got [${noise.shape.join(", ")}]`);
}
