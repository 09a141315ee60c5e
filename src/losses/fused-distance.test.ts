import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { kernelsRunBy } from "../../test/support/kernels-run.ts";
import { setFusedTraining } from "../nn/index.ts";
import { cat, full, grad, manualSeed, ones, rand, type Tensor, tidy, zeros } from "../tensor/index.ts";
import { distanceOf, meanDistance } from "./distance.ts";

afterEach(() => {
  setFusedTraining(true);
});

const NAMES = ["l1", "l2", "ssim"] as const;
const length = (t: Tensor): number => t.to("float64").square().sum().sqrt().item();
const apart = (a: Tensor, b: Tensor): number =>
  length(a.to("float64").sub(b.to("float64"))) / Math.max(length(b), 1e-9);

function measured(name: (typeof NAMES)[number], [x, y]: [Tensor, Tensor], fused: boolean) {
  setFusedTraining(fused);
  const value = meanDistance("test", distanceOf(name), [x, y]);
  const [first] = grad(value, [x], { createGraph: true }) as [Tensor];
  const [alone] = grad(value, [x], { retainGraph: true }) as [Tensor];
  const [second] = grad(first.square().sum(), [x], { allowUnused: true });
  return { value, first, alone, second: second ?? zeros(x.sizes) };
}

describe("the SSIM distance by one kernel", () => {
  const fused = (x: Tensor, y: Tensor) => meanDistance("test", distanceOf("ssim"), [x.requiresGrad_(), y]).item();

  it("is one minus the luminance of the constants for constant images", () =>
    tidy(() => {
      for (const [a, b] of [
        [0.6, 0.601],
        [0.2, 0.9],
        [0.6, 0.6],
        [0, 1],
        [1000, 1000.5],
      ] as const) {
        const expected = 1 - (2 * a * b + 1e-4) / (a * a + b * b + 1e-4);
        expect(fused(full([3, 20, 33], a), full([3, 20, 33], b))).toBeAllclose(expected, { rtol: 0, atol: 4e-7 });
      }
    }));

  it.each([0, 3, -1000, 1e6])("keeps its digits, its range and its derivatives for an offset of %d", (offset) =>
    tidy(() => {
      manualSeed(3);
      const [x, y] = [rand([2, 16, 40]).add(offset), rand([2, 16, 40]).add(offset)];
      const exact = measured("ssim", [x.to("float64").requiresGrad_(), y.to("float64")], false);
      const kernel = measured("ssim", [x.requiresGrad_(), y], true);
      expect(kernel.value.item()).toBeAllclose(exact.value.item(), { rtol: 0, atol: 2e-6 });
      for (const order of ["first", "alone", "second"] as const)
        expect(apart(kernel[order], exact[order]), order).toBeLessThan(1e-4);
    }),
  );

  it("is right where images are constant in parts", () =>
    tidy(() => {
      const halves = (a: number, b: number) => cat([full([1, 40, 30], a), full([1, 40, 30], b)], 2);
      const [x, y] = [halves(0, 1), halves(0.001, 0.999)];
      const exact = distanceOf("ssim")(x.to("float64"), y.to("float64")).item();
      expect(fused(x, y)).toBeAllclose(exact, { rtol: 0, atol: 2e-7 });
    }));
});

describe.each(NAMES)("the %s distance by one kernel", (name) => {
  it("is one kernel, and operators where it is switched off", () => {
    const pair: [Tensor, Tensor] = [rand([2, 12, 13]).requiresGrad_(), rand([2, 12, 13])];
    const [plain, fused] = [false, true].map((on) => kernelsRunBy(() => measured(name, pair, on)).join());
    expect(fused).toContain("batch_cam::map_distance");
    // batch_cam::ssim is not a fused kernel: it is composed of libtorch's operators.
    expect(plain?.replaceAll("batch_cam::ssim", "")).not.toContain("batch_cam::");
  });

  it("has the value and both derivatives of the plain one, for images of any size", () => {
    const side = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), side, side, fc.integer(), (count, height, width, seed) =>
        tidy(() => {
          manualSeed(Math.abs(seed));
          const x = rand([count, height, width]).requiresGrad_();
          const y = rand([count, height, width]);
          const [fused, plain] = [true, false].map((on) => measured(name, [x, y], on)) as [
            ReturnType<typeof measured>,
            ReturnType<typeof measured>,
          ];
          expect(Math.abs(fused.value.item() - plain.value.item())).toBeLessThan(5e-6);
          // With windows of one pixel, the variance is only rounding noise.
          if (name === "ssim" && Math.min(height, width) < 3) return;
          for (const order of ["first", "alone", "second"] as const)
            expect(apart(fused[order], plain[order]), order).toBeLessThan(2e-4);
        }),
      ),
      { numRuns: 25 },
    );
  });

  it("is zero for equal images, without a gradient", () => {
    const x = rand([2, 13, 12]).requiresGrad_();
    const value = meanDistance("test", distanceOf(name), [x, x.detach()]);
    expect(Math.abs(value.item())).toBeLessThan(1e-6);
    expect((grad(value, [x])[0] as Tensor).abs().max().item()).toBeLessThan(1e-6);
  });

  it("leaves a gradient for the second image to the plain one", () => {
    const [x, y] = [rand([2, 9, 9]), rand([2, 9, 9]).requiresGrad_()];
    const slope = grad(meanDistance("test", distanceOf(name), [x, y]), [y])[0] as Tensor;
    expect(slope.abs().max().item()).toBeGreaterThan(0);
  });

  it("shows NaN", () => {
    const x = ones([2, 12, 12])
      .div(zeros([1]))
      .sub(ones([1]).div(zeros([1])));
    expect(meanDistance("test", distanceOf(name), [x, ones([2, 12, 12])]).item()).toBeNaN();
  });
});
