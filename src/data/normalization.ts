import type { Normalization } from "./split.ts";

/** Of the RGB pixels of ImageNet in [0, 1]: what the weights of torchvision, timm and transformers are for. */
export const IMAGENET_NORMALIZATION: Normalization = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/** (x − mean) / std that leaves pixels in [0, 1]. */
export const NO_NORMALIZATION: Normalization = { mean: [0], std: [1] };

/**
 * The same figures for images of another number of channels: one figure holds for every channel; grey images take the mean
 * over the channels, as timm does, which is 0.449 and 0.226 for ImageNet.
 *
 * @returns null where neither is the case
 */
export function normalizationForChannels({ mean, std }: Normalization, channels: number): Normalization | null {
  const adapt = (figures: readonly number[]) => {
    if (figures.length === channels) return [...figures];
    if (figures.length === 1) return new Array<number>(channels).fill(figures[0] as number);
    return channels === 1 ? [average(figures)] : null;
  };
  const fitted = { mean: adapt(mean), std: adapt(std) };
  return fitted.mean === null || fitted.std === null ? null : { mean: fitted.mean, std: fitted.std };
}

/** Rounded where the sum's last digits are noise: 0.226, not 0.22599999999999998. */
function average(figures: readonly number[]): number {
  const sum = figures.reduce((total, figure) => total + figure, 0);
  return Number((sum / figures.length).toPrecision(12));
}
