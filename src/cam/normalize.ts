import { describeValue, expectBoolean, optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { type DType, interpolate, type Tensor } from "../tensor/index.ts";
import { expectShapes, upcastHalf } from "../tensor/internal.ts";

/**
 * The library whose conventions the maps follow, if libraries differ:
 * - "batch-cam" (default): resize to the image, then one min-max with eps 1e-8; several layers are scaled, resized, averaged
 *   and scaled again;
 * - "pytorch-grad-cam" (1.5): min-max with eps 1e-7, resize, average over the layers, min-max again;
 * - "torch-cam" (0.5): min-max with eps 1e-8 at the map's own size, resized only if `upsample` asks for it; the maps of several layers
 *   are resized to the largest of them and combined by their maximum; Grad-CAM++ without its denominator; the channels of Score-CAM are
 *   scaled before they are resized with half-pixel centres.
 */
export type Convention = "batch-cam" | "pytorch-grad-cam" | "torch-cam";
export const CONVENTIONS = ["batch-cam", "pytorch-grad-cam", "torch-cam"] as const satisfies Convention[];

export interface NormalizeOptions {
  /** A constant that is added to each map's range. A large one makes weak maps fainter. */
  eps?: number;
  /**
   * Whether eps is relative to the map's range (default: false): `(M − min) / ((max − min) (1 + eps))`. The result is
   * then the same for a map and any multiple of it, however small.
   */
  relative?: boolean;
}

/**
 * Scales each map of (N, H, W) to [0, 1]: `(M − min) / (max − min + eps)`. The result is differentiable, also through
 * min and max, whose gradient is shared equally among equal values. A constant map gives zeros with a zero gradient,
 * never NaN. 16-bit maps are converted to float32.
 */
export function normalizeMaps(maps: Tensor, options: NormalizeOptions = {}): Tensor {
  const { eps = 1e-8, relative = false } = optionsOf("normalizeMaps", options, ["eps", "relative"]);
  expectMaps("normalizeMaps", maps);
  if (!(Number.isFinite(eps) && eps > 0)) {
    throw new BatchCamError("E_ARGUMENT", `normalizeMaps: eps must be a number > 0, got ${describeValue(eps)}`);
  }
  expectBoolean("normalizeMaps: relative", relative);
  if (!maps.dtype.includes("float")) {
    throw new BatchCamError("E_DTYPE", `normalizeMaps: maps must have a floating-point dtype, got ${maps.dtype}`);
  }
  const wide = upcastHalf(maps);
  const lowest = wide.amin([1, 2], { keepDims: true }); // (N, 1, 1)
  const range = wide.amax([1, 2], { keepDims: true }).sub(lowest);
  // The exact gradient of a constant map is zero, but rounding noise divided by eps would be huge.
  const constant = range.detach().eq(0);
  const varies = constant.logicalNot().to(wide.dtype);
  const shifted = wide.sub(lowest);
  // Without an eps, the reciprocal of a small range may overflow, so the map is divided by the range instead.
  if (relative) return shifted.div(range.mul(1 + eps).maskedFill(constant, 1)).mul(varies);
  return shifted.mul(range.add(eps).reciprocal().mul(varies));
}

export function expectMaps(operation: string, maps: Tensor): void {
  const { H, W } = expectShapes(operation, { maps: [maps, "N H W"] });
  if (H === 0 || W === 0) {
    throw new BatchCamError("E_SHAPE", `${operation}: maps have no pixels, got [${maps.shape.join(", ")}]`);
  }
}

export interface ScaleOptions {
  /** Whether a ReLU removes negative values first. */
  relu: boolean;
  convention: Convention;
  /** [height, width] of the image. */
  size: readonly [number, number];
  /** The size of the result: that of the image (true), that of the layer's output (false), or [height, width]. */
  upsample: boolean | readonly [number, number] | undefined;
  /** The options of `normalizeMaps`, or false for maps that are not scaled. */
  normalize: false | NormalizeOptions;
  /** The dtype of the result. */
  dtype: DType;
}

/** Combines raw maps (B, h, w) of one or several layers into one map (B, H, W) for each image. */
export function scaleMaps(signed: readonly Tensor[], options: ScaleOptions): Tensor {
  const raw = options.relu ? signed.map((maps) => maps.relu()) : signed;
  return scaledMaps(raw, options).to(options.dtype);
}

function scaledMaps(raw: readonly Tensor[], options: ScaleOptions): Tensor {
  const { convention, normalize } = options;
  const size = sizeOf(raw, options);
  const resized = (maps: Tensor) => (size === null ? maps : interpolate(maps, { size }));
  expectOneSize(raw, size);
  if (normalize === false) return fuse(raw.map(resized), convention);
  const scaled = (maps: Tensor) => normalizeMaps(maps, normalize);
  if (raw.length === 1 && convention === "batch-cam") return scaled(resized(raw[0] as Tensor));
  const each = raw.map((maps) => resized(scaled(maps)));
  return convention === "torch-cam" ? fuse(each, convention) : scaled(fuse(each, convention));
}

/**
 * The way in which each convention scales maps to [0, 1]. By the convention "batch-cam" the maps do not depend on the
 * unit of the logits.
 */
export const SCALING = {
  "batch-cam": { eps: 1e-8, relative: true },
  "pytorch-grad-cam": { eps: 1e-7 },
  "torch-cam": { eps: 1e-8 },
} as const satisfies Record<Convention, NormalizeOptions>;

function fuse(maps: readonly Tensor[], convention: Convention): Tensor {
  const join = (a: Tensor, b: Tensor) => (convention === "torch-cam" ? a.maximum(b) : a.add(b));
  const joined = maps.reduce(join);
  return convention === "torch-cam" || maps.length === 1 ? joined : joined.div(maps.length);
}

function sizeOf(
  raw: readonly Tensor[],
  { convention, size, upsample }: ScaleOptions,
): readonly [number, number] | null {
  if (Array.isArray(upsample)) return upsample as readonly [number, number];
  if (upsample ?? convention !== "torch-cam") return size;
  // torch-cam fuses layers at the size of the largest map.
  const sides = (dim: number) => Math.max(...raw.map((maps) => maps.sizes[dim] as number));
  return upsample === undefined && raw.length > 1 ? [sides(1), sides(2)] : null;
}

function expectOneSize(raw: readonly Tensor[], size: readonly [number, number] | null): void {
  const sizes = raw.map((maps) => maps.sizes.slice(1).join("x"));
  if (size !== null || new Set(sizes).size <= 1) return;
  throw new BatchCamError(
    "E_SHAPE",
    `explain: maps of ${sizes.join(" and ")} cannot be fused at their own sizes: leave upsample on, or explain one layer at a time (upsample ${describeValue(false)})`,
  );
}
