import { describeValue, expectBoolean, optionsOf, wrongArgument } from "../arguments.ts";
import { listOf } from "../engine/internal.ts";
import { BatchCamError } from "../errors.ts";
import { autocast } from "./autograd.ts";
import { expectTensor } from "./core.ts";
import { tensor } from "./create.ts";
import { DTYPES, type DType } from "./dtype.ts";
import * as aten from "./generated/aten.ts";
import { Tensor } from "./tensor.ts";
import { TensorCache } from "./tensor-cache.ts";

export interface InterpolateOptions {
  /** [height, width] of the result. */
  size: readonly [number, number];
  mode?: "bilinear" | "nearest";
  /**
   * For bilinear resizing: whether the corner pixels of both sizes coincide, as in torch's UpsamplingBilinear2d, instead of the pixels'
   * outer edges.
   */
  alignCorners?: boolean;
}

/**
 * Resizes the last two dimensions of x (…, h, w). Bilinear resizing follows torch's `align_corners = false` (the
 * default) without antialiasing: each target pixel is `a + t(b − a)` between its neighbours. A constant map stays exactly constant, and
 * a pixel whose neighbours all have the map's smallest value has exactly that value, such as the zeros of a ReLU.
 */
export function interpolate(x: Tensor, options: InterpolateOptions): Tensor {
  const {
    size: asked,
    mode = "bilinear",
    alignCorners = false,
  } = optionsOf("interpolate", options, ["size", "mode", "alignCorners"]);
  const size = (Array.isArray(asked) ? listOf(asked, "interpolate: size") : asked) as [number, number];
  checkArguments(x, size, mode);
  expectBoolean("interpolate: alignCorners", alignCorners);
  if (mode === "nearest") return nearest(x, size);
  // Maps are resized in float32 even if autocast multiplies matrices in 16 bits.
  return autocast({ enabled: false }, () => bilinear(x, size, alignCorners));
}

function checkArguments(x: Tensor, size: readonly number[], mode: string): void {
  expectTensor(x, "interpolate: x");
  if (mode !== "bilinear" && mode !== "nearest")
    throw wrongArgument("interpolate: mode", '"bilinear" or "nearest"', mode);
  if (!DTYPES[x.dtype].floating)
    throw new BatchCamError("E_DTYPE", `interpolate: x must have a floating-point dtype, got ${x.dtype}`);
  const valid = Array.isArray(size) && size.length === 2 && size.every((n) => Number.isSafeInteger(n) && n > 0);
  if (!valid || x.ndim < 2 || x.sizes.slice(-2).includes(0)) {
    const got = `x [${x.shape}], size ${describeValue(size)}`;
    throw new BatchCamError(
      "E_SHAPE",
      `interpolate: needs x (…, h, w) and a size [height, width], all > 0, got ${got}`,
    );
  }
}

/** The number of entries from which multiplying by a matrix of weights, most of which are zero, takes longer than libtorch's kernel. */
const LARGEST_MATRIX = 2 ** 18;

function bilinear(x: Tensor, size: readonly [number, number], alignCorners: boolean): Tensor {
  const from = x.sizes.slice(-2) as [number, number];
  // Each row of weights sums to one up to rounding, so a constant can be subtracted before resizing and added afterwards. The constant is
  // the map's smallest value: a constant map is resized as zeros, which is exact, and the pixels that a ReLU has set to zero stay zero.
  const offset = x.detach().amin([-2, -1], { keepDims: true });
  const shifted = x.sub(offset);
  const large = from.some((length, i) => length * (size[i] as number) > LARGEST_MATRIX);
  if (large) return pixelByPixel(shifted, size, alignCorners).add(offset);
  const grid = alignCorners ? cornerToCorner : halfPixel;
  const rows = weights(from[0], size[0], { dtype: x.dtype, grid });
  const columns = weights(from[1], size[1], { dtype: x.dtype, grid });
  return rows.matmul(shifted).matmul(columns.t()).add(offset);
}

/**
 * The same by libtorch's kernel. It runs in float64, because in float32 the positions of the pixels of large images
 * have errors of up to a thousandth.
 */
function pixelByPixel(x: Tensor, size: readonly [number, number], alignCorners: boolean): Tensor {
  const [height, width] = x.sizes.slice(-2) as [number, number];
  if (x.numel === 0)
    return x
      .reshape([0, 1])
      .expand([0, size[0] * size[1]])
      .reshape([...x.sizes.slice(0, -2), ...size]);
  const images = x.to("float64").reshape([-1, 1, height, width]);
  const resized = new Tensor(aten.upsampleBilinear2d(images, size, alignCorners));
  return resized.reshape([...x.sizes.slice(0, -2), ...size]).to(x.dtype);
}

function nearest(x: Tensor, size: readonly [number, number]): Tensor {
  const [height, width] = x.sizes.slice(-2) as [number, number];
  const resized = new Tensor(aten.upsampleNearest2d(x.reshape([-1, 1, height, width]), size));
  return resized.reshape([...x.sizes.slice(0, -2), ...size]);
}

/** The position of a target pixel among the `from` source pixels of one dimension. */
type Grid = (target: number, from: number, to: number) => number;
const halfPixel: Grid = (target, from, to) => Math.max(0, ((target + 0.5) * from) / to - 0.5);
const cornerToCorner: Grid = (target, from, to) => (to > 1 ? (target * (from - 1)) / (to - 1) : 0);

const cache = new TensorCache<Tensor>();

/** The interpolation weights (to, from) along one dimension, at most two in each row. */
function weights(from: number, to: number, { dtype, grid }: { dtype: DType; grid: Grid }): Tensor {
  return cache.get(`${from} ${to} ${dtype} ${grid.name}`, () => {
    const values = new Float64Array(to * from);
    for (let target = 0; target < to; target++) {
      const source = grid(target, from, to);
      const low = Math.min(Math.floor(source), from - 1);
      const high = Math.min(low + 1, from - 1);
      const share = source - low;
      values[target * from + low] = (values[target * from + low] as number) + 1 - share;
      values[target * from + high] = (values[target * from + high] as number) + share;
    }
    return tensor(values, { shape: [to, from], dtype });
  });
}
