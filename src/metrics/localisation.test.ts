import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { explainedCase } from "../../test/support/explained-case.ts";
import { manualSeed, rand, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import { energyInMask } from "./energy.ts";
import { maskIou, pointingGame, relevanceRankAccuracy } from "./localisation.ts";
import { definedMean } from "./maps.ts";

const map = (rows: readonly (readonly number[])[]) => tensor([rows.map((row) => [...row])]);

describe("localisation", () => {
  it("agrees with the reference: pointing game, IoU, energy in the mask", () =>
    tidy(() => {
      const { reference, maps, masks } = explainedCase();
      expect(pointingGame(maps, masks)).toBeAllclose(reference.tensor("out/pointing_hit"));
      expect(maskIou(maps, masks)).toBeAllclose(reference.reference("out/iou_at_0.5"));
      expect(energyInMask(maps, masks)).toBeAllclose(reference.reference("out/energy_in_foreground"));
    }));
});

describe("pointingGame", () => {
  const twice = [
    [0, 3, 0],
    [0, 0, 0],
    [0, 0, 3],
  ];

  it("takes the first of several maxima, or any", () =>
    tidy(() => {
      const [first, last] = [zeros([1, 3, 3]), zeros([1, 3, 3])];
      first.select(1, 0).select(1, 1).fill_(1);
      last.select(1, 2).select(1, 2).fill_(1);
      expect(pointingGame(map(twice), first).item()).toBe(1);
      expect(pointingGame(map(twice), last).item()).toBe(0);
      expect(pointingGame(map(twice), last, { ties: "any" }).item()).toBe(1);
    }));

  it("counts a miss within the radius as a hit, by Euclidean distance", () =>
    tidy(() => {
      const side = 15;
      const maps = zeros([1, side, side]);
      maps.select(1, 7).select(1, 5).fill_(1);
      for (const [dy, dx] of [
        [0, 1],
        [2, 2],
        [-3, 4],
        [6, 0],
      ] as const) {
        const masks = zeros([1, side, side]);
        masks
          .select(1, 7 + dy)
          .select(1, 5 + dx)
          .fill_(1);
        const distance = Math.hypot(dy, dx);
        for (const radius of [0, 1, 2, 3, 4, 5, 6, 100])
          for (const ties of ["first", "any"] as const)
            expect(pointingGame(maps, masks, { radius, ties }).item()).toBe(Number(distance <= radius));
      }
    }));

  it("may have its maximum below zero", () =>
    tidy(() => expect(pointingGame(map([[-2, -1]]), map([[0, 1]])).item()).toBe(1)));
});

describe("relevanceRankAccuracy", () => {
  it("is the share of the largest values, as many as the mask has pixels, that is inside the mask", () =>
    tidy(() => {
      const maps = map([
        [9, 1, 8],
        [2, 7, 3],
      ]);
      const of = (mask: number[][]) => relevanceRankAccuracy(maps, map(mask)).item();
      const inside = (...cells: number[]) => [0, 3].map((row) => [0, 1, 2].map((i) => Number(cells.includes(row + i))));
      expect(of(inside(0, 2, 4))).toBe(1);
      expect(of(inside(0, 1, 2))).toBeAllclose(2 / 3);
      expect(of(inside(1))).toBe(0);
      expect(of(inside(0, 1, 2, 3, 4, 5))).toBe(1);
    }));

  it("ranks equal values by their index", () =>
    tidy(() => {
      const maps = map([[1, 1, 1, 1]]);
      expect(relevanceRankAccuracy(maps, map([[1, 1, 0, 0]])).item()).toBe(1);
      expect(relevanceRankAccuracy(maps, map([[0, 1, 1, 0]])).item()).toBe(0.5);
      expect(relevanceRankAccuracy(maps, map([[0, 0, 1, 1]])).item()).toBe(0);
    }));
});

describe("maskIou", () => {
  it("is intersection over union of what reaches the threshold", () =>
    tidy(() => {
      const maps = map([[0.2, 0.5, 0.7, 1]]);
      expect(maskIou(maps, map([[1, 1, 0, 0]])).item()).toBeAllclose(1 / 4);
      expect(maskIou(maps, map([[1, 1, 0, 0]]), { threshold: 0.2 }).item()).toBeAllclose(1 / 2);
      expect(maskIou(maps, map([[1, 1, 0, 0]]), { threshold: 2 }).item()).toBe(0);
      expect(maskIou(zeros([1, 1, 4]), map([[1, 1, 0, 0]])).item()).toBe(0);
    }));
});

describe.each([
  ["pointingGame", pointingGame],
  ["relevanceRankAccuracy", relevanceRankAccuracy],
  ["maskIou", maskIou],
] as const)("%s", (name, metric) => {
  it("is in [0, 1], is 1 for the mask itself and does not depend on where the batch is cut", () =>
    fc.assert(
      fc.property(
        fc.nat(10_000),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 9 }),
        (seed, height, width) =>
          tidy(() => {
            manualSeed(seed);
            const [maps, masks] = [rand([3, height, width]), rand([3, height, width]).lt(0.5)];
            masks.select(1, 0).select(1, 0).fill_(1);
            const values = metric(maps, masks);
            expect([values.shape, values.dtype]).toEqual([[3], "float64"]);
            expect(values.min().item()).toBeGreaterThanOrEqual(0);
            expect(values.max().item()).toBeLessThanOrEqual(1);
            expect(metric(maps.narrow(0, 1, 1), masks.narrow(0, 1, 1))).toBeAllclose(values.narrow(0, 1, 1));
            expect(metric(masks.to("float32"), masks.to("uint8"))).toBeAllclose([1, 1, 1]);
          }),
      ),
      { numRuns: 25 },
    ));

  it("is NaN for an empty mask and for a map with NaN, which definedMean leaves out and counts", () =>
    tidy(() => {
      const maps = tensor([[[1, 0]], [[1, 0]], [[1, Number.NaN]]]);
      const masks = tensor([[[1, 0]], [[0, 0]], [[1, 0]]]);
      const values = metric(maps, masks);
      expect(values).toBeAllclose([1, Number.NaN, Number.NaN], { equalNan: true });
      expect(definedMean(values)).toEqual({ mean: 1, defined: 1, undefined: 2 });
    }));

  it("takes a dead map for one that points nowhere, and an empty batch for no value", () =>
    tidy(() => {
      const dead = metric(zeros([1, 2, 2]), zeros([1, 2, 2]).add(1)).item();
      expect(dead).toBe(name === "maskIou" ? 0 : Number.NaN);
      expect(metric(zeros([0, 2, 2]), zeros([0, 2, 2])).shape).toEqual([0]);
    }));

  const gone = zeros([1, 2, 2]);
  gone.dispose();
  it.each<[string, () => unknown, string, RegExp]>([
    [
      "maps of another rank",
      () => metric(zeros([2, 2]), zeros([1, 2, 2])),
      "E_SHAPE",
      /maps must be \[N, H, W\], got \[2, 2\]/,
    ],
    [
      "masks of another size",
      () => metric(zeros([1, 2, 2]), zeros([1, 2, 3])),
      "E_SHAPE",
      /masks must be \[N, H, W=2\]/,
    ],
    ["one mask for all", () => metric(zeros([3, 2, 2]), zeros([1, 2, 2])), "E_SHAPE", /masks must be \[N=3/],
    [
      "maps of no pixel",
      () => metric(zeros([1, 0, 2]), zeros([1, 0, 2])),
      "E_SHAPE",
      /maps have no pixels, got \[1, 0, 2\]/,
    ],
    ["disposed maps", () => metric(gone, zeros([1, 2, 2])), "E_DISPOSED", /maps: the tensor was disposed/],
    [
      "masks that are no tensor",
      () => metric(zeros([1, 2, 2]), [[true]] as never),
      "E_ARGUMENT",
      /masks: expected a Tensor/,
    ],
  ])("refuses %s", (_, run, code, message) => {
    expect(() => tidy(run)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
    expect(() => tidy(run)).toThrow(new RegExp(`^${name}: `));
  });
});

describe("their options", () => {
  const one = zeros([1, 2, 2]);
  it.each<[string, () => Tensor, RegExp]>([
    [
      "ties",
      () => pointingGame(one, one, { ties: "last" as never }),
      /^pointingGame: ties: expected "first" or "any", got "last"/,
    ],
    [
      "a radius",
      () => pointingGame(one, one, { radius: -1 }),
      /^pointingGame: radius must be an integer from 0 to 255, got -1/,
    ],
    ["a fraction", () => pointingGame(one, one, { radius: 1.5 }), /^pointingGame: radius must be an integer/],
    [
      "a threshold",
      () => maskIou(one, one, { threshold: Number.NaN }),
      /^maskIou: threshold must be a finite number, got NaN/,
    ],
    ["none", () => maskIou(one, one, null as never), /^maskIou: options must be an object, got null/],
  ])("are refused: %s", (_, run, message) => expect(run).toThrow(message));
});

describe("definedMean", () => {
  it("is NaN where nothing is defined", () =>
    tidy(() => {
      expect(definedMean(tensor([Number.NaN]))).toEqual({ mean: Number.NaN, defined: 0, undefined: 1 });
      expect(definedMean(zeros([0]))).toEqual({ mean: Number.NaN, defined: 0, undefined: 0 });
      expect(definedMean(tensor([1, Number.NaN, 4]))).toEqual({ mean: 2.5, defined: 2, undefined: 1 });
      expect(() => definedMean(zeros([2, 2]))).toThrow(/^definedMean: values must be \[N\], got \[2, 2\]/);
    }));
});
