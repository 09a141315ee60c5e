import type { Tensor } from "../../tensor/index.ts";
import type { MapTransform } from "../model.ts";
import type { CellAxes } from "./cell-axes.ts";

/** How a layer's output holds maps, found by its shape. */
export type MapLayout =
  /** (N, C, h, w), as convolutions give them. */
  | { readonly kind: "maps"; readonly height: number; readonly width: number }
  /** (N, h, w, C), as Swin gives them. */
  | { readonly kind: "channels-last"; readonly height: number; readonly width: number }
  /** (N, T, C), as a ViT gives them; the first `prefix` tokens belong to no position: class and register tokens. */
  | { readonly kind: "tokens"; readonly height: number; readonly width: number; readonly prefix: number };

/** A ViT has a class token, perhaps one for distillation, and up to eight registers. */
const MOST_PREFIX_TOKENS = 10;

/**
 * The layout of an output for images (N, channels, H, W); null if it holds no maps of more than one cell. The proportions of the
 * image tell (N, C, h, w) from (N, h, w, C), and find the tokens that are cells: T = prefix + h · w.
 */
export function mapLayout(sizes: readonly number[], image: readonly number[]): MapLayout | null {
  const [batch, , imageHeight = 1, imageWidth = 1] = image;
  if (sizes[0] !== batch) return null;
  const ratio = imageHeight / imageWidth;
  if (sizes.length === 4) return layoutOfFour(sizes, ratio);
  const [, tokens = 0] = sizes;
  if (sizes.length !== 3) return null;
  for (let prefix = 0; prefix <= MOST_PREFIX_TOKENS; prefix++) {
    const grid = gridOf(tokens - prefix, ratio);
    if (grid !== null) return { kind: "tokens", ...grid, prefix };
  }
  return null;
}

/** The layout of an output whose cells are in these dimensions; null if a map cannot be taken from there. */
export function layoutOfAxes(axes: CellAxes, sizes: readonly number[]): MapLayout | null {
  if ("row" in axes) {
    const [height = 0, width = 0] = [sizes[axes.row], sizes[axes.column]];
    const place = sizes.length === 4 ? `${axes.row} ${axes.column}` : "";
    if (height * width <= 1) return null;
    return place === "2 3"
      ? { kind: "maps", height, width }
      : place === "1 2"
        ? { kind: "channels-last", height, width }
        : null;
  }
  const { prefix, height, width } = axes;
  const fits = sizes.length === 3 && axes.cells === 1 && sizes[1] === prefix + height * width && height * width >= 4;
  return fits ? { kind: "tokens", height, width, prefix } : null;
}

/** The dimensions in which a layout has its cells. */
export function axesOfLayout(layout: MapLayout): CellAxes {
  const { kind, height, width } = layout;
  if (kind === "tokens") return { cells: 1, prefix: layout.prefix, height, width };
  return kind === "maps" ? { row: 2, column: 3 } : { row: 1, column: 2 };
}

function layoutOfFour([, a = 0, b = 0, c = 0]: readonly number[], ratio: number): MapLayout | null {
  const misfit = (height: number, width: number) => Math.abs(Math.log(height / width / ratio));
  const isLast = misfit(a, b) < misfit(b, c);
  const [height, width] = isLast ? [a, b] : [b, c];
  if (height * width <= 1) return null;
  return { kind: isLast ? "channels-last" : "maps", height, width };
}

/** Height and width of a number of cells in the image's proportions; null if there are none, or too few for a map. */
function gridOf(cells: number, ratio: number): { height: number; width: number } | null {
  const height = Math.round(Math.sqrt(cells * ratio));
  const width = Math.round(cells / height);
  const fits = cells >= 4 && height * width === cells && Math.abs(Math.log(height / width / ratio)) < 0.2;
  return fits ? { height, width } : null;
}

/**
 * Takes an output to maps (N, C, h, w), for images of any size in the same proportions; undefined for one that is maps already.
 */
export function toMaps(layout: MapLayout): MapTransform | undefined {
  if (layout.kind === "maps") return undefined;
  return Object.assign(transformOf(layout), { channelDim: layout.kind === "tokens" ? 2 : 3 });
}

function transformOf(layout: Exclude<MapLayout, { kind: "maps" }>): (output: Tensor) => Tensor {
  if (layout.kind === "channels-last") return (output) => output.permute([0, 3, 1, 2]);
  const { prefix, height, width } = layout;
  return (output) => {
    const [batch = 0, tokens = 0, channels = 0] = output.sizes;
    const cells = tokens - prefix;
    const { height: rows, width: columns } = gridOf(cells, height / width) ?? { height, width };
    return output.narrow(1, prefix, cells).transpose(1, 2).reshape([batch, channels, rows, columns]);
  };
}

/** A layout in words, for tables and messages: "tokens (N, 1 + 14 x 14, C)". */
export function layoutText(layout: MapLayout): string {
  const grid = `${layout.height} x ${layout.width}`;
  if (layout.kind === "maps") return `maps (N, C, ${grid})`;
  if (layout.kind === "channels-last") return `maps with channels last (N, ${grid}, C)`;
  return `tokens (N, ${layout.prefix === 0 ? "" : `${layout.prefix} + `}${grid}, C)`;
}
