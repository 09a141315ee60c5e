import { mean } from "../text/numbers.ts";

/** A point of a curve. A y of null leaves a gap. */
export interface Point {
  x: number;
  y: number | null;
}

/** Centred moving mean over `window` points, and over fewer at both ends. Gaps stay gaps and are left out of the means. */
export function movingMean(points: readonly Point[], window: number): Point[] {
  const before = Math.floor((window - 1) / 2);
  // Each window is summed by itself, because a running sum would carry the rounding of one huge loss through the rest of the run.
  return points.map(({ x, y }, index) => {
    const around = points.slice(Math.max(0, index - before), index - before + window);
    return { x, y: y === null ? null : mean(around.map((point) => point.y)) };
  });
}

/** Reduces a curve to about `limit` points: the lowest and the highest of each stretch, so that no spike is lost. */
export function thin(points: readonly Point[], limit: number): Point[] {
  if (points.length <= limit) return [...points];
  const stretch = Math.ceil((points.length * 2) / limit);
  const kept: Point[] = [];
  for (let start = 0; start < points.length; start += stretch) {
    const part = points.slice(start, start + stretch);
    const known = part.filter(({ y }) => y !== null).sort((a, b) => (a.y ?? 0) - (b.y ?? 0));
    const extremes = new Set([known[0] ?? part[0], known.at(-1) ?? part[0]]);
    kept.push(...part.filter((point) => extremes.has(point)));
  }
  return kept;
}
