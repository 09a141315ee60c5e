import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tensor, tidy, zeros } from "../tensor/index.ts";
import { WrongReason, wrongReason } from "./wrong-reason.ts";

const stack = (values: number[][]) => tensor(values.flat(), { shape: [values.length, 2, 2], dtype: "float32" });

/** The definition, computed by loops. */
function expected(maps: number[][], masks: number[][]) {
  const living = maps.flatMap((map, i) => (map.some((v) => v > 0) ? [{ map, mask: masks[i] as number[] }] : []));
  const threshold = living.flatMap(({ map }) => map).reduce((a, b) => a + b, 0) / (4 * living.length);
  const shares = living.flatMap(({ map, mask }) => {
    const inside = map.filter((_, p) => mask[p] !== 0);
    return inside.length === 0 ? [] : [inside.filter((v) => v > threshold).length / inside.length];
  });
  return shares.reduce((a, b) => a + b, 0) / shares.length;
}

const value = fc.integer({ min: 0, max: 8 }).map((eighths) => eighths / 8); // exact in float32
const four = (of: fc.Arbitrary<number>) => fc.array(of, { minLength: 4, maxLength: 4 });
const pairs = fc.array(fc.tuple(four(value), four(fc.integer({ min: 0, max: 1 }))), { minLength: 1, maxLength: 6 });

describe("wrongReason", () => {
  it("is the share of the mask above the mean of all maps", () => {
    const { score, threshold } = tidy(() =>
      wrongReason(
        stack([
          [1, 0, 0, 0],
          [0.5, 0.5, 1, 0],
        ]),
        stack([
          [1, 1, 0, 0],
          [1, 0, 0, 0],
        ]),
      ),
    );
    expect(threshold).toBe(0.375);
    expect(score).toBe((0.5 + 1) / 2);
  });

  it("is its definition for any maps and masks, whole or in batches", () => {
    fc.assert(
      fc.property(pairs, (cases) =>
        tidy(() => {
          const [maps, masks] = [cases.map(([map]) => map), cases.map(([, mask]) => mask)];
          const whole = wrongReason(stack(maps), stack(masks));
          const parts = new WrongReason();
          for (const [i, map] of maps.entries()) parts.update(stack([map]), stack([masks[i] as number[]]));
          expect(parts.summary()).toEqual(whole);
          const score = expected(maps, masks);
          expect(whole.score).toEqual(Number.isNaN(score) ? Number.NaN : expect.closeTo(score, 10));
          expect(whole.maps).toBe(cases.length);
        }),
      ),
    );
  });

  it("leaves dead maps out of score and threshold, and counts them", () => {
    const found = tidy(() =>
      wrongReason(
        stack([
          [0, 0, 0, 0],
          [1, 0, 0, 0],
        ]),
        stack([
          [1, 1, 1, 1],
          [1, 0, 0, 0],
        ]),
      ),
    );
    expect(found).toEqual({ score: 1, threshold: 0.25, maps: 2, dead: 1, unmasked: 0 });
  });

  it("has no score if no map is left, no mask has pixels, or a map contains NaN", () => {
    tidy(() => {
      expect(
        wrongReason(
          zeros([2, 2, 2]),
          stack([
            [1, 0, 0, 0],
            [1, 0, 0, 0],
          ]),
        ).score,
      ).toBeNaN();
      expect(wrongReason(stack([[1, 0, 0, 0]]), zeros([1, 2, 2]))).toMatchObject({ score: Number.NaN, unmasked: 1 });
      expect(wrongReason(stack([[Number.NaN, 1, 0, 0]]), stack([[0, 1, 0, 0]])).score).toBeNaN();
    });
  });

  it("starts again after a reset", () => {
    tidy(() => {
      const gathered = new WrongReason();
      gathered.update(stack([[1, 1, 0, 0]]), stack([[1, 0, 0, 0]]));
      gathered.reset();
      expect(gathered.summary()).toMatchObject({ maps: 0, dead: 0, score: Number.NaN });
    });
  });

  it("refuses masks of another shape", () => {
    tidy(() => {
      expect(() => wrongReason(zeros([2, 2, 2]), zeros([2, 2, 3]))).toThrow(/masks must be \[N, H, W=2\]/);
    });
  });
});
