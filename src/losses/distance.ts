import { describeValue, expectNumber, expectString, optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { type Registry, registryOf } from "../registry.ts";
import { autocast, type Tensor, tensor } from "../tensor/index.ts";
import {
  type DistanceKernel,
  expectTensor,
  isTensor,
  mapDistance,
  ssimOf,
  upcastHalf,
  wantsFused,
} from "../tensor/internal.ts";
import { DISTANCES, type DistanceName } from "./description.ts";

/** A distance between two stacks of N images: one value for each of the N pairs. */
export type Distance = (x: Tensor, y: Tensor) => Tensor;

/** Mean absolute difference `mean |x − y|` over the pixels of each image (N, …): (N). */
export function l1(x: Tensor, y: Tensor): Tensor {
  const [a, b] = imagePair("l1", x, y);
  return a.sub(b).abs().flatten(1).mean(1);
}

/** Mean squared difference `mean (x − y)²` over the pixels of each image (N, …): (N). */
export function l2(x: Tensor, y: Tensor): Tensor {
  const [a, b] = imagePair("l2", x, y);
  return a.sub(b).square().flatten(1).mean(1);
}

/** A distance that users choose by its name. */
export interface NamedDistance {
  readonly name: string;
  readonly distance: Distance;
  /** The kind that the fused kernel has for it, if the kernel supports it. */
  readonly kernel?: DistanceKernel;
}

const FUNCTIONS: Readonly<Record<DistanceName, Omit<NamedDistance, "name">>> = {
  ssim: { distance: (x, y) => ssimDistance(x, y), kernel: "ssim" },
  l1: { distance: l1, kernel: "l1" },
  l2: { distance: l2, kernel: "l2" },
};

const KNOWN: Registry<NamedDistance> = registryOf(DISTANCES.map(({ name }) => ({ name, ...FUNCTIONS[name] })));

/** Looks up a distance by name, or returns the caller's own function. Errors begin with `operation`. */
export function distanceOf(distance: DistanceName | Distance, operation = "distanceOf"): Distance {
  expectString("distanceOf: operation", operation);
  return distanceIn(KNOWN, distance, operation);
}

/** `distanceOf` with a registry of distances. */
export function distanceIn(known: Registry<NamedDistance>, distance: string | Distance, operation: string): Distance {
  if (typeof distance === "function") return distance;
  const found = known.find(distance);
  if (found !== undefined) return found.distance;
  const names = known.names
    .toSorted()
    .map((name) => `"${name}"`)
    .join(", ");
  const got = `${describeValue(distance)}${known.hint(distance)}`;
  throw new BatchCamError("E_ARGUMENT", `${operation}: distance must be ${names} or a function, got ${got}`);
}

/** The mean of a distance over N pairs of images. It is float32 under autocast too. */
export function meanDistance(operation: string, distance: Distance, [x, y]: readonly [Tensor, Tensor]): Tensor {
  const values = distances(distance, [x, y]);
  if (isTensor(values) && values.ndim === 1 && values.sizes[0] === x.sizes[0]) return (values as Tensor).mean();
  const got = isTensor(values) ? `[${values.shape.join(", ")}]` : describeValue(values);
  throw new BatchCamError(
    "E_SHAPE",
    `${operation}: distance must return a tensor [${x.sizes[0]}], one value for each image, got ${got}`,
  );
}

/** A distance of each of N pairs of images, (N), by its kernel if that supports them. It is float32 under autocast too. */
export const distances = (distance: Distance, [x, y]: readonly [Tensor, Tensor]): Tensor =>
  autocast({ enabled: false }, () => fused(distance, [x, y]) ?? distance(x, y));

/**
 * The same in one kernel, which has a gradient only with respect to x; null if the kernel does not support the distance or these images.
 */
function fused(distance: Distance, [x, y]: readonly [Tensor, Tensor]): Tensor | null {
  const kind = KNOWN.items.find((item) => item.distance === distance)?.kernel;
  const [, height = 0, width = 0] = x.sizes;
  const same = x.ndim === 3 && y.ndim === 3 && y.sizes.every((size, i) => size === x.sizes[i]) && x.numel > 0;
  if (kind === undefined || !same || !wantsFused() || y.requiresGrad) return null;
  if (x.dtype !== "float32" || y.dtype !== "float32") return null;
  const { window, c1, c2 } = ssimWindowOf(height, width);
  return mapDistance(kind, [x, y], { window: tensor(window, { dtype: "float32" }), c1, c2 });
}

export interface SsimOptions {
  /** Side of the Gaussian window, an odd number (default: 11, or the largest odd size that fits into the image). */
  window?: number;
  /** Standard deviation of the window, in pixels. */
  sigma?: number;
  /** Difference between the largest and the smallest value that an image can have. */
  dataRange?: number;
  k1?: number;
  k2?: number;
}

/** The side of the window that `ssim` uses for an image of this size: 11, or the largest odd side that fits. */
export function ssimWindow(height: number, width: number): number {
  expectNumber("ssimWindow: height", height);
  expectNumber("ssimWindow: width", width);
  const fitting = Math.min(11, height, width);
  return fitting % 2 === 1 ? fitting : fitting - 1;
}

/**
 * Structural similarity of x and y, (N, H, W) or (N, C, H, W): one value for each of the N pairs, in [−1, 1], 1 for equal images.
 *
 *     SSIM = (2μₓμᵧ + C₁)(2σₓᵧ + C₂) / ((μₓ² + μᵧ² + C₁)(σₓ² + σᵧ² + C₂)),  C₁ = (k₁L)², C₂ = (k₂L)²
 *
 * averaged over the windows inside the image (no padding) and over channels. Means and variances are weighted by a Gaussian window.
 * Agrees with pytorch-msssim and with scikit-image's gaussian_weights; torchmetrics pads instead. Computed in float64, after subtracting
 * a whole multiple of the data range, so that an offset of the images does not reduce the precision. Images in float64 are compared with
 * pytorch-msssim's own window, whose weights were rounded to float32, so that their sum differs from one by up to 9e-8. The difference
 * matters only for constant images, whose variance it changes by that share of the squared mean. Such a variance can be negative in
 * pytorch-msssim, but not here. For values within the data range and σ 1.5 the result is within 2e-5 of the formula, and within 3e-5 of
 * pytorch-msssim. For images in other dtypes the window is divided by its sum.
 *
 * Wang et al., Image quality assessment, 2004.
 *
 * @throws E_SHAPE, E_DTYPE for integers, E_ARGUMENT for an even window or one larger than the image
 */
export function ssim(x: Tensor, y: Tensor, options: SsimOptions = {}): Tensor {
  const [a, b] = imagePair("ssim", x, y);
  if (a.ndim !== 3 && a.ndim !== 4) {
    throw new BatchCamError("E_SHAPE", `ssim: x and y must be (N, H, W) or (N, C, H, W), got [${a.shape.join(", ")}]`);
  }
  const [height, width] = a.sizes.slice(-2) as [number, number];
  const checked = checkedOptions(height, width, options);
  const { window, c1, c2 } = windowOf(checked);
  // Autocast would round the products with the window to 16 bits.
  return autocast({ enabled: false }, () => {
    const planes = [a, b].map((images) => images.reshape([-1, height, width])) as [Tensor, Tensor];
    const taps = tensor(window, { dtype: "float64", device: a.device });
    const exact = x.dtype === "float64" || y.dtype === "float64";
    const { dataRange: range } = checked;
    const values = ssimOf(planes, { window: exact ? taps : taps.div(taps.sum()), c1, c2 }, range);
    return values.view([a.sizes[0] as number, -1]).mean(1);
  });
}

function checkedOptions(height: number, width: number, options: SsimOptions): Required<SsimOptions> {
  const {
    window = ssimWindow(height, width),
    sigma = 1.5,
    dataRange = 1,
    k1 = 0.01,
    k2 = 0.03,
  } = optionsOf("ssim", options, ["window", "sigma", "dataRange", "k1", "k2"]);
  if (!Number.isInteger(window) || window % 2 !== 1 || window < 1 || window > Math.min(height, width)) {
    throw new BatchCamError(
      "E_ARGUMENT",
      `ssim: window must be odd, >= 1 and fit ${height}x${width}, got ${describeValue(window)}`,
    );
  }
  for (const [option, value] of Object.entries({ sigma, dataRange, k1, k2 })) {
    if (!(Number.isFinite(value) && value > 0)) {
      throw new BatchCamError("E_ARGUMENT", `ssim: ${option} must be a number > 0, got ${describeValue(value)}`);
    }
  }
  return { window, sigma, dataRange, k1, k2 };
}

interface Window {
  window: Float64Array;
  c1: number;
  c2: number;
}

const windowOf = ({ window: side, sigma, dataRange, k1, k2 }: Required<SsimOptions>): Window => ({
  window: gaussian(side, sigma),
  c1: (k1 * dataRange) ** 2,
  c2: (k2 * dataRange) ** 2,
});

/** Window and constants of `ssimDistance` for images of this size. */
const ssimWindowOf = (height: number, width: number): Window => windowOf(checkedOptions(height, width, {}));

/** The window is computed in float32 at every step, as in pytorch-msssim, so that results agree to the last digits. */
function gaussian(side: number, sigma: number): Float64Array {
  const exponent = (i: number) => Math.fround(-((i - (side - 1) / 2) ** 2) / (2 * sigma ** 2));
  const taps = Float64Array.from({ length: side }, (_, i) => Math.fround(Math.exp(exponent(i))));
  const total = Math.fround(taps.reduce((sum, tap) => sum + tap, 0));
  return taps.map((tap) => Math.fround(tap / total));
}

/** `1 − SSIM(x, y)` for each of N. */
export function ssimDistance(x: Tensor, y: Tensor, options: SsimOptions = {}): Tensor {
  return ssim(x, y, options).neg().add(1);
}

/** Checks two stacks of images of one shape (N, …) that is not empty, and converts 16-bit values to float32. */
function imagePair(operation: string, x: Tensor, y: Tensor): [Tensor, Tensor] {
  for (const [argument, value] of Object.entries({ x, y })) {
    expectTensor(value, `${operation}: ${argument}`);
    expectFloating(operation, argument, value);
  }
  const same = x.ndim === y.ndim && x.sizes.every((size, i) => size === y.sizes[i]);
  if (same && x.ndim >= 2 && x.numel > 0) return [upcastHalf(x), upcastHalf(y)];
  const got = `x [${x.shape.join(", ")}] and y [${y.shape.join(", ")}]`;
  throw new BatchCamError(
    "E_SHAPE",
    `${operation}: needs two stacks of images of one shape (N, ...) with values, got ${got}`,
  );
}

export function expectFloating(operation: string, argument: string, value: Tensor): void {
  if (value.dtype.includes("float")) return;
  const advice = 'convert it with to("float32"), and scale images to [0, 1]';
  throw new BatchCamError(
    "E_DTYPE",
    `${operation}: ${argument} must have a floating-point dtype, got ${value.dtype}: ${advice}`,
  );
}

/** Checks maps (B, H, W), which need at least one sample and one pixel. */
export function expectMaps(operation: string, maps: Tensor): void {
  expectFloating(operation, "maps", maps);
  if (maps.numel > 0) return;
  throw new BatchCamError(
    "E_SHAPE",
    `${operation}: maps have no values, got [${maps.shape.join(", ")}]: an empty batch has no loss`,
  );
}
