import { describe, expect, it } from "vitest";
import { autocast, grad, rand, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import type { DistanceName } from "./description.ts";
import { type Distance, distanceOf, l1 } from "./distance.ts";
import { prototypeLoss } from "./map-losses.ts";

const DISTANCES = ["l1", "l2", "ssim"] as const;
const LABELS = [2, 0, 2, 1];

const inputs = () => ({ maps: rand([4, 12, 13]), prototypes: rand([3, 12, 13]) });

describe("prototypeLoss", () => {
  it.each(DISTANCES)("is the mean distance of each map to its class's prototype (%s)", (distance) =>
    tidy(() => {
      const { maps, prototypes } = inputs();
      const apart = LABELS.map((label, b) =>
        distanceOf(distance)(maps.narrow(0, b, 1), prototypes.narrow(0, label, 1)).item(),
      );
      const expected = apart.reduce((sum, value) => sum + value, 0) / 4;
      expect(prototypeLoss(maps, LABELS, prototypes, { distance }).item()).toBeAllclose(expected, { rtol: 1e-6 });
      expect(prototypeLoss(maps, tensor(LABELS, { dtype: "int64" }), prototypes, { distance }).item()).toBeAllclose(
        expected,
        { rtol: 1e-6 },
      );
    }),
  );

  it("measures by SSIM by default, and by a function of the caller's", () =>
    tidy(() => {
      const { maps, prototypes } = inputs();
      const loss = (distance?: DistanceName | Distance) =>
        prototypeLoss(maps, LABELS, prototypes, distance === undefined ? {} : { distance }).item();
      expect(loss()).toBe(loss("ssim"));
      expect(loss((x, y) => l1(x, y).mul(3))).toBeAllclose(loss("l1") * 3, { rtol: 1e-6 });
    }));

  it("is zero for maps that are their prototypes", () =>
    tidy(() => {
      const { prototypes } = inputs();
      const maps = prototypes.indexSelect(0, tensor(LABELS, { dtype: "int64" }));
      for (const distance of DISTANCES) {
        expect(prototypeLoss(maps, LABELS, prototypes, { distance }).item()).toBeAllclose(0, { atol: 1e-6 });
      }
    }));

  it("gives the maps a gradient, and the prototypes none", () =>
    tidy(() => {
      const { maps, prototypes } = inputs();
      const loss = prototypeLoss(maps.requiresGrad_(), LABELS, prototypes.requiresGrad_(), { distance: "l2" });
      const [byMaps, byPrototypes] = grad(loss, [maps, prototypes], { allowUnused: true }) as [Tensor, Tensor];
      const own = prototypes.detach().indexSelect(0, tensor(LABELS, { dtype: "int64" }));
      expect(byMaps).toBeAllclose(
        maps
          .detach()
          .sub(own)
          .mul(2 / (4 * 12 * 13)),
        { rtol: 1e-5, atol: 1e-9 },
      );
      expect(byPrototypes.abs().max().item()).toBe(0);
    }));

  it.each(DISTANCES)("is float32 under autocast and from 16-bit maps (%s)", (distance) =>
    tidy(() => {
      const { maps, prototypes } = inputs();
      const expected = prototypeLoss(maps, LABELS, prototypes, { distance });
      expect(
        autocast({ dtype: "bfloat16" }, () => prototypeLoss(maps, LABELS, prototypes, { distance })).equal(expected),
      ).toBe(true);
      expect(prototypeLoss(maps.to("bfloat16"), LABELS, prototypes.to("float16"), { distance }).dtype).toBe("float32");
    }),
  );

  it("passes NaN on", () =>
    tidy(() => {
      const { maps, prototypes } = inputs();
      maps.narrow(0, 1, 1).fill_(Number.NaN);
      for (const distance of DISTANCES) expect(prototypeLoss(maps, LABELS, prototypes, { distance }).item()).toBeNaN();
    }));
});

// biome-ignore lint/suspicious/noExplicitAny: what a JavaScript caller might pass.
type Anything = any;

describe("prototypeLoss refuses", () => {
  const gone = zeros([4, 12, 13]);
  gone.dispose();

  it.each<[string, Record<string, Anything>, string, RegExp]>([
    ["maps of another rank", { maps: zeros([4, 12]) }, "E_SHAPE", /maps must be \[B, H, W\], got \[4, 12\]/],
    [
      "prototypes of another size",
      { prototypes: zeros([3, 28, 28]) },
      "E_SHAPE",
      /prototypes must be \[C, H=12, W=13\], got \[3, 28, 28\]/,
    ],
    [
      "an empty batch",
      { maps: zeros([0, 12, 13]), labels: [] },
      "E_SHAPE",
      /maps have no values, got \[0, 12, 13\]: an empty batch has no loss/,
    ],
    ["labels of another count", { labels: [0, 1] }, "E_SHAPE", /expected 4 labels.* got 2/],
    ["a label without prototype", { labels: [0, 1, 2, 3] }, "E_ARGUMENT", /label 3 must be 0 to 2, got 3/],
    ["a negative label", { labels: [0, -1, 2, 2] }, "E_ARGUMENT", /label 1 must be 0 to 2, got -1/],
    ["fractional labels", { labels: [0, 1.5, 2, 2] }, "E_DTYPE", /label 1 must be a class index, got 1.5/],
    ["float labels", { labels: zeros([4]) }, "E_DTYPE", /labels must be integers/],
    [
      "integer maps",
      { maps: zeros([4, 12, 13], { dtype: "uint8" }) },
      "E_DTYPE",
      /maps must have a floating-point dtype, got uint8/,
    ],
    [
      "integer prototypes",
      { prototypes: zeros([3, 12, 13], { dtype: "uint8" }) },
      "E_DTYPE",
      /prototypes must have a floating-point dtype, got uint8/,
    ],
    ["missing prototypes", { prototypes: undefined }, "E_ARGUMENT", /prototypes: expected a Tensor, got undefined/],
    ["disposed maps", { maps: gone }, "E_DISPOSED", /maps: the tensor was disposed/],
    ["disposed prototypes", { prototypes: gone }, "E_DISPOSED", /prototypes: the tensor was disposed/],
    [
      "an unknown distance",
      { distance: "l3" },
      "E_ARGUMENT",
      /distance must be "l1", "l2", "ssim" or a function, got "l3"/,
    ],
    [
      "a distance that gives a scalar",
      { distance: (x: Tensor) => x.mean() },
      "E_SHAPE",
      /distance must return a tensor \[4\]/,
    ],
  ])("%s", (_, change, code, message) =>
    tidy(() => {
      const { maps, labels, prototypes, distance }: Record<string, Anything> = {
        ...inputs(),
        labels: LABELS,
        distance: "l1",
        ...change,
      };
      const run = () => prototypeLoss(maps, labels, prototypes, { distance });
      expect(run).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
      expect(run).toThrow(/^prototypeLoss: /);
    }),
  );
});
