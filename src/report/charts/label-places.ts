/** A position in pixels. */
export interface Spot {
  x: number;
  y: number;
}

const LABEL = { width: 15, height: 12 };
const MARK = 10;
/** Directions in the order of preference: right and up, left and up, right and down, ... */
const AROUND = [
  ...([
    [1, -0.7],
    [-1, -0.7],
    [1, 0.7],
    [-1, 0.7],
  ] as const),
  ...([
    [0, -1.1],
    [0, 1.1],
    [1.15, 0],
    [-1.15, 0],
  ] as const),
];
const REACHES = [11, 18, 26, 36];

/**
 * The position of each point's short label. If there is enough space nearby, a label covers neither a point nor another label. It is
 * always inside the box. The same points give the same positions.
 */
export function labelPlaces(points: readonly Spot[], box: { width: number; height: number }): Spot[] {
  const placed: Spot[] = [];
  for (const point of points) {
    const candidates = REACHES.flatMap((reach) =>
      AROUND.map(([right, down]) => ({ x: point.x + reach * right, y: point.y + reach * down })),
    ).filter(({ x, y }) => x > 6 && x < box.width - 6 && y > 5 && y < box.height - 5);
    const cost = (spot: Spot) => crowding(spot, points, placed);
    const best = candidates.reduce<Spot | undefined>(
      (least, spot) => (least === undefined || cost(spot) < cost(least) ? spot : least),
      undefined,
    );
    placed.push(best ?? point);
  }
  return placed;
}

/** The number of points and labels that a label would overlap. */
function crowding(spot: Spot, points: readonly Spot[], placed: readonly Spot[]): number {
  const touches = (other: Spot, width: number, height: number) =>
    Math.abs(spot.x - other.x) < width && Math.abs(spot.y - other.y) < height;
  const marks = points.filter((point) => touches(point, (LABEL.width + MARK) / 2, (LABEL.height + MARK) / 2));
  const labels = placed.filter((label) => touches(label, LABEL.width, LABEL.height));
  return marks.length + 2 * labels.length;
}
