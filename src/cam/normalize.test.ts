import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { full, grad, randn, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import { deadMaps } from "./batch-cam.ts";
import { normalizeMaps } from "./normalize.ts";

const stack = (values: readonly number[], width: number) =>
  tensor(Float64Array.from(values), { shape: [1, values.length / width, width] });

const pixels = fc.array(fc.double({ min: -1e3, max: 1e3, noNaN: true }), { minLength: 6, maxLength: 6 });

describe("normalizeMaps", () => {
  it("is (M − min) / (max − min + eps) for each map apart", () =>
    tidy(() => {
      const maps = tensor(
        [
          [
            [1, 3],
            [2, 5],
          ],
          [
            [0, 0],
            [0, 10],
          ],
        ],
        { dtype: "float64" },
      );
      expect(normalizeMaps(maps, { eps: 1 })).toBeAllclose(
        [
          [
            [0, 0.4],
            [0.2, 0.8],
          ],
          [
            [0, 0],
            [0, 10 / 11],
          ],
        ],
        { rtol: 1e-15 },
      );
      expect(normalizeMaps(maps)).toBeAllclose(
        [
          [
            [0, 0.5],
            [0.25, 1],
          ],
          [
            [0, 0],
            [0, 1],
          ],
        ],
        { rtol: 1e-7 },
      );
    }));

  it("stays within [0, 1], and does not depend on a shift or a scale", () =>
    fc.assert(
      fc.property(pixels, fc.double({ min: 0.01, max: 100, noNaN: true }), (values, scale) =>
        tidy(() => {
          fc.pre(Math.max(...values) - Math.min(...values) > 1e-3);
          const maps = stack(values, 2);
          const expected = normalizeMaps(maps, { eps: 1e-12 });
          expect(expected.min().item()).toBe(0);
          expect(expected.max().item()).toBeLessThanOrEqual(1);
          const changed = normalizeMaps(maps.mul(scale).add(7), { eps: 1e-12 * scale });
          expect(changed).toBeAllclose(expected, { rtol: 0, atol: 1e-7 });
        }),
      ),
    ));

  it("has the gradient of its formula, through minimum and maximum too", () =>
    tidy(() => {
      const maps = randn([2, 3, 4], { dtype: "float64", requiresGrad: true });
      const cotangent = randn([2, 3, 4], { dtype: "float64" });
      const value = (x: Tensor) => normalizeMaps(x, { eps: 0.01 }).mul(cotangent).sum();
      const [gradient] = grad(value(maps), [maps]) as [Tensor];
      const direction = randn([2, 3, 4], { dtype: "float64" });
      const at = (step: number) => value(maps.detach().add(direction.mul(step))).item();
      expect(gradient.mul(direction).sum().item()).toBeAllclose((at(1e-6) - at(-1e-6)) / 2e-6, { rtol: 1e-7 });
    }));

  it("shares the gradient of a minimum or maximum among exact ties", () =>
    tidy(() => {
      const maps = tensor([[[0, 0, 2, 2]]], { dtype: "float64", requiresGrad: true });
      const [gradient] = grad(normalizeMaps(maps, { eps: 1 }).narrow(2, 0, 1).sum(), [maps]) as [Tensor];
      // y₀ = (x₀ − min) / (max − min + 1) with value 0: only the numerator counts, 1 − ½ and −½ over 3.
      expect(gradient).toBeAllclose([[[1 / 6, -1 / 6, 0, 0]]], { rtol: 1e-12, atol: 1e-15 });
    }));

  it.each([0, 3.7, -1e-30, 1e30])("gives zeros and a zero gradient for maps of nothing but %d", (value) =>
    tidy(() => {
      const maps = full([2, 3, 3], value, { requiresGrad: true });
      const normalised = normalizeMaps(maps);
      expect(normalised.abs().max().item()).toBe(0);
      const [gradient] = grad(normalised.sub(1).square().sum(), [maps]) as [Tensor];
      expect(gradient.abs().max().item()).toBe(0);
    }),
  );

  it("spoils only the map that contains NaN or infinity", () =>
    tidy(() => {
      const maps = tensor([[[0, 1]], [[0, Number.NaN]], [[0, Number.POSITIVE_INFINITY]]]);
      const normalised = normalizeMaps(maps);
      expect(normalised.select(0, 0)).toBeAllclose([[0, 1]]);
      expect(normalised.select(0, 1).isnan().all().item()).toBe(1);
      expect(normalised.select(0, 2).isnan().any().item()).toBe(1);
    }));

  it("takes maps of 16 bits and gives float32", () =>
    tidy(() => {
      const maps = randn([2, 4, 4]).to("bfloat16");
      expect(normalizeMaps(maps).dtype).toBe("float32");
      expect(normalizeMaps(maps).equal(normalizeMaps(maps.to("float32")))).toBe(true);
    }));

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, "1e-2" as unknown as number])("refuses eps %s", (eps) => {
    const message = /^normalizeMaps: eps must be a number > 0, got/;
    expect(() => tidy(() => normalizeMaps(zeros([1, 2, 2]), { eps }))).toThrow(
      expect.objectContaining({ code: "E_ARGUMENT", message: expect.stringMatching(message) }),
    );
  });

  it.each([
    ["another rank", () => zeros([2, 2]), "E_SHAPE", /maps must be \[N, H, W\], got \[2, 2\]/],
    ["no pixel", () => zeros([2, 0, 2]), "E_SHAPE", /maps have no pixels, got \[2, 0, 2\]/],
    [
      "integers",
      () => zeros([1, 2, 2], { dtype: "int64" }),
      "E_DTYPE",
      /maps must have a floating-point dtype, got int64/,
    ],
    ["no tensor", () => null as unknown as Tensor, "E_ARGUMENT", /maps: expected a Tensor, got null/],
  ])("refuses maps with %s", (_, maps, code, message) => {
    expect(() => tidy(() => normalizeMaps(maps()))).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });
});

describe("deadMaps", () => {
  it("tells all-zero maps, and only those", () =>
    tidy(() => {
      const maps = tensor([[[0, 0]], [[0, 1e-30]], [[-1, 0]], [[Number.NaN, 0]], [[-0, 0]]], { requiresGrad: true });
      const dead = deadMaps(maps);
      expect(dead.dtype).toBe("bool");
      expect([...dead.data()]).toEqual([1, 0, 0, 0, 1]);
      expect(deadMaps(zeros([0, 3, 3])).shape).toEqual([0]);
    }));

  it("refuses a value that is not a stack of maps", () => {
    expect(() => tidy(() => deadMaps(zeros([3])))).toThrow(/^deadMaps: maps must be \[N, H, W\], got \[3\]/);
    expect(() => tidy(() => deadMaps(zeros([3, 2, 0])))).toThrow(/^deadMaps: maps have no pixel/);
  });
});
