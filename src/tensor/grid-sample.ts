import * as aten from "./generated/aten.ts";
import { Tensor } from "./tensor.ts";

const PADDING = { zeros: 0, border: 1, reflection: 2 } as const;

/** Sampling places (B, H, W, 2) of affine matrices (B, 2, 3), in coordinates from −1 to 1 at the image's edges, as torch's `affine_grid`. */
export function affineGrid(matrices: Tensor, sizes: readonly number[]): Tensor {
  return new Tensor(aten.affineGridGenerator(matrices, [...sizes], false));
}

/** x (B, C, H, W) at places (B, H', W', 2), bilinear, as torch's `grid_sample` with corners not aligned. */
export function gridSample(x: Tensor, grid: Tensor, { padding }: { padding: keyof typeof PADDING }): Tensor {
  return new Tensor(aten.gridSampler2d(x, grid, 0, PADDING[padding], false));
}
