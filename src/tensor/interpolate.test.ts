import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { autocast, full, grad, interpolate, memory, ones, randn, type Tensor, tensor, tidy, zeros } from "./index.ts";

const size = fc.integer({ min: 1, max: 9 });
const target = fc.tuple(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 30 }));
const value = fc.double({ min: -1e3, max: 1e3, noNaN: true });

/** An arbitrary map (h, w) with its values. */
const map = fc
  .tuple(size, size)
  .chain(([h, w]) => fc.array(fc.array(value, { minLength: w, maxLength: w }), { minLength: h, maxLength: h }));

/** Bilinear resizing with align_corners = false, one target pixel at a time: a + t(b − a) along the rows, then along the columns. */
function reference(rows: number[][], [height, width]: readonly [number, number]): number[][] {
  const [h, w] = [rows.length, (rows[0] as number[]).length];
  const source = (i: number, from: number, to: number) => {
    const at = Math.max(0, ((i + 0.5) * from) / to - 0.5);
    const low = Math.min(Math.floor(at), from - 1);
    return { low, high: Math.min(low + 1, from - 1), t: at - low };
  };
  const lerp = (a: number, b: number, t: number) => a + t * (b - a);
  const pixel = (y: number, x: number) => (rows[y] as number[])[x] as number;
  return Array.from({ length: height }, (_, i) =>
    Array.from({ length: width }, (_, j) => {
      const [y, x] = [source(i, h, height), source(j, w, width)];
      return lerp(
        lerp(pixel(y.low, x.low), pixel(y.low, x.high), x.t),
        lerp(pixel(y.high, x.low), pixel(y.high, x.high), x.t),
        y.t,
      );
    }),
  );
}

const scaleOf = (rows: number[][]) => Math.max(...rows.flat().map(Math.abs));
/** A few times the smallest subnormal number. A relative tolerance makes no sense below it, because it would round to zero. */
const LEAST = 4 * Number.MIN_VALUE;

