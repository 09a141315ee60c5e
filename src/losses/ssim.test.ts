import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fixture } from "../../test/support/fixtures.ts";
import {
  autocast,
  full,
  grad,
  manualSeed,
  memory,
  rand,
  randn,
  type Tensor,
  tensor,
  tidy,
  zeros,
} from "../tensor/index.ts";
import { type SsimOptions, ssim, ssimDistance, ssimWindow } from "./distance.ts";

const PAIRS = [
  "random",
  "identical",
  "inverted",
  "noisy",
  "constant_vs_image",
  "constant_vs_constant",
  "zeros_vs_zeros",
  "zeros_vs_image",
];
/** At the other pixels the gradient is rounding noise divided by C₂ (see the manifest). */
const COMPARABLE = ["random", "inverted", "noisy"];

const sizes = ["ssim_28x28", "ssim_32x32"].flatMap((name) => PAIRS.map((pair) => ({ name, pair })));

describe.each(["float32", "float64"] as const)("ssim in %s", (dtype) => {
  it.each(sizes)("equals pytorch-msssim on $name, $pair", ({ name, pair }) =>
    tidy(() => {
      const reference = fixture(name);
      const exact = dtype === "float64";
      const read = (image: string) => reference.tensor(`input/${pair}/${image}`).to(dtype).requiresGrad_();
      const [x, y] = [read("X"), read("Y")];
      const values = ssim(x, y);
      const atol = exact ? 1e-9 : reference.case.tolerance.atol_per_pair[pair];
      expect(values).toBeAllclose(reference.reference(`out/${pair}/msssim`), { rtol: 0, atol });
      const gradients = grad(ssimDistance(x, y).mean(), [x, y]);
      for (const [i, image] of ["X", "Y"].entries()) {
        const gradient = gradients[i] as Tensor;
        expect(gradient.isfinite().all().item()).toBe(1);
        if (!COMPARABLE.includes(pair)) continue;
        const tolerance = exact ? { relL2: 1e-8 } : reference.tolerance;
        expect(gradient).toHaveRelL2(reference.reference(`grad/${pair}/msssim_${image}`), tolerance);
      }
    }),
  );

  it.each(sizes)("agrees with scikit-image's Gaussian weights on $name, $pair", ({ name, pair }) =>
    tidy(() => {
      const reference = fixture(name);
      const value = ssim(
        reference.tensor(`input/${pair}/X`).to("float64"),
        reference.tensor(`input/${pair}/Y`).to("float64"),
      );
      // The float32 window of pytorch-msssim does not sum to exactly one, which affects the result for constant images.
      expect(value).toBeAllclose(reference.tensor(`out64/${pair}/skimage_gaussian`), { rtol: 0, atol: 2e-5 });
    }),
  );

  it("is the luminance of the constants for constant images", () =>
    tidy(() => {
      for (const [a, b] of CONSTANTS) {
        const value = ssim(full([1, 20, 17], a, { dtype }), full([1, 20, 17], b, { dtype })).item();
        // For float64 images the window is that of pytorch-msssim, whose sum is not exactly one.
        const atol = dtype === "float32" ? 2e-7 : 2e-5;
        expect(value).toBeAllclose((2 * a * b + 1e-4) / (a * a + b * b + 1e-4), { rtol: 0, atol });
      }
    }));

  it.each([0, 1, -1000, 1e6])("keeps its digits and its range for an offset of %d", (offset) =>
    tidy(() => {
      manualSeed(3);
      const [x, y] = [rand([2, 16, 18]).add(offset).to(dtype), rand([2, 16, 18]).add(offset).to(dtype)];
      const values = Array.from(ssim(x, y).data(), Number);
      const pixels = (images: Tensor, n: number) => images.select(0, n).data();
      const expected = [0, 1].map((n) => byHand(pixels(x, n), pixels(y, n), { height: 16, width: 18, window: 11 }));
      expect(values).toBeAllclose(expected, { rtol: 0, atol: 1e-6 });
      for (const value of values) expect(Math.abs(value)).toBeLessThanOrEqual(1);
    }),
  );
});

/** Pairs of constants: close, far apart, equal, and zero. */
const CONSTANTS = [
  [0.6, 0.601],
  [0.2, 0.9],
  [0.6, 0.6],
  [0, 1],
  [1000, 1000.5],
] as const;

