import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { apart, channelsLast, double, fresh } from "../../test/support/apart.ts";
import { kernelsRunBy } from "../../test/support/kernels-run.ts";
import { convolution, convRelu } from "../tensor/fused-ops.ts";
import { conv2d, getNumThreads, grad, manualSeed, noGrad, randn, setNumThreads, type Tensor } from "../tensor/index.ts";

const threads = getNumThreads();
afterEach(() => {
  setNumThreads(threads);
});

interface Shape {
  images: number;
  inner: number;
  outer: number;
  height: number;
  width: number;
  padding: number;
}

/** Values, both gradients, and the derivatives of both gradients along random directions. */
function measured(x: Tensor, w: Tensor, { padding, run }: { padding: number; run: typeof convolution }): Tensor[] {
  const y = run(x, w, { stride: 1, padding });
  manualSeed(9);
  const along = (t: Tensor) => randn(t.sizes).to(x.dtype);
  const dy = fresh(along(y));
  const [dx, dw] = grad(y, [x, w], { gradOutputs: [dy], createGraph: true }) as [Tensor, Tensor];
  const ofInput = grad(dx, [w, dy], { gradOutputs: [along(dx)], retainGraph: true }) as Tensor[];
  const ofWeight = grad(dw, [x, dy], { gradOutputs: [along(dw)] }) as Tensor[];
  return [y, dx, dw, ...ofInput, ...ofWeight];
}

const plainConvolution: typeof convolution = (x, w, options) => conv2d(x, w, null, options);

function furthest({ images, inner, outer, height, width, padding }: Shape): number {
  manualSeed(8);
  const [x, w] = [fresh(channelsLast(images, inner, height, width)), fresh(randn([outer, inner, 3, 3]))];
  const found = measured(x, w, { padding, run: convolution });
  const wanted = measured(fresh(double(x)), fresh(double(w)), { padding, run: plainConvolution });
  return Math.max(...found.map((t, i) => apart(t, wanted[i] as Tensor)));
}

describe("convolution by 3x3 in float32", () => {
  it("runs the Winograd kernels in all three passes", () => {
    const names = kernelsRunBy(() => furthest({ images: 3, inner: 32, outer: 64, height: 12, width: 9, padding: 1 }));
    expect(names).toContain("batch_cam::winograd");
  });

  it("has float64's values, gradients and second derivatives for any map, odd edges and paddings included", () => {
    const channels = fc.constantFrom(32, 48, 64, 96, 128);
    const shapes = fc
      .record({
        images: fc.integer({ min: 1, max: 3 }),
        inner: channels,
        outer: channels,
        height: fc.integer({ min: 1, max: 11 }),
        width: fc.integer({ min: 1, max: 11 }),
        padding: fc.integer({ min: 0, max: 2 }),
      })
      .filter(({ height, width, padding }) => Math.min(height, width) + 2 * padding >= 3);
    fc.assert(
      fc.property(shapes, (shape) => {
        expect(furthest(shape)).toBeLessThan(2e-6);
      }),
      { numRuns: 40 },
    );
  });

  it.each([
    { why: "more tiles than a block and a chunk hold", images: 13, inner: 32, outer: 64, height: 28, width: 27 },
    { why: "a weight that outweighs its maps", images: 5, inner: 288, outer: 256, height: 4, width: 5 },
    {
      why: "a last piece of the inner channels that is not full",
      images: 2,
      inner: 96,
      outer: 256,
      height: 6,
      width: 3,
    },
  ])("has them for $why", ({ why: _, ...shape }) => {
    expect(furthest({ ...shape, padding: 1 })).toBeLessThan(3e-6);
  });

  it("gives the same bits with any number of threads, a weight's gradient too", () => {
    for (const sizes of [
      { maps: [6, 64, 13, 14], outer: 96 },
      { maps: [9, 256, 4, 4], outer: 256 },
    ] as const) {
      manualSeed(2);
      const [images, inner, height, width] = sizes.maps;
      const [x, w] = [fresh(channelsLast(images, inner, height, width)), fresh(randn([sizes.outer, inner, 3, 3]))];
      const all = [1, 2, 3].map((count) => {
        setNumThreads(count);
        const y = convolution(x, w, { stride: 1, padding: 1 });
        return [y, ...(grad(y.square().sum(), [x, w]) as Tensor[])];
      }) as [Tensor[], Tensor[], Tensor[]];
      for (const others of all.slice(1))
        for (const [i, t] of others.entries())
          expect(
            t
              .sub(all[0][i] as Tensor)
              .abs()
              .max()
              .item(),
          ).toBe(0);
    }
  });

  it("adds a bias, and rectifies and pools after it", () => {
    manualSeed(4);
    const [x, w, bias] = [channelsLast(2, 32, 10, 12), randn([64, 32, 3, 3]), randn([64])];
    const y = noGrad(() => convRelu(x, w, bias, { stride: 1, padding: 1, pool: true }));
    const wanted = noGrad(() => conv2d(double(x), double(w), double(bias), { stride: 1, padding: 1 }));
    const pooled = wanted.relu().view([2, 64, 5, 2, 6, 2]).amax([3, 5]);
    expect(apart(y, pooled)).toBeLessThan(2e-6);
  });

  it("hides no NaN and no infinity", () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const x = channelsLast(1, 32, 6, 6).contiguous();
      x.narrow(2, 3, 1).narrow(3, 2, 1).fill_(value);
      const y = noGrad(() => convolution(x, randn([32, 32, 3, 3]), { stride: 1, padding: 1 }));
      // These are the outputs whose kernels cover the pixel.
      expect(y.narrow(2, 2, 3).narrow(3, 1, 3).isfinite().any().item()).toBeFalsy();
    }
  });
});
