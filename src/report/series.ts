/** A point of a curve; null where there is no value, which leaves a gap. */
export interface Point {
  x: number;
  y: number | null;
}

/** Centred moving mean over `window` points, shorter at both ends; gaps stay gaps and count for nothing. */
export function movingMean(points: readonly Point[], window: number): Point[] {
  const before = Math.floor((window - 1) / 2);
  let sum = 0;
  let count = 0;
  const add = (point: Point | undefined, sign: 1 | -1) => {
    if (point?.y == null) return;
    sum += sign * point.y;
    count += sign;
  };
  for (let index = 0; index < window - before - 1; index++) add(points[index], 1);
  return points.map(({ x, y }, index) => {
    add(points[index + window - before - 1], 1);
    if (index - before > 0) add(points[index - before - 1], -1);
    return { x, y: y === null || count === 0 ? null : sum / count };
  });
}

/** At most about `limit` points: the lowest and the highest of each stretch, so that no spike is lost. */
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