describe("interpolate, bilinear", () => {
  it("equals a + t(b − a) pixel by pixel, for any map and size", () => {
    fc.assert(
      fc.property(map, target, (rows, to) =>
        tidy(() => {
          const resized = interpolate(tensor(rows, { dtype: "float64" }), { size: to });
          expect(resized).toBeAllclose(reference(rows, to), { rtol: 0, atol: 1e-14 * scaleOf(rows) + LEAST });
        }),
      ),
    );
  });

  it("keeps a constant map constant, to the last bit, for any value", () => {
    fc.assert(
      fc.property(
        fc.float({ noNaN: true, noDefaultInfinity: true, min: Math.fround(-1e30), max: Math.fround(1e30) }),
        size,
        size,
        target,
        (constant, h, w, to) =>
          tidy(() => {
            for (const dtype of ["float32", "float64", "bfloat16"] as const) {
              const resized = interpolate(full([2, h, w], constant, { dtype }), { size: to });
              const expected = full([], constant, { dtype }).item();
              expect([resized.min().item(), resized.max().item()].map((x) => x + 0)).toEqual([
                expected + 0,
                expected + 0,
              ]);
            }
          }),
      ),
    );
  });

  it("leaves exact zeros between the zeros of a map after a ReLU, wherever its positive cells are", () => {
    fc.assert(
      fc.property(map, target, (rows, to) =>
        tidy(() => {
          for (const dtype of ["float32", "float64"] as const) {
            const maps = tensor(rows, { dtype }).relu();
            const touched = interpolate(maps.gt(0).to(dtype), { size: to });
            const resized = interpolate(maps, { size: to });
            expect(resized.mul(touched.eq(0).to(dtype)).abs().max().item()).toBe(0);
          }
        }),
      ),
    );
  });

  it("stays between the least and the greatest value of the map", () => {
    fc.assert(
      fc.property(map, target, (rows, to) =>
        tidy(() => {
          const resized = interpolate(tensor(rows, { dtype: "float64" }), { size: to });
          const rounding = 4e-16 * scaleOf(rows) * 2 + LEAST;
          expect(resized.min().item()).toBeGreaterThanOrEqual(Math.min(...rows.flat()) - rounding);
          expect(resized.max().item()).toBeLessThanOrEqual(Math.max(...rows.flat()) + rounding);
        }),
      ),
    );
  });

  it("resizes each map by itself, whatever the dimensions before the last two", () => {
    const x = randn([2, 3, 4, 5]);
    const all = interpolate(x, { size: [7, 9] });
    expect(all.shape).toEqual([2, 3, 7, 9]);
    expect(all.select(0, 1).select(0, 2)).toBeAllclose(interpolate(x.select(0, 1).select(0, 2), { size: [7, 9] }), {
      atol: 1e-6,
    });
    expect(interpolate(zeros([0, 4, 4]), { size: [8, 8] }).shape).toEqual([0, 8, 8]);
  });

  it("leaves a map of the target's size as it is", () => {
    const x = randn([3, 5, 4]);
    expect(interpolate(x, { size: [5, 4] })).toBeAllclose(x, { rtol: 1e-5, atol: 1e-6 });
  });

  it("has a gradient that sums to the number of target pixels", () => {
    const x = randn([1, 4, 4], { requiresGrad: true });
    const [gradient] = grad(interpolate(x, { size: [28, 28] }).sum(), [x]) as [Tensor];
    expect(gradient.sum().item()).toBeCloseTo(28 * 28, 3);
  });

  it("resizes large maps, which libtorch's kernel takes, as it does small ones", () =>
    tidy(() => {
      const x = randn([2, 5, 1200]);
      for (const [size, alignCorners] of [
        [[9, 2300], false],
        [[3, 350], true],
      ] as const) {
        const columns = (from: Tensor) => interpolate(from.to("float64"), { size, alignCorners });
        const exact = columns(x);
        const resized = interpolate(x, { size, alignCorners });
        expect(resized).toBeAllclose(exact.to("float32"), { rtol: 1e-6, atol: 1e-6 });
        // A strip of the map is small enough for the matrix product, and its pixels away from the cut are the same.
        if (alignCorners) continue;
        const strip = interpolate(x.narrow(2, 0, 12), { size: [9, 23] });
        expect(resized.narrow(2, 0, 20)).toBeAllclose(strip.narrow(2, 0, 20), { rtol: 1e-4, atol: 1e-5 });
      }
      for (const value of [0.1, -7, 1e30]) {
        const constant = interpolate(full([1, 4, 3000], value), { size: [5, 1500] });
        expect([constant.min().item(), constant.max().item()]).toEqual([Math.fround(value), Math.fround(value)]);
      }
      expect(interpolate(zeros([0, 4, 3000]), { size: [2, 1500] }).shape).toEqual([0, 2, 1500]);
    }));

  it("has a gradient of large maps, and one of that gradient", () =>
    tidy(() => {
      const x = randn([1, 2, 2000], { requiresGrad: true });
      const resized = interpolate(x, { size: [3, 900] });
      const [gradient] = grad(resized.square().sum(), [x], { createGraph: true }) as [Tensor];
      const [again] = grad(gradient.sum(), [x]) as [Tensor];
      // Each row of weights sums to one, so the elements of J'J 1 sum to the number of target pixels.
      expect(again.sum().item()).toBeAllclose(2 * 3 * 900, { rtol: 1e-5 });
    }));

  it("makes its weights once for a size and dtype", () => {
    const x = ones([1, 6, 6]);
    const run = () => tidy(() => void interpolate(x, { size: [13, 13] }));
    run();
    const before = memory().liveTensors;
    run();
    autocast({}, run);
    expect(memory().liveTensors).toBe(before);
  });
});