it("of constants in float64 is within 3e-5 of pytorch-msssim's formula with its window, and within 2e-5 of the exact value, for every odd window", () =>
  tidy(() => {
    for (let window = 1; window <= 33; window += 2) {
      // The window as pytorch-msssim computes it, in float32; its sum is not exactly one.
      const raw = Array.from({ length: window }, (_, i) =>
        Math.fround(Math.exp(Math.fround(-((i - (window - 1) / 2) ** 2) / 4.5))),
      );
      const total = Math.fround(raw.reduce((sum, tap) => sum + tap, 0));
      const sum = raw.reduce((all, tap) => all + Math.fround(tap / total), 0) ** 2;
      for (const [a, b] of [
        [1, 0.3],
        [0.6, 0.601],
        [0, 1],
      ] as const) {
        const [mx, my] = [a * sum, b * sum];
        const [variances, covariance] = [(a * a + b * b) * sum - mx * mx - my * my, a * b * sum - mx * my];
        const expected =
          ((2 * mx * my + 1e-4) * (2 * covariance + 9e-4)) / ((mx * mx + my * my + 1e-4) * (variances + 9e-4));
        const [x, y] = [a, b].map((value) => full([1, 34, 33], value, { dtype: "float64" })) as [Tensor, Tensor];
        const value = ssim(x, y, { window });
        expect(value).toBeAllclose([expected], { rtol: 0, atol: 3e-5 });
        expect(value).toBeAllclose([(2 * a * b + 1e-4) / (a * a + b * b + 1e-4)], { rtol: 0, atol: 2e-5 });
      }
    }
  }));

