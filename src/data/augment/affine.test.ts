import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compose, cutting, IDENTITY, type Matrix, rotation, shear, translation } from "./affine.ts";

const at = ([a, b, x, c, d, y]: Matrix, [u, v]: readonly [number, number]) => [a * u + b * v + x, c * u + d * v + y];
const number = fc.double({ min: -3, max: 3, noNaN: true });
const matrix = fc.tuple(number, number, number, number, number, number);

describe("affine maps", () => {
  it("composed are the one after the other, and the identity changes none", () => {
    fc.assert(
      fc.property(matrix, matrix, number, number, (outer, inner, u, v) => {
        const [x, y] = at(inner, [u, v]) as [number, number];
        const expected = at(outer, [x, y]);
        const got = at(compose(outer, inner), [u, v]);
        for (const i of [0, 1]) expect(got[i]).toBeCloseTo(expected[i] as number, 8);
        expect(compose(outer, IDENTITY).map((value) => value + 0)).toEqual(outer.map((value) => value + 0));
      }),
    );
  });

  it("cut: the corners of the new image come from those of the rectangle", () => {
    const half = cutting([0.25, 0, 0.75, 0.5]);
    expect(at(half, [-1, -1])).toEqual([-1, -0.5]);
    expect(at(half, [1, 1])).toEqual([0, 0.5]);
  });

  it("turn in pixels, whatever the shape: a quarter turn of an image twice as wide brings its top to its right", () => {
    const [u, v] = at(rotation(Math.PI / 2, 2), [0.5, 0]) as [number, number];
    expect(u).toBeCloseTo(0);
    expect(v).toBeCloseTo(-1);
  });

  it("move and slant towards the right and down for positive numbers", () => {
    expect(at(translation(0.25, 0.5), [0, 0])).toEqual([-0.5, -1]);
    expect(at(shear(0.5, 0, 1), [0, 1])[0]).toBe(-0.5);
    expect(at(shear(0, 0.5, 1), [1, 0])[1]).toBe(-0.5);
  });
});