describe("interpolate, nearest", () => {
  it("repeats pixels", () => {
    const x = tensor([
      [1, 2],
      [3, 4],
    ]);
    expect(interpolate(x, { size: [4, 4], mode: "nearest" })).toBeAllclose([
      [1, 1, 2, 2],
      [1, 1, 2, 2],
      [3, 3, 4, 4],
      [3, 3, 4, 4],
    ]);
    expect(interpolate(ones([2, 3, 2, 2]), { size: [3, 5], mode: "nearest" }).shape).toEqual([2, 3, 3, 5]);
  });
});

describe("interpolate", () => {
  const x = ones([1, 2, 2]);

  it("with alignCorners keeps the corners, and spaces the pixels between them evenly", () =>
    tidy(() => {
      fc.assert(
        fc.property(map, target, (rows, [height, width]) =>
          tidy(() => {
            const x = tensor(rows, { dtype: "float64" });
            const y = interpolate(x, { size: [height, width], alignCorners: true });
            const [h, w] = [rows.length, (rows[0] as number[]).length];
            const at = (t: Tensor, i: number, j: number) => t.select(0, i).select(0, j).item();
            expect(at(y, 0, 0)).toBeCloseTo(at(x, 0, 0), 6);
            const last = [height > 1 ? h - 1 : 0, width > 1 ? w - 1 : 0] as const;
            expect(at(y, height - 1, width - 1)).toBeCloseTo(at(x, ...last), 6);
          }),
        ),
        { numRuns: 50 },
      );
      const ramp = interpolate(tensor([[0, 3]]), { size: [2, 4], alignCorners: true });
      expect(ramp).toBeAllclose([
        [0, 1, 2, 3],
        [0, 1, 2, 3],
      ]);
      expect(() => interpolate(ramp, { size: [2, 2], alignCorners: 1 as never })).toThrow(/alignCorners must be true/);
    }));

  it.each<[string, () => unknown, string, RegExp]>([
    ["a vector", () => interpolate(ones([3]), { size: [2, 2] }), "E_SHAPE", /x \[3\], size \[2, 2\]/],
    ["a map without pixels", () => interpolate(ones([1, 0, 2]), { size: [2, 2] }), "E_SHAPE", /x \[1,0,2\]/],
    ["a size of zero", () => interpolate(x, { size: [0, 2] }), "E_SHAPE", /size \[0, 2\]/],
    ["a negative size", () => interpolate(x, { size: [-1, 2] }), "E_SHAPE", /size \[-1, 2\]/],
    ["a fractional size", () => interpolate(x, { size: [2.5, 2] }), "E_SHAPE", /size \[2.5, 2\]/],
    ["NaN", () => interpolate(x, { size: [Number.NaN, 2] }), "E_SHAPE", /size \[NaN, 2\]/],
    ["one number for a size", () => interpolate(x, { size: 4 as never }), "E_SHAPE", /size 4/],
    ["three numbers", () => interpolate(x, { size: [1, 2, 3] as never }), "E_SHAPE", /size \[1, 2, 3\]/],
    ["no size", () => interpolate(x, {} as never), "E_SHAPE", /size undefined/],
    [
      "another mode",
      () => interpolate(x, { size: [2, 2], mode: "bicubic" as never }),
      "E_ARGUMENT",
      /mode: expected "bilinear" or "nearest", got "bicubic"/,
    ],
    [
      "integers",
      () => interpolate(ones([2, 2], { dtype: "int64" }), { size: [2, 2] }),
      "E_DTYPE",
      /floating-point dtype, got int64/,
    ],
    [
      "a number",
      () => interpolate(3 as never, { size: [2, 2] }),
      "E_ARGUMENT",
      /interpolate: x: expected a Tensor, got 3/,
    ],
  ])("refuses %s", (_, call, code, message) => {
    expect(call).toThrow(
      expect.objectContaining({ name: "BatchCamError", code, message: expect.stringMatching(message) }),
    );
  });
});