describe("ssim", () => {
  it("takes the mean over channels", () =>
    tidy(() => {
      const reference = fixture("ssim_multichannel");
      const [x, y] = [reference.tensor("input/X"), reference.tensor("input/Y")];
      expect(ssim(x, y)).toBeAllclose(reference.reference("out/msssim"), reference.tolerance);
      expect(ssim(x.to("float64"), y.to("float64"))).toBeAllclose(reference.reference("out/msssim"), { rtol: 1e-10 });
    }));

  it("has the window of pytorch-msssim, to float32's last digit", () =>
    tidy(() => {
      const dark = zeros([1, 11, 11], { dtype: "float64" });
      const taps = Array.from({ length: 11 }, (_, i) => {
        const point = dark.clone();
        point.narrow(1, i, 1).narrow(2, i, 1).fill_(1);
        // If one image is zero and C₂ is much larger than all variances, SSIM is C₁ / (μ² + C₁), where μ is the
        // window's value at the bright pixel.
        const mean = Math.sqrt(1e-12 / ssim(point, dark, { k1: 1e-6, k2: 1e9 }).item() - 1e-12);
        return Math.sqrt(mean);
      });
      expect(taps).toBeAllclose(fixture("ssim_multichannel").tensor("out64/window"), { rtol: 2e-8 });
    }));

  it.each([
    { height: 8, width: 8, window: 7 },
    { height: 6, width: 9, window: 3 },
    { height: 1, width: 5, window: 1 },
  ])("is its formula, window by window, for $height x $width and a window of $window", ({ height, width, window }) =>
    tidy(() => {
      const [x, y] = [rand([1, height, width], { dtype: "float64" }), rand([1, height, width], { dtype: "float64" })];
      const expected = byHand(x.data(), y.data(), { height, width, window });
      expect(ssim(x, y, { window }).item()).toBeAllclose(expected, { atol: 1e-6 }); // the window is float32
    }),
  );

  it("is 1 for equal images, symmetric, and within [−1, 1]", () =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 24 }), fc.integer({ min: 1, max: 24 }), (height, width) =>
        tidy(() => {
          const [x, y] = [
            rand([3, height, width], { dtype: "float64" }),
            rand([3, height, width], { dtype: "float64" }),
          ];
          expect(ssim(x, x)).toBeAllclose([1, 1, 1], { rtol: 1e-9 });
          expect(ssimDistance(x, x)).toBeAllclose([0, 0, 0], { atol: 1e-9 });
          expect(ssim(x, y)).toBeAllclose(ssim(y, x), { rtol: 1e-12, atol: 1e-14 });
          expect(ssim(x, y).abs().max().item()).toBeLessThanOrEqual(1);
        }),
      ),
      { numRuns: 30 },
    ));

  it("takes the largest odd window that fits images smaller than 11 pixels", () => {
    expect([
      ssimWindow(28, 28),
      ssimWindow(11, 40),
      ssimWindow(10, 28),
      ssimWindow(8, 7),
      ssimWindow(2, 9),
      ssimWindow(1, 1),
    ]).toEqual([11, 11, 9, 7, 1, 1]);
    tidy(() => {
      const [x, y] = [rand([2, 8, 20]), rand([2, 8, 20])];
      expect(ssim(x, y)).toBeAllclose(ssim(x, y, { window: 7 }), { rtol: 0, atol: 0 });
      expect(ssim(x, y, { window: 5 })).not.toBeAllclose(ssim(x, y, { window: 7 }), { rtol: 1e-3 });
    });
  });

  it("scales with the data range, and changes with k1, k2 and sigma", () => {
    manualSeed(5);
    tidy(() => {
      const [x, y] = [rand([2, 16, 16], { dtype: "float64" }), rand([2, 16, 16], { dtype: "float64" })];
      const plain = ssim(x, y);
      expect(ssim(x.mul(255), y.mul(255), { dataRange: 255 })).toBeAllclose(plain, { rtol: 1e-9 });
      for (const options of [{ k1: 0.5 }, { k2: 0.5 }, { sigma: 3 }, { dataRange: 2 }]) {
        expect(ssim(x, y, options)).not.toBeAllclose(plain, { rtol: 1e-3 });
      }
    });
  });

  it("is float32 under autocast and from 16-bit images", () =>
    tidy(() => {
      const [x, y] = [rand([2, 28, 28]), rand([2, 28, 28])];
      expect(autocast({ dtype: "bfloat16" }, () => ssim(x, y)).equal(ssim(x, y))).toBe(true);
      const [halfX, halfY] = [x.to("bfloat16"), y.to("bfloat16")];
      expect(ssim(halfX, halfY).equal(ssim(halfX.to("float32"), halfY.to("float32")))).toBe(true);
    }));

  it("passes NaN on, in its own image alone", () =>
    tidy(() => {
      const x = rand([2, 12, 12]);
      x.narrow(0, 1, 1).narrow(1, 4, 1).fill_(Number.NaN);
      expect([
        ...ssim(x, rand([2, 12, 12]))
          .isnan()
          .data(),
      ]).toEqual([0, 1]);
    }));

  it("keeps nothing, whatever the sizes", () => {
    const before = memory();
    for (let i = 0; i < 20; i++) tidy(() => void ssim(rand([1, 19 + i, 90 - i]), rand([1, 19 + i, 90 - i])));
    expect(memory()).toMatchObject({ liveTensors: before.liveTensors, bytes: before.bytes });
  });

  it("gives large images, computed strip by strip, the value of their windows", () => {
    manualSeed(8);
    tidy(() => {
      const size = { height: 90, width: 77 };
      const [x, y] = [rand([1, 90, 77], { dtype: "float64" }), rand([1, 90, 77], { dtype: "float64" })];
      const expected = byHand(x.data(), y.data(), { ...size, window: 11 });
      expect(ssim(x, y).item()).toBeAllclose(expected, { rtol: 0, atol: 1e-6 }); // the window is float32
      // 700 images have more pixels than are processed at a time.
      const many = ssim(x.expand([700, 90, 77]), y.expand([700, 90, 77]));
      const alone = ssim(x, y).item();
      expect([many.min().item(), many.max().item()]).toBeAllclose([alone, alone], { rtol: 0, atol: 1e-12 });
    });
  });

  it.each([0, 50])("has the first and second derivatives of finite differences, offset %d", (offset) =>
    tidy(() => {
      manualSeed(4);
      const x = rand([1, 7, 9], { dtype: "float64" }).add(offset).requiresGrad_();
      const y = rand([1, 7, 9], { dtype: "float64" }).add(offset).requiresGrad_();
      const [u, v] = [randn([1, 7, 9], { dtype: "float64" }), randn([1, 7, 9], { dtype: "float64" })];
      const along = (a: Tensor, b: Tensor) => {
        const gradients = grad(ssim(a, b, { window: 5 }), [a, b], { createGraph: true }) as [Tensor, Tensor];
        return gradients[0].mul(u).sum().add(gradients[1].mul(v).sum());
      };
      const at = (step: number, of: (a: Tensor, b: Tensor) => Tensor) => {
        const moved = (t: Tensor, direction: Tensor) => t.detach().add(direction.mul(step)).requiresGrad_();
        return of(moved(x, u), moved(y, v)).item();
      };
      const slope = (of: (a: Tensor, b: Tensor) => Tensor) => (at(1e-5, of) - at(-1e-5, of)) / 2e-5;
      const first = along(x, y);
      expect(first.item()).toBeAllclose(
        slope((a, b) => ssim(a, b, { window: 5 })),
        { rtol: 1e-6 },
      );
      const [sx, sy] = grad(first, [x, y]) as [Tensor, Tensor];
      expect(sx.mul(u).sum().add(sy.mul(v).sum()).item()).toBeAllclose(slope(along), { rtol: 1e-5 });
    }),
  );
});

