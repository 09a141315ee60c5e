import { describeValue } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { type DType, interpolate, type Tensor } from "../tensor/index.ts";
import type { Convention } from "./convention.ts";
import { type NormalizeOptions, normalizeMaps } from "./normalize.ts";

export interface ScaleOptions {
  convention: Convention;
  /** Of the image. */
  size: readonly [number, number];
  /** True: to the image's size; false: as the layer gives them; or a size. */
  upsample: boolean | readonly [number, number] | undefined;
  /** What is given to `normalizeMaps`; false leaves the maps as they are. */
  normalize: false | NormalizeOptions;
  /** Of the result. */
  dtype: DType;
}

/** Raw maps (B, h, w) of one or several layers as one map (B, H, W) for each image. */
export function scaleMaps(raw: readonly Tensor[], options: ScaleOptions): Tensor {
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

/** How each convention scales maps to [0, 1]. In that of batch-cam the maps do not depend on the logits' unit. */
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
