import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { rand, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import { EnergyInMask, energyInMask, foregroundMask } from "./energy.ts";
import { deadShare } from "./maps.ts";

const MAPS = [
  [
    [1, 2],
    [3, 4],
  ],
  [
    [0, 0],
    [0, 5],
  ],
  [
    [0, 0],
    [0, 0],
  ],
];
const MASKS = [
  [
    [true, false],
    [false, true],
  ],
  [
    [true, true],
    [true, false],
  ],
  [
    [true, true],
    [true, true],
  ],
];

describe("energyInMask", () => {
  it("is the share of each map's sum inside its mask, NaN for a dead map", () =>
    tidy(() => {
      const shares = energyInMask(tensor(MAPS), tensor(MASKS));
      expect(shares).toBeAllclose([0.5, 0, Number.NaN], { equalNan: true });
      expect(shares.dtype).toBe("float64");
    }));

  it("takes masks of any dtype, not zero inside, and an empty one for no energy", () =>
    tidy(() => {
      for (const dtype of ["uint8", "float32", "int64"] as const) {
        const masks = tensor(
          MASKS.flat(2).map((inside) => Number(inside) * 7),
          { shape: [3, 2, 2], dtype },
        );
        expect(energyInMask(tensor(MAPS), masks)).toBeAllclose([0.5, 0, Number.NaN], { equalNan: true });
      }
      expect(energyInMask(tensor(MAPS).narrow(0, 0, 1), zeros([1, 2, 2], { dtype: "bool" }))).toBeAllclose([0]);
    }));

  it("counts negative values as zero", () =>
    tidy(() => {
      const maps = tensor([
        [
          [-5, 1],
          [3, -1],
        ],
        [
          [-1, -1],
          [-1, -1],
        ],
      ]);
      const masks = tensor([
        [
          [true, true],
          [false, false],
        ],
        [
          [true, true],
          [true, true],
        ],
      ]);
      expect(energyInMask(maps, masks)).toBeAllclose([0.25, Number.NaN], { equalNan: true });
    }));

  it("is in [0, 1], does not depend on a scale, and adds up over a mask and its complement", () =>
    fc.assert(
      fc.property(
        fc.double({ min: 1e-3, max: 1e3, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (scale, threshold) =>
          tidy(() => {
            const [maps, masks] = [rand([4, 5, 5]), rand([4, 5, 5]).gt(threshold)];
            const shares = energyInMask(maps, masks);
            expect(shares.min().item()).toBeGreaterThanOrEqual(0);
            expect(shares.max().item()).toBeLessThanOrEqual(1);
            expect(energyInMask(maps.mul(scale), masks)).toBeAllclose(shares, { rtol: 1e-5, atol: 1e-7 });
            expect(shares.add(energyInMask(maps, masks.logicalNot()))).toBeAllclose([1, 1, 1, 1], { rtol: 1e-12 });
          }),
      ),
      { numRuns: 20 },
    ));

  it("gives NaN for a map that contains NaN, even outside the mask", () =>
    tidy(() => {
      expect(energyInMask(tensor([[[1, Number.NaN]]]), tensor([[[true, false]]]))).toBeAllclose([Number.NaN], {
        equalNan: true,
      });
    }));
});

describe("EnergyInMask", () => {
  it("gathers the mean over the maps that are not dead, and counts those that are", () =>
    tidy(() => {
      const energy = new EnergyInMask();
      energy.update(tensor(MAPS), tensor(MASKS));
      expect(energy.summary()).toEqual({ mean: 0.25, maps: 3, dead: 1 });
      energy.update(tensor([[[1, 0]]]), tensor([[[true, true]]]));
      expect(energy.summary()).toEqual({ mean: 0.5, maps: 4, dead: 1 });
      energy.reset();
      expect(energy.summary()).toEqual({ mean: Number.NaN, maps: 0, dead: 0 });
    }));

  it("has no mean if every map is dead, or if a map contains NaN", () =>
    tidy(() => {
      const energy = new EnergyInMask();
      energy.update(zeros([2, 3, 3]), zeros([2, 3, 3]));
      expect(energy.summary()).toEqual({ mean: Number.NaN, maps: 2, dead: 2 });
      energy.reset();
      energy.update(tensor([[[1, 1]], [[Number.NaN, 1]]]), tensor([[[1, 1]], [[1, 1]]]));
      expect(energy.summary()).toEqual({ mean: Number.NaN, maps: 2, dead: 0 });
    }));
});

describe("foregroundMask", () => {
  it("is what exceeds the threshold, 0.1 by default, in any channel", () =>
    tidy(() => {
      const images = tensor([[[0, 0.1, 0.11, 1]]], { dtype: "float64" });
      expect(Array.from(foregroundMask(images).data(), Number)).toEqual([0, 0, 1, 1]);
      expect(Array.from(foregroundMask(images, { threshold: 0.5 }).data(), Number)).toEqual([0, 0, 0, 1]);
      const channels = tensor([[[[0, 0.9, 0]], [[0, 0, 0.2]]]]);
      const mask = foregroundMask(channels);
      expect([mask.shape, mask.dtype, Array.from(mask.data(), Number)]).toEqual([[1, 1, 3], "bool", [0, 1, 1]]);
    }));
});

describe("deadShare", () => {
  it("is the share of maps that are zero everywhere", () =>
    tidy(() => {
      expect(deadShare(tensor(MAPS))).toBeCloseTo(1 / 3, 15);
      expect(deadShare(zeros([4, 2, 2]))).toBe(1);
      expect(deadShare(tensor([[[0, Number.NaN]], [[0, -1]]]))).toBe(0);
    }));
});

describe("these metrics refuse", () => {
  const gone = zeros([1, 2, 2]);
  gone.dispose();
  const one = () => zeros([1, 2, 2]);

  it.each<[string, () => unknown, string, RegExp]>([
    [
      "maps of another rank",
      () => energyInMask(zeros([2, 2]), one()),
      "E_SHAPE",
      /^energyInMask: maps must be \[N, H, W\], got \[2, 2\]/,
    ],
    [
      "masks of another size",
      () => energyInMask(one(), zeros([1, 2, 3])),
      "E_SHAPE",
      /^energyInMask: masks must be \[N, H, W=2\], got \[1, 2, 3\]/,
    ],
    [
      "one mask for many maps",
      () => energyInMask(zeros([3, 2, 2]), one()),
      "E_SHAPE",
      /^energyInMask: masks must be \[N=3/,
    ],
    ["disposed maps", () => energyInMask(gone, one()), "E_DISPOSED", /^energyInMask: maps: the tensor was disposed/],
    [
      "masks that are no tensor",
      () => energyInMask(one(), [[true]] as unknown as Tensor),
      "E_ARGUMENT",
      /^energyInMask: masks: expected a Tensor/,
    ],
    [
      "gathered masks of another size",
      () => new EnergyInMask().update(one(), zeros([1, 3, 2])),
      "E_SHAPE",
      /^EnergyInMask.update: masks must be/,
    ],
    [
      "images of another rank",
      () => foregroundMask(zeros([2, 2])),
      "E_SHAPE",
      /^foregroundMask: images must be \[N, H, W\], got \[2, 2\]/,
    ],
    [
      "images that are no tensor",
      () => foregroundMask(null as unknown as Tensor),
      "E_ARGUMENT",
      /^foregroundMask: images: expected a Tensor, got null/,
    ],
    ["disposed images", () => foregroundMask(gone), "E_DISPOSED", /^foregroundMask: images: the tensor was disposed/],
    [
      "a threshold that is no number",
      () => foregroundMask(one(), { threshold: Number.NaN }),
      "E_ARGUMENT",
      /^foregroundMask: threshold must be a number, got NaN/,
    ],
    [
      "dead maps of another rank",
      () => deadShare(zeros([2, 2])),
      "E_SHAPE",
      /^deadShare: maps must be \[N, H, W\], got \[2, 2\]/,
    ],
    ["no maps", () => deadShare(zeros([0, 2, 2])), "E_SHAPE", /^deadShare: maps have no values, got \[0, 2, 2\]/],
  ])("%s", (_, run, code, message) => {
    expect(() => tidy(run)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });
});
