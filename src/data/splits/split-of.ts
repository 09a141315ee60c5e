import { expectInteger, itemsOf, optionsOf, wrongArgument } from "../../arguments.ts";
import { counted } from "../../counted.ts";
import { BatchCamError } from "../../errors.ts";
import { type Tensor, tidy } from "../../tensor/index.ts";
import { expectShapes, isTensor, readLabels } from "../../tensor/internal.ts";
import { channelStatistics } from "../sources/labelled-dataset.ts";
import { bytesOf, type GivenImages, type ImageLayout } from "./given-images.ts";
import { expectNormalization, type Normalization, type Split } from "./split.ts";

/** Labels that a program passes: an int64 tensor (N), or a list of class numbers. */
export type GivenLabels = Tensor | readonly number[] | Uint8Array | Uint16Array | Int32Array | BigInt64Array;

export interface SplitOptions {
  /** Number of classes (default: the number of names, or the largest label plus one). */
  numClasses?: number;
  /** A name for each class (default: the class numbers). */
  classNames?: readonly string[];
  /** Mean and standard deviation of each channel, for pixels in [0, 1] (default: those of these images). */
  normalization?: Normalization;
  /**
   * The order of the images' dimensions (default: "NCHW"; "NHWC" for a tensor whose second dimension is above 4 and whose last
   * is not, as in (N, 28, 28, 3)).
   */
  layout?: ImageLayout;
  /** Number of channels of images in a typed array (default: the number that follows from the size, or 1 or 3 without a size). */
  channels?: number;
  /** [height, width] of images in a typed array (default: they are square). */
  size?: readonly [number, number];
}

const OPTIONS = [
  "numClasses",
  "classNames",
  "normalization",
  "layout",
  "channels",
  "size",
] as const satisfies (keyof SplitOptions)[];

/**
 * Makes a training split of images in memory. `disposeSplit` frees it. A uint8 tensor (N, C, H, W) and an int64 tensor of labels are used
 * without a copy and then belong to the split; everything else is copied.
 *
 * @param images (N, C, H, W), (N, H, W, C) or (N, H, W), as uint8 from 0 to 255 or as floats in [0, 1], which are rounded to 1/255;
 *   or a typed array of their values, one image after another
 * @param labels (N), class numbers from 0 to numClasses − 1
 * @throws E_SHAPE, E_DTYPE and E_ARGUMENT for images, labels and options that do not fit
 */
export function splitOf(images: GivenImages, labels: GivenLabels, options: SplitOptions = {}): Split {
  const { classNames, normalization, numClasses: asked, layout, channels, size } = checkedOptions(options);
  expectLabels(labels);
  const count = isTensor(labels) ? labels.numel : labels.length;
  const bytes = bytesOf("splitOf", images, { count, layout, channels, size });
  try {
    expectShapes("splitOf", { images: [bytes, "N C H W"], ...(isTensor(labels) ? { labels: [labels, "N"] } : {}) });
    const largest = numbersOf(labels).reduce((most, label) => Math.max(most, label), -1);
    const numClasses = asked ?? classNames?.length ?? largest + 1;
    const { tensor: own } = tidy(() =>
      readLabels("splitOf", labels as Tensor | readonly number[], { count: bytes.sizes[0] as number, numClasses }),
    );
    if (classNames !== undefined && classNames.length !== numClasses)
      throw wrongArgument(
        "splitOf: classNames",
        `${counted(numClasses, "name")}, one for each class`,
        classNames.length,
      );
    const [, planes = 0, height = 0, width = 0] = bytes.sizes;
    if (normalization !== undefined) expectNormalization("splitOf: normalization", normalization, planes);
    const statistics = () => channelStatistics(bytes.data() as Uint8Array, { channels: planes, size: [height, width] });
    return {
      ...{ name: "train", images: bytes, labels: own, numClasses },
      classNames: classNames ?? Array.from({ length: numClasses }, (_, label) => String(label)),
      normalization: normalization ?? statistics(),
    };
  } catch (error) {
    if (bytes !== images) bytes.dispose();
    throw error;
  }
}

const numbersOf = (labels: GivenLabels): number[] =>
  Array.from((isTensor(labels) ? labels.data() : labels) as ArrayLike<number | bigint>, Number);

function checkedOptions(options: SplitOptions) {
  const { classNames, numClasses, layout, channels, size, ...rest } = optionsOf("splitOf", options, OPTIONS);
  if (numClasses !== undefined) expectInteger("splitOf: numClasses", numClasses, 1);
  if (channels !== undefined) expectInteger("splitOf: channels", channels, 1);
  if (layout !== undefined && layout !== "NCHW" && layout !== "NHWC")
    throw wrongArgument("splitOf: layout", '"NCHW" or "NHWC"', layout);
  const isSize = Array.isArray(size) && size.length === 2 && size.every((side) => Number.isInteger(side) && side > 0);
  if (size !== undefined && !isSize) throw wrongArgument("splitOf: size", "[height, width]", size);
  const names =
    classNames === undefined ? undefined : itemsOf("splitOf: classNames", classNames, "a list of different names");
  const isNamed = names?.every((name) => typeof name === "string" && name !== "") ?? true;
  if (names !== undefined && (!isNamed || new Set(names).size !== names.length))
    throw wrongArgument("splitOf: classNames", "a list of different names", names.map(String).join(", "));
  return { classNames: names, numClasses, layout, channels, size, ...rest };
}

function expectLabels(labels: GivenLabels): void {
  if (!isTensor(labels)) {
    if (Array.isArray(labels) || (ArrayBuffer.isView(labels) && !(labels instanceof DataView))) return;
    throw wrongArgument("splitOf: labels", "a tensor or an array of class numbers", labels);
  }
  if (labels.dtype === "int64") return;
  throw new BatchCamError(
    "E_DTYPE",
    `splitOf: labels must be int64, got ${labels.dtype}; convert them: labels.to("int64")`,
  );
}
