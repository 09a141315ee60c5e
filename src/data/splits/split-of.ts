import { itemsOf, optionsOf, wrongArgument } from "../../arguments.ts";
import { counted } from "../../counted.ts";
import { BatchCamError } from "../../errors.ts";
import { type Tensor, tidy } from "../../tensor/index.ts";
import { expectShapes, readLabels } from "../../tensor/internal.ts";
import { channelStatistics } from "../sources/labelled-dataset.ts";
import type { Normalization, Split } from "./split.ts";

export interface SplitOptions {
  /** Number of classes (default: the largest label plus one). */
  numClasses?: number;
  /** A name for each class (default: the class numbers). */
  classNames?: readonly string[];
  /** Mean and standard deviation of each channel, for pixels in [0, 1] (default: those of these images). */
  normalization?: Normalization;
}

/**
 * Makes a training split of images in memory. The split takes ownership of the tensors without copying them;
 * `disposeSplit` frees them.
 *
 * @param images uint8 (N, C, H, W), 0 to 255
 * @param labels int64 (N), 0 to numClasses − 1
 * @throws E_SHAPE, E_DTYPE and E_ARGUMENT for tensors and options that do not fit
 */
export function splitOf(images: Tensor, labels: Tensor, options: SplitOptions = {}): Split {
  const known = ["numClasses", "classNames", "normalization"] as const;
  const { classNames, normalization, numClasses: asked } = optionsOf("splitOf", options, known);
  expectShapes("splitOf", { images: [images, "N C H W"], labels: [labels, "N"] });
  if (images.dtype !== "uint8")
    throw new BatchCamError(
      "E_DTYPE",
      `splitOf: images must be uint8, 0 to 255, got ${images.dtype}; scale and convert them`,
    );
  if (labels.dtype !== "int64")
    throw new BatchCamError(
      "E_DTYPE",
      `splitOf: labels must be int64, got ${labels.dtype}; convert them: labels.to("int64")`,
    );
  const [count = 0, channels = 0, height = 0, width = 0] = images.sizes;
  const names = classNames === undefined ? undefined : itemsOf("splitOf: classNames", classNames, "a list of names");
  const largest = tidy(() => (count === 0 ? -1 : Number(labels.amax().item())));
  const numClasses = asked ?? names?.length ?? largest + 1;
  if (names !== undefined && names.length !== numClasses)
    throw wrongArgument("splitOf: classNames", `${counted(numClasses, "name")}, one for each class`, names.length);
  tidy(() => readLabels("splitOf", labels, { count, numClasses }));
  return {
    ...{ name: "train", images, labels, numClasses },
    classNames: names ?? Array.from({ length: numClasses }, (_, label) => String(label)),
    normalization: normalization ?? channelStatistics(images.data() as Uint8Array, { channels, size: [height, width] }),
  };
}
