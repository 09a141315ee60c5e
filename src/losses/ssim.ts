import { BatchCamError } from "../errors.ts";
import { type DType, keep, type Tensor, tensor } from "../tensor/index.ts";

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
 */
export function ssim(x: Tensor, y: Tensor, options: SsimOptions = {}): Tensor {
  const { dataRange = 1, k1 = 0.01, k2 = 0.03, sigma = 1.5 } = options;
  const [height, width] = checkedSize(x, y);
  const side = options.window ?? ssimWindow(height, width);
  if (side % 2 !== 1 || side < 1 || side > Math.min(height, width)) {
    throw new BatchCamError("E_ARGUMENT", `ssim: window must be odd and fit ${height}x${width}, got ${side}`);
  }
  const smooth = (image: Tensor) => {
    const rows = filter(height, side, sigma, image.dtype);
    const columns = filter(width, side, sigma, image.dtype);
    return rows.matmul(image.matmul(columns.t()));
  };
  const c1 = (k1 * dataRange) ** 2;
  const c2 = (k2 * dataRange) ** 2;
  const [meanX, meanY] = [smooth(x), smooth(y)];
  const [squareX, squareY, product] = [meanX.square(), meanY.square(), meanX.mul(meanY)];
  const variances = smooth(x.square()).sub(squareX).add(smooth(y.square()).sub(squareY));
  const covariance = smooth(x.mul(y)).sub(product);
  const luminance = product.mul(2).add(c1).div(squareX.add(squareY).add(c1));
  const structure = covariance.mul(2).add(c2).div(variances.add(c2));
  return luminance.mul(structure).flatten(1).mean(1);
}

function checkedSize(x: Tensor, y: Tensor): [number, number] {
  const same = x.ndim === y.ndim && x.sizes.every((size, i) => size === y.sizes[i]);
  if (!same || x.ndim < 3 || x.ndim > 4 || x.numel === 0) {
    throw new BatchCamError(
      "E_SHAPE",
      `ssim: needs two tensors of one shape (N, H, W) or (N, C, H, W), got [${x.shape}] and [${y.shape}]`,
    );
  }
  return x.sizes.slice(-2) as [number, number];
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

/** Built in float32, as pytorch-msssim builds it, so that results agree to the last digits. */
function gaussian(side: number, sigma: number): Float64Array {
  const taps = Float64Array.from({ length: side }, (_, i) =>
    Math.fround(Math.exp(-((i - (side - 1) / 2) ** 2) / (2 * sigma ** 2))),
  );
  const total = Math.fround(taps.reduce((sum, tap) => sum + tap, 0));
  return taps.map((tap) => Math.fround(tap / total));
}

/** `1 − SSIM(x, y)` for each of N. */
export function ssimDistance(x: Tensor, y: Tensor, options: SsimOptions = {}): Tensor {
  return ssim(x, y, options).neg().add(1);
}
