import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { labelPlaces } from "./label-places.ts";

const BOX = { width: 320, height: 240 };
const spot = fc.record({
  x: fc.double({ min: 10, max: 310, noNaN: true }),
  y: fc.double({ min: 10, max: 230, noNaN: true }),
});

describe("places of labels", () => {
  it("are one a point, inside the box, and the same for the same points", () => {
    fc.assert(
      fc.property(fc.array(spot, { maxLength: 30 }), (points) => {
        const places = labelPlaces(points, BOX);
        expect(places).toHaveLength(points.length);
        for (const { x, y } of places) {
          expect(x > 0 && x < BOX.width).toBe(true);
          expect(y > 0 && y < BOX.height).toBe(true);
        }
        expect(labelPlaces(points, BOX)).toEqual(places);
      }),
    );
  });

  it("hide neither a point nor each other if four points are close together", () => {
    const points = [
      { x: 100, y: 100 },
      { x: 104, y: 101 },
      { x: 109, y: 98 },
      { x: 100, y: 108 },
    ];
    const places = labelPlaces(points, BOX);
    places.forEach((label, index) => {
      for (const point of points) expect(Math.hypot(label.x - point.x, label.y - point.y)).toBeGreaterThan(8);
      for (const other of places.slice(0, index))
        expect(Math.abs(label.x - other.x) >= 15 || Math.abs(label.y - other.y) >= 12).toBe(true);
    });
  });
});
