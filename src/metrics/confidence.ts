import { optionsOf } from "../arguments.ts";
import { type Tensor, tidy, where } from "../tensor/index.ts";
import { classScores, type Predict, type PredictOptions, readExplained } from "./predict.ts";

export interface Confidence {
  /**
   * (N), float64: probability Y of the class for the image. It is the softmax of the logits. For a model with a single
   * logit it is the sigmoid for label 1, and 1 minus the sigmoid for label 0.
   */
  full: Tensor;
  /** (N): probability O of the class for the image multiplied by its map. */
  masked: Tensor;
  /** (N): max(0, Y − O) / Y. */
  drop: Tensor;
  /** (N): max(0, Y − O). */
  absoluteDrop: Tensor;
  /** (N): 1 if O > Y, otherwise 0. */
  increase: Tensor;
  /** (N): max(0, O − Y) / (1 − Y). */
  gain: Tensor;
  /**
   * Mean of `drop`, 0 to 1, lower is better. This is the average drop of Grad-CAM++ and torch-cam, which report it in
   * per cent.
   */
  averageDrop: number;
  /**
   * Mean of `absoluteDrop`, 0 to 1, lower is better. This is DropInConfidence of pytorch-grad-cam, which does not
   * divide by Y.
   */
  averageAbsoluteDrop: number;
  /** Mean of `increase`, 0 to 1, higher is better: the increase in confidence. */
  increaseInConfidence: number;
  /** Mean of `gain`, 0 to 1, higher is better: average gain (Opti-CAM). */
  averageGain: number;
}

/**
 * How the probability of a class changes if an image is multiplied by its map: x·M, with M in [0, 1] and the same for
 * every channel. The images are normalised, so masked pixels take the mean colour instead of black.
 *
 * The drop is 0 if Y = 0, and the gain is 0 if Y = 1. A dead (all-zero) map makes the masked image zero. A map or image
 * with NaN makes its own values and the means NaN. Difference from torch-cam: it divides the drop by Y + 1e-7 and
 * leaves out maps with NaN.
 *
 * Source: Chattopadhyay et al., Grad-CAM++, 2018; Zhang et al., Opti-CAM, 2024.
 *
 * @param images (N, C, H, W), normalised
 * @param maps (N, H, W), in [0, 1], of the images' size
 * @param labels (N), the class that each map explains
 */
export function confidence(
  predict: Predict,
  images: Tensor,
  maps: Tensor,
  labels: Tensor | readonly number[],
  options: PredictOptions = {},
): Confidence {
  optionsOf("confidence", options, ["batchSize"]);
  return tidy(() => {
    const explained = readExplained("confidence", [predict, images, maps, labels], options);
    const masks = maps.detach().to(explained.images.dtype).unsqueeze(1); // (N, 1, H, W)
    const scores = classScores("confidence", explained, {
      variants: 2,
      versionsOf(samples, variants) {
        const whole = explained.images.indexSelect(0, samples);
        return where(variants.eq(0).reshape([-1, 1, 1, 1]), whole, whole.mul(masks.indexSelect(0, samples)));
      },
    });
    return changesOf(...(scores.unbind(1) as [Tensor, Tensor]));
  });
}

function changesOf(full: Tensor, masked: Tensor): Confidence {
  const absoluteDrop = full.sub(masked).clamp(0);
  const rise = masked.sub(full).clamp(0);
  const room = full.neg().add(1);
  const changes = {
    drop: absoluteDrop.div(full.add(full.eq(0))),
    absoluteDrop,
    increase: where(rise.isnan(), rise, rise.gt(0).to("float64")),
    gain: rise.div(room.add(room.eq(0))),
  };
  const mean = (values: Tensor) => values.mean().item();
  return {
    full,
    masked,
    ...changes,
    averageDrop: mean(changes.drop),
    averageAbsoluteDrop: mean(absoluteDrop),
    increaseInConfidence: mean(changes.increase),
    averageGain: mean(changes.gain),
  };
}
