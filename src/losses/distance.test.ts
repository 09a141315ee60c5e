import { describe, expect, it } from "vitest";
import { grad, rand, randn, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import type { DistanceName } from "./description.ts";
import { type Distance, distanceOf, l1, l2, meanDistance, ssimDistance } from "./distance.ts";

const NAMED: [string, Distance][] = [
  ["l1", l1],
  ["l2", l2],
];

describe("l1 and l2", () => {
  it("are the mean absolute and the mean squared difference of each image", () =>
    tidy(() => {
      const x = tensor([
        [
          [1, 2],
          [3, 4],
        ],
        [
          [0, 0],
          [0, 0],
        ],
      ]);
      const y = tensor([
        [
          [1, 0],
          [0, 4],
        ],
        [
          [0, 0],
          [0, -2],
        ],
      ]);
      expect(l1(x, y)).toBeAllclose([5 / 4, 0.5]);
      expect(l2(x, y)).toBeAllclose([13 / 4, 1]);
      expect(l1(x.unsqueeze(1), y.unsqueeze(1))).toBeAllclose([5 / 4, 0.5]);
    }));

  it.each(NAMED)("%s has the gradient of its formula, on both sides", (_, distance) =>
    tidy(() => {
      const [x, y] = [
        randn([2, 3, 3], { dtype: "float64", requiresGrad: true }),
        randn([2, 3, 3], { dtype: "float64", requiresGrad: true }),
      ];
      const [byX, byY] = grad(distance(x, y).sum(), [x, y]) as [Tensor, Tensor];
      const difference = x.sub(y).detach();
      const expected = distance === l1 ? difference.sign().div(9) : difference.mul(2 / 9);
      expect(byX).toBeAllclose(expected, { rtol: 1e-12 });
      expect(byY).toBeAllclose(expected.neg(), { rtol: 1e-12 });
    }),
  );

  it.each(NAMED)("%s takes 16-bit images in float32", (_, distance) =>
    tidy(() => {
      const [x, y] = [rand([2, 4, 4]).to("bfloat16"), rand([2, 4, 4]).to("float16")];
      expect(distance(x, y).equal(distance(x.to("float32"), y.to("float32")))).toBe(true);
    }),
  );

  it.each(NAMED)("%s refuses sizes that would broadcast, nothing, integers and what is no tensor", (name, distance) =>
    tidy(() => {
      const bad: [unknown, unknown, string, RegExp][] = [
        [
          zeros([2, 4, 4]),
          zeros([4, 4]),
          "E_SHAPE",
          /one shape \(N, ...\) with values, got x \[2, 4, 4\] and y \[4, 4\]/,
        ],
        [zeros([2, 4, 4]), zeros([3, 4, 4]), "E_SHAPE", /one shape/],
        [zeros([4]), zeros([4]), "E_SHAPE", /one shape/],
        [zeros([0, 4, 4]), zeros([0, 4, 4]), "E_SHAPE", /with values/],
        [zeros([2, 4]), zeros([2, 4], { dtype: "int64" }), "E_DTYPE", /y must have a floating-point dtype, got int64/],
        [null, zeros([2, 4]), "E_ARGUMENT", /x: expected a Tensor, got null/],
      ];
      for (const [x, y, code, message] of bad) {
        const expected = expect.objectContaining({ code, message: expect.stringMatching(message) });
        expect(() => distance(x as Tensor, y as Tensor)).toThrow(expected);
        expect(() => distance(x as Tensor, y as Tensor)).toThrow(new RegExp(`^${name}: `));
      }
    }),
  );
});

describe("distanceOf", () => {
  it("finds a distance by name, and takes a function as it is", () =>
    tidy(() => {
      expect(distanceOf("l1")).toBe(l1);
      expect(distanceOf("l2")).toBe(l2);
      const [x, y] = [rand([2, 12, 12]), rand([2, 12, 12])];
      expect(distanceOf("ssim")(x, y).equal(ssimDistance(x, y))).toBe(true);
      const own: Distance = (a, b) => l1(a, b).mul(3);
      expect(distanceOf(own)).toBe(own);
    }));

  it.each(["L1", "cosine", "toString", "__proto__", "", null, 3, undefined])("refuses %s", (name) => {
    const expected = expect.objectContaining({
      code: "E_ARGUMENT",
      message: expect.stringMatching(/^prototypeLoss: distance must be "l1", "l2", "ssim" or a function, got/),
    });
    expect(() => distanceOf(name as DistanceName, "prototypeLoss")).toThrow(expected);
  });
});

describe("meanDistance", () => {
  it.each<[string, Distance]>([
    ["a scalar", (x, y) => l1(x, y).mean()],
    ["one value too few", (x, y) => l1(x, y).narrow(0, 0, 1)],
    ["a value for each pixel", (x, y) => x.sub(y)],
    ["a number", () => 3 as unknown as Tensor],
    ["nothing", () => undefined as unknown as Tensor],
  ])("refuses a function that returns %s", (_, distance) => {
    const expected = expect.objectContaining({
      code: "E_SHAPE",
      message: expect.stringMatching(/^f: distance must return a tensor \[2\], one value for each image, got/),
    });
    expect(() => tidy(() => meanDistance("f", distance, [rand([2, 3, 3]), rand([2, 3, 3])]))).toThrow(expected);
  });
});
