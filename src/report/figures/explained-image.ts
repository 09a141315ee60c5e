import { BatchCamError } from "../../errors.ts";
import type { Colormap } from "../pictures/colormap.ts";
import { classicOverlay, overlay } from "../pictures/overlay.ts";
import { channelsOf, expectMap, isDead, type Picture } from "../pictures/picture.ts";
import { shrink } from "../pictures/shrink.ts";
import { formatPercent } from "../text/numbers.ts";
import type { FigureCell } from "./cell.ts";

/** The name, prediction and label of an image. */
export interface Verdict {
  /** File name, or another name of the image. */
  name?: string;
  /** The predicted class, and its probability in [0, 1]. */
  prediction?: string;
  confidence?: number;
  /** The true class. A prediction that differs is marked as wrong. */
  label?: string;
  /** The class that the maps explain, if it is not the prediction. */
  target?: string;
}

/** How maps are drawn. */
export interface MapStyle {
  /**
   * "overlay" (default): the colour's opacity is proportional to the map's value; "classic": the mean of image and
   * colour; "map": the map alone.
   */
  style?: "overlay" | "classic" | "map";
  /** Default: "inferno", and "jet" for the classic style. */
  colormap?: Colormap;
  /** Opacity of an overlay at pixels where the map is 1, in [0, 1] (default: 0.7). */
  strength?: number;
}

/** Whether the prediction is known to be wrong. */
export function isWrong({ prediction, label }: Verdict): boolean {
  return prediction !== undefined && label !== undefined && prediction !== label;
}

/** Prediction and confidence, "7  98.3 %", in separate parts because the name of a class may be long. */
export function verdictParts(verdict: Verdict): { named: string; confidence: string; remark: string } {
  const { prediction = "", confidence, label, target } = verdict;
  const known = confidence === undefined ? "" : formatPercent(confidence, 1);
  const remarks = [
    isWrong(verdict) ? `is ${label}` : "",
    target !== undefined && target !== prediction ? `maps of ${target}` : "",
  ];
  return { named: prediction, confidence: known, remark: remarks.filter(Boolean).join(", ") };
}

/** The colour map of a style. */
export function colormapOf({ style, colormap }: MapStyle): Colormap {
  return colormap ?? (style === "classic" ? "jet" : "inferno");
}

/**
 * Makes a cell of a figure from a map, reduced to at most `most` pixels. Whether it is marked as dead is decided before the reduction.
 */
export function mapCell(
  image: Picture,
  map: Float32Array,
  { most, ...style }: MapStyle & { most: CellSize },
): FigureCell {
  const small = shrink({ ...image, pixels: map }, most);
  const cell = { ...small, colormap: colormapOf(style), dead: isDead(map) };
  if (style.style === "map") return { ...cell, kind: "map" };
  return { ...cell, kind: "overlay", pixels: mapOver(shrink(image, most), small.pixels, style) };
}

interface CellSize {
  width: number;
  height: number;
}

/** Draws a map over its image: colours `(3, H, W)`. */
export function mapOver(image: Picture, map: Float32Array, style: MapStyle): Float32Array {
  const { pixels, height, width } = image;
  const colormap = colormapOf(style);
  if (style.style === "classic") return classicOverlay(pixels, map, { height, width, colormap });
  const { strength = 0.7 } = style;
  return overlay(pixels, map, { height, width, colormap, strength });
}

/** Throws unless the pixels fill the image, its maps have its size, and its confidence is a probability. */
export function checkExplained(
  place: string,
  image: Picture & Verdict,
  maps: Record<string, Float32Array | null>,
): void {
  const { height, width, confidence } = image;
  channelsOf(image, place);
  for (const [name, pixels] of Object.entries(maps))
    if (pixels) expectMap({ pixels, height, width }, `${place}.${name}`);
  if (confidence !== undefined && !(confidence >= 0 && confidence <= 1)) {
    throw new BatchCamError("E_ARGUMENT", `${place}: confidence must be a number from 0 to 1, got ${confidence}`);
  }
}
