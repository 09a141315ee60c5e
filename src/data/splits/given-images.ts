import { describeValue, wrongArgument } from "../../arguments.ts";
import { counted } from "../../counted.ts";
import { BatchCamError } from "../../errors.ts";
import { type Tensor, tensor, tidy } from "../../tensor/index.ts";
import { expectTensor, isTensor } from "../../tensor/internal.ts";

/** Images that a program passes: a tensor, or an array of all their values. */
export type GivenImages = Tensor | Uint8Array | Uint8ClampedArray | Float32Array | Float64Array;

/** The order of an image's dimensions: channels first, as in PyTorch, or channels last, as in image files and in TensorFlow. */
export type ImageLayout = "NCHW" | "NHWC";

/** How the values of images are arranged. */
export interface ImageArrangement {
  /** The number of images. */
  count: number;
  layout?: ImageLayout | undefined;
  channels?: number | undefined;
  size?: readonly [number, number] | undefined;
}

/** The tolerance for float images, which must be in [0, 1] up to rounding. */
const TOLERANCE = 1e-5;

/** The largest second dimension of (N, A, B, C) that counts as a number of channels if C could be one too. */
const MOST_CHANNELS = 4;

/**
 * Converts images to uint8 (N, C, H, W). Images of that form are returned as they are, and others are copied. Float values in
 * [0, 1] are rounded to 1/255.
 *
 * @throws E_SHAPE, E_DTYPE and E_ARGUMENT naming what was expected and what came
 */
export function bytesOf(operation: string, images: GivenImages, arranged: ImageArrangement): Tensor {
  const { channels } = arranged;
  return tidy(() => {
    const given = isTensor(images) ? images : arrayTensor(operation, images, arranged);
    const ordered = channelsFirst(operation, given, arranged);
    if (channels !== undefined && ordered.sizes[1] !== channels)
      throw wrongArgument(`${operation}: channels`, `${ordered.sizes[1]}, as the images have`, channels);
    return asBytes(operation, ordered);
  });
}

function arrayTensor(operation: string, images: Exclude<GivenImages, Tensor>, arranged: ImageArrangement): Tensor {
  const isKnown =
    images instanceof Uint8Array ||
    images instanceof Uint8ClampedArray ||
    images instanceof Float32Array ||
    images instanceof Float64Array;
  if (!isKnown)
    throw wrongArgument(`${operation}: images`, "a tensor, or a typed array of bytes or of floats in [0, 1]", images);
  const shape = shapeOf(operation, images.length, arranged);
  if (images instanceof Uint8ClampedArray)
    return tensor(new Uint8Array(images.buffer, images.byteOffset, images.length), { shape, dtype: "uint8" });
  return tensor(images, { shape });
}

/** The shape of images in one array. Without a size they are square and have one or three channels, which the length determines. */
function shapeOf(
  operation: string,
  length: number,
  { count, layout = "NCHW", channels, size }: ImageArrangement,
): number[] {
  const each = count === 0 ? 0 : length / count;
  if (!Number.isInteger(each) || each === 0)
    throw new BatchCamError(
      "E_SHAPE",
      `${operation}: images must hold as many values for each of the ${counted(count, "label")}, got ${counted(length, "value")}`,
    );
  const found = (size === undefined ? [channels ?? 1, channels ?? 3] : [channels ?? each / (size[0] * size[1])])
    .map((planes) => ({ planes, side: Math.sqrt(each / planes) }))
    .find(({ planes, side }) =>
      size === undefined ? Number.isInteger(side) : planes * size[0] * size[1] === each && Number.isInteger(planes),
    );
  if (found === undefined) {
    const what = size === undefined ? "square images" : `images of ${size.join("x")}`;
    const of = channels === undefined ? "" : ` in ${counted(channels, "channel")}`;
    throw new BatchCamError(
      "E_SHAPE",
      `${operation}: images have ${counted(each, "value")} each, which ${what}${of} do not have: give { size: [height, width], channels }`,
    );
  }
  const [height, width] = size ?? [found.side, found.side];
  return layout === "NHWC" ? [count, height, width, found.planes] : [count, found.planes, height, width];
}

/** Converts images (N, H, W), (N, C, H, W) or (N, H, W, C) to (N, C, H, W). */
function channelsFirst(operation: string, images: Tensor, { layout }: ImageArrangement): Tensor {
  expectTensor(images, `${operation}: images`);
  const { sizes } = images;
  if (sizes.length === 3) return images.unsqueeze(1);
  if (sizes.length !== 4)
    throw new BatchCamError(
      "E_SHAPE",
      `${operation}: images must be (N, C, H, W), (N, H, W, C) or (N, H, W), got [${sizes.join(", ")}]`,
    );
  const [, second = 0, , last = 0] = sizes;
  const isLast = layout === undefined ? second > MOST_CHANNELS && last <= MOST_CHANNELS : layout === "NHWC";
  return isLast ? images.permute([0, 3, 1, 2]).contiguous() : images;
}

function asBytes(operation: string, images: Tensor): Tensor {
  if (images.dtype === "uint8") return images;
  const what = `${operation}: images must be uint8, 0 to 255, got ${images.dtype}`;
  if (!images.dtype.includes("float")) throw new BatchCamError("E_DTYPE", `${what}; convert them: images.to("uint8")`);
  if (images.numel === 0) return images.to("uint8");
  return tidy(() => {
    const values = images.detach().to("float32");
    const [least, most] = [values.amin().item(), values.amax().item()];
    // The condition is written so that it also detects NaN, for which every comparison is false.
    if (!(least >= -TOLERANCE && most <= 1 + TOLERANCE))
      throw new BatchCamError(
        "E_DTYPE",
        `${what} with values from ${describeValue(least)} to ${describeValue(most)}; float images must be in [0, 1]: scale them, and leave mean and deviation to the option normalization`,
      );
    return values.clamp(0, 1).mul(255).round().to("uint8");
  });
}
