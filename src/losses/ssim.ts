import { describeValue, expectNumber, optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { autocast, type DType, keep, stack, type Tensor, tensor } from "../tensor/index.ts";
import { imagePair } from "./images.ts";

export interface SsimOptions {
  /** Side of the Gaussian window, odd; 11, or the largest odd size that the image holds. */
  window?: number;
  /** Standard deviation of the window, in pixels. */
  sigma?: number;
  /** Difference of the largest and the smallest value that an image can hold. */
  dataRange?: number;
  k1?: number;
  k2?: number;
}

/** The window's side that `ssim` takes for an image of this size: 11, or the largest odd side that fits. */
export function ssimWindow(height: number, width: number): number {
  expectNumber("ssimWindow: height", height);
  expectNumber("ssimWindow: width", width);
  const fitting = Math.min(11, height, width);
  return fitting % 2 === 1 ? fitting : fitting - 1;
}

/**
 * Structural similarity of x and y, (N, H, W) or (N, C, H, W): one value for each of N, in [−1, 1], 1 for equal images.
 *
 *     SSIM = (2μₓμᵧ + C₁)(2σₓᵧ + C₂) / ((μₓ² + μᵧ² + C₁)(σₓ² + σᵧ² + C₂)),  C₁ = (k₁L)², C₂ = (k₂L)²
 *
 * averaged over the windows that lie inside the image (no padding) and over channels. Means and variances are weighted by
 * a Gaussian window. Agrees with pytorch-msssim and with scikit-image's gaussian_weights; torchmetrics pads instead.
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
  // Under autocast the windows' products would be rounded to 16 bits, and variances are differences of close numbers.
  return autocast({ enabled: false }, () => similarity(a, b, checked));
}

type Planes = [Tensor, Tensor, Tensor, Tensor];

function similarity(x: Tensor, y: Tensor, options: Required<SsimOptions>): Tensor {
  const { window: side, sigma } = options;
  const [height, width] = x.sizes.slice(-2) as [number, number];
  const rows = filter(height, side, sigma, x.dtype);
  const columns = filter(width, side, sigma, x.dtype);
  // All that is smoothed in one pair of products: of the variances only the sum is needed.
  const planes = stack([x, y, x.square().add(y.square()), x.mul(y)]); // (4, N, …, H, W)
  const [meanX, meanY, meanSquares, meanProduct] = rows.matmul(planes.matmul(columns.t())).unbind(0) as Planes;
  const { c1, c2 } = constants(options);
  const product = meanX.mul(meanY);
  const squares = meanX.square().add(meanY.square());
  const variances = meanSquares.sub(squares);
  const covariance = meanProduct.sub(product);
  const luminance = product.mul(2).add(c1).div(squares.add(c1));
  const structure = covariance.mul(2).add(c2).div(variances.add(c2));
  return luminance.mul(structure).flatten(1).mean(1);
}

const constants = ({ dataRange, k1, k2 }: Required<SsimOptions>) => ({
  c1: (k1 * dataRange) ** 2,
  c2: (k2 * dataRange) ** 2,
});

function checkedOptions(height: number, width: number, options: SsimOptions): Required<SsimOptions> {
  const {
    window = ssimWindow(height, width),
    sigma = 1.5,
    dataRange = 1,
    k1 = 0.01,
    k2 = 0.03,
  } = optionsOf("ssim", options);
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

const windows = new Map<number, Tensor>();

/** Window and constants of `ssimDistance` for images of this size, as a kernel takes them. */
export function ssimWindowOf(height: number, width: number): { taps: Tensor; c1: number; c2: number } {
  const options = checkedOptions(height, width, {});
  const { window: side, sigma } = options;
  const taps = windows.get(side) ?? keep(tensor(gaussian(side, sigma), { dtype: "float32" }));
  windows.set(side, taps);
  return { taps, ...constants(options) };
}

const cache = new Map<string, Tensor>();

/** (size − side + 1, size): each row is the Gaussian window at one of its places, so that smoothing is a matrix product. */
function filter(size: number, side: number, sigma: number, dtype: DType): Tensor {
  const key = `${size} ${side} ${sigma} ${dtype}`;
  const cached = cache.get(key);
  if (cached !== undefined) return cached;
  const taps = gaussian(side, sigma);
  const places = size - side + 1;
  const values = new Float64Array(places * size);
  for (let place = 0; place < places; place++) values.set(taps, place * size + place);
  const made = keep(tensor(values, { shape: [places, size], dtype }));
  cache.set(key, made);
  return made;
}

/** Built in float32 at every step, as pytorch-msssim builds it, so that results agree to the last digits. */
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
