import { type Markup, markup } from "../page/markup.ts";
import type { Colormap } from "../pictures/colormap.ts";
import { isDead, type Picture } from "../pictures/picture.ts";
import { pngAddress } from "../pictures/png.ts";
import { shrink } from "../pictures/shrink.ts";
import { type Block, INK } from "./block.ts";

/** One picture of a figure: an image as it is, a map drawn in colours, or a map already laid over its image. */
export interface FigureCell extends Picture {
  kind: "image" | "map" | "overlay";
  /** Colours of a map, and of the scale below the figure (default: "inferno"). */
  colormap?: Colormap;
  /** Draws a cross and "dead" over the map (default: whether the map is zero everywhere). */
  dead?: boolean;
  /** Marks a map (or image) of a sample that the network got wrong. */
  wrong?: boolean;
}

/** Size of the box that a cell is drawn in. */
export interface CellBox {
  width: number;
  height: number;
}

/** Whether a cell is marked as dead. */
export function isDeadCell(cell: FigureCell): boolean {
  return cell.dead ?? (cell.kind === "map" && isDead(cell.pixels));
}

/** Draws a cell in its box. For `null` (a class without a sample) the box has only a dash. */
export function cellBlock(cell: FigureCell | null, box: CellBox): Block {
  const { width, height } = box;
  if (!cell) return { ...box, body: markup`${frame(box, INK.line, "#f6f8fa")}${centred(box, "–", INK.soft)}` };
  // The PNG of a figure has twice the pixels of the box. Enlarged pixels stay squares, so that no one mistakes interpolation for data.
  const shown = shrink(cell, { width: 2 * width, height: 2 * height });
  const exact = cell.width <= width || (2 * width) % cell.width === 0;
  const rendering = exact ? "pixelated" : "optimizeQuality";
  const address = pngAddress(shown, cell.kind === "map" ? (cell.colormap ?? "inferno") : undefined);
  const picture = markup`<image width="${width}" height="${height}" href="${address}" style="image-rendering:${rendering}"/>`;
  const marks = [
    frame(box, cell.wrong ? INK.warning : INK.line, "none", cell.wrong ? 2 : 1),
    isDeadCell(cell) ? cross(box) : null,
    cell.wrong ? wrongBadge(width - BADGE, 0) : null,
  ];
  return { ...box, body: markup`${picture}${marks}` };
}

const BADGE = 13;

/** The mark of a wrong prediction: a red corner with a cross, which can be recognised without colour. */
export function wrongBadge(x: number, y: number): Markup {
  const arm = 3.5;
  const middle = BADGE / 2;
  const path = `M${x + middle - arm} ${y + middle - arm}l${2 * arm} ${2 * arm}m0 ${-2 * arm}l${-2 * arm} ${2 * arm}`;
  return markup`<rect x="${x}" y="${y}" width="${BADGE}" height="${BADGE}" fill="${INK.warning}"/><path d="${path}" stroke="${INK.paper}" stroke-width="1.6" fill="none"/>`;
}

/** The mark of a dead map: a cross from corner to corner, and the word if the box is wide enough. */
export function cross({ width, height }: CellBox): Markup {
  const lines = markup`<path d="M0 0L${width} ${height}M${width} 0L0 ${height}" stroke="#ffffff" stroke-opacity="0.55" fill="none"/>`;
  if (width < 40) return lines;
  const plate = markup`<rect x="${width / 2 - 19}" y="${height / 2 - 8.5}" width="38" height="17" rx="3" fill="${INK.text}" stroke="#ffffff" stroke-opacity="0.55"/>`;
  return markup`${lines}${plate}${centred({ width, height }, "dead", INK.paper)}`;
}

function frame({ width, height }: CellBox, stroke: string, fill: string, thickness = 1): Markup {
  const inset = thickness / 2;
  return markup`<rect x="${inset}" y="${inset}" width="${width - thickness}" height="${height - thickness}" fill="${fill}" stroke="${stroke}" stroke-width="${thickness}"/>`;
}

function centred({ width, height }: CellBox, text: string, colour: string): Markup {
  return markup`<text x="${width / 2}" y="${height / 2 + 3.6}" font-size="10.5" text-anchor="middle" fill="${colour}">${text}</text>`;
}