interface Layout {
  height: number;
  width: number;
  window: number;
}

/** SSIM computed by loops, in float64. */
function byHand(
  x: ArrayLike<number | bigint>,
  y: ArrayLike<number | bigint>,
  { height, width, window }: Layout,
): number {
  const tap = (i: number) => Math.exp(-((i - (window - 1) / 2) ** 2) / 4.5);
  const places: number[] = [];
  for (let top = 0; top + window <= height; top++) {
    for (let left = 0; left + window <= width; left++) {
      const pixels = Array.from({ length: window * window }, (_, i) => {
        const [row, column] = [Math.floor(i / window), i % window];
        const at = (top + row) * width + left + column;
        return { weight: tap(row) * tap(column), x: Number(x[at]), y: Number(y[at]) };
      });
      const total = pixels.reduce((sum, { weight }) => sum + weight, 0);
      const mean = (of: (pixel: (typeof pixels)[0]) => number) =>
        pixels.reduce((sum, pixel) => sum + pixel.weight * of(pixel), 0) / total;
      const [mx, my] = [mean((p) => p.x), mean((p) => p.y)];
      const variances = mean((p) => (p.x - mx) ** 2 + (p.y - my) ** 2);
      const covariance = mean((p) => (p.x - mx) * (p.y - my));
      places.push(((2 * mx * my + 1e-4) * (2 * covariance + 9e-4)) / ((mx * mx + my * my + 1e-4) * (variances + 9e-4)));
    }
  }
  return places.reduce((sum, value) => sum + value, 0) / places.length;
}

describe("ssim refuses", () => {
  const image = (...shape: number[]) => full(shape, 0.5);

  it.each<[string, () => [Tensor, Tensor], string, RegExp]>([
    [
      "shapes that disagree",
      () => [image(2, 16, 16), image(2, 16, 15)],
      "E_SHAPE",
      /one shape .* x \[2, 16, 16\] and y \[2, 16, 15\]/,
    ],
    ["batches that would broadcast", () => [image(2, 16, 16), image(1, 16, 16)], "E_SHAPE", /one shape/],
    [
      "a rank it does not know",
      () => [image(16, 16), image(16, 16)],
      "E_SHAPE",
      /must be \(N, H, W\) or \(N, C, H, W\), got \[16, 16\]/,
    ],
    ["an empty batch", () => [image(0, 16, 16), image(0, 16, 16)], "E_SHAPE", /with values, got x \[0, 16, 16\]/],
    [
      "integers",
      () => [image(1, 16, 16), zeros([1, 16, 16], { dtype: "uint8" })],
      "E_DTYPE",
      /y must have a floating-point dtype, got uint8: convert it/,
    ],
    ["what is no tensor", () => [image(1, 2, 2), 3 as unknown as Tensor], "E_ARGUMENT", /y: expected a Tensor, got 3/],
  ])("%s", (_, images, code, message) => {
    expect(() => tidy(() => ssim(...images()))).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
    expect(() => tidy(() => ssim(...images()))).toThrow(/^ssim: /);
  });

  it.each<[SsimOptions, RegExp]>([
    [{ window: 8 }, /window must be odd, >= 1 and fit 9x12, got 8/],
    [{ window: 11 }, /window must be odd, >= 1 and fit 9x12, got 11/],
    [{ window: -1 }, /window must be odd/],
    [{ window: 2.5 }, /window must be odd/],
    [{ window: Number.NaN }, /window must be odd/],
    [{ sigma: 0 }, /sigma must be a number > 0, got 0/],
    [{ dataRange: -1 }, /dataRange must be a number > 0, got -1/],
    [{ k1: 0 }, /k1 must be a number > 0/],
    [{ k2: "3" as unknown as number }, /k2 must be a number > 0, got "3"/],
  ])("the options %o", (options, message) => {
    const expected = expect.objectContaining({ code: "E_ARGUMENT", message: expect.stringMatching(message) });
    expect(() => tidy(() => ssim(image(1, 9, 12), image(1, 9, 12), options))).toThrow(expected);
  });

  it("disposed images, by name", () => {
    const gone = tensor([[[1]]]);
    gone.dispose();
    expect(() => ssim(gone, gone)).toThrow(
      expect.objectContaining({ code: "E_DISPOSED", message: expect.stringMatching(/^ssim: x: /) }),
    );
  });
});
