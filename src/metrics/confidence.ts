import { optionsOf } from "../arguments.ts";
import { type Tensor, tidy, where } from "../tensor/index.ts";
import { classScores, type Predict, type PredictOptions, readExplained } from "./predict.ts";

export interface Confidence {
  /** (N), float64: probability Y of the class for the image, the softmax of the logits, or of a single one its sigmoid (label 1) or 1 minus that (label 0). */
  full: Tensor;
  /** (N): probability O for the image times its map. */
  masked: Tensor;
  /** (N): max(0, Y − O) / Y. */
  drop: Tensor;
  /** (N): max(0, Y − O). */
  absoluteDrop: Tensor;
  /** (N): 1 where O > Y, else 0. */
  increase: Tensor;
  /** (N): max(0, O − Y) / (1 − Y). */
  gain: Tensor;
  /** Mean of `drop`, 0 to 1, lower is better: average drop of Grad-CAM++ and torch-cam, who print it in per cent. */
  averageDrop: number;
  /** Mean of `absoluteDrop`, 0 to 1, lower is better: DropInConfidence of pytorch-grad-cam, which does not divide by Y. */
  averageAbsoluteDrop: number;
  /** Mean of `increase`, 0 to 1, higher is better: increase in confidence. */
  increaseInConfidence: number;
  /** Mean of `gain`, 0 to 1, higher is better: average gain (Opti-CAM). */
  averageGain: number;
}

/**
 * How the probability of a class changes when an image is masked by its map: `x·M`, M in [0, 1], the same for every channel.
 * The images are the normalised ones, so that masked pixels go to the mean colour and not to black.
 *
 * Where Y = 0 there is nothing to drop, where Y = 1 nothing to gain: 0. A dead map leaves an image of zeros. A map or an image
 * with NaN makes its own values NaN, and the means NaN. torch-cam divides the drop by Y + 1e-7 and leaves a map with NaN out.
 *
 * Chattopadhyay et al., Grad-CAM++, 2018; Zhang et al., Opti-CAM, 2024.
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
