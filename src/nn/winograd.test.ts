import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { apart, channelsLast, double, fresh } from "../../test/support/apart.ts";
import { kernelsRunBy } from "../../test/support/kernels-run.ts";
import { convolution, convRelu } from "../tensor/fused-ops.ts";
import {
  capabilities,
  conv2d,
  getNumThreads,
  grad,
  manualSeed,
  noGrad,
  ones,
  randn,
  setNumThreads,
  type Tensor,
  tensor,
} from "../tensor/index.ts";

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

/** The convolution of float64, and its result in plain bfloat16 arithmetic: weights and result are rounded. */
function inBothPrecisions(x: Tensor, w: Tensor, padding: number): { exact: Tensor; plain: Tensor } {
  const run = (weight: Tensor) => conv2d(double(x), double(weight), null, { stride: 1, padding });
  return { exact: run(w), plain: run(w.to("bfloat16")).to("bfloat16") };
}

/** The error of `convolution` in bfloat16, divided by that of plain bfloat16 arithmetic. */
function errorOverPlain(x: Tensor, w: Tensor, padding = 1): number {
  return noGrad(() => {
    const { exact, plain } = inBothPrecisions(x, w, padding);
    return apart(convolution(x, w, { stride: 1, padding }), exact) / apart(plain, exact);
  });
}

describe("convolution by 3x3 in bfloat16", () => {
  const bfloat16Maps = (...sizes: [number, number, number, number]) => channelsLast(...sizes).to("bfloat16");

  it.skipIf(capabilities().kernels === "tiles")("runs the Winograd kernels in all three passes", () => {
    const [x, w] = [fresh(bfloat16Maps(3, 32, 12, 9)), fresh(randn([64, 32, 3, 3]))];
    const names = kernelsRunBy(() => measured(x, w, { padding: 1, run: convolution }));
    expect(names).toContain("batch_cam::winograd");
    expect(names.join()).not.toContain("mkldnn");
  });

  // A pixel's noise decides how close the ratio comes to its mean, which is 0.9 to 1.1 for these values.
  it.each([
    { what: "normal values", of: (x: Tensor) => x },
    { what: "rectified values", of: (x: Tensor) => x.relu() },
    { what: "channels of different size", of: (x: Tensor) => x.mul(randn([1, x.sizes[1] ?? 0, 1, 1]).exp()) },
    {
      what: "images of different size",
      of: (x: Tensor) =>
        x.mul(
          randn([x.sizes[0] ?? 0, 1, 1, 1])
            .mul(3)
            .exp(),
        ),
    },
    { what: "few values that are not zero", of: (x: Tensor) => x.mul(randn(x.sizes).gt(1)) },
  ])("is as accurate as plain bfloat16 arithmetic: $what", ({ of }) => {
    manualSeed(5);
    for (const [inner, outer] of [
      [64, 96],
      [160, 32],
    ] as const) {
      const x = of(channelsLast(6, inner, 14, 13)).to("bfloat16");
      expect(errorOverPlain(x, randn([outer, inner, 3, 3]))).toBeLessThan(1.3);
    }
  });

  // Their scales follow from the largest magnitude, which is a looser bound than a norm.
  it.each([1e-28, 1e28])("keeps values whose squares float32 cannot hold: times %s", (size) => {
    manualSeed(5);
    const [x, w] = [channelsLast(6, 64, 14, 13), randn([96, 64, 3, 3])];
    expect(errorOverPlain(x.mul(size).to("bfloat16"), w)).toBeLessThan(2);
    expect(errorOverPlain(x.to("bfloat16"), w.mul(size))).toBeLessThan(2);
  });

  it("is as accurate for any shape, weights of any size and channels in any multiple of 32 and 48", () => {
    const channels = fc.constantFrom(32, 48, 64, 96, 192, 256);
    const shapes = fc
      .record({
        images: fc.integer({ min: 2, max: 4 }),
        inner: channels,
        outer: channels,
        height: fc.integer({ min: 3, max: 11 }),
        width: fc.integer({ min: 3, max: 11 }),
        padding: fc.integer({ min: 0, max: 2 }),
        size: fc.constantFrom(1e-12, 1e-3, 1, 1e12),
      })
      .filter(({ images, height, width }) => images * Math.ceil(height / 4) * Math.ceil(width / 4) >= 8);
    fc.assert(
      fc.property(shapes, ({ images, inner, outer, height, width, padding, size }) => {
        manualSeed(6);
        const w = randn([outer, inner, 3, 3]).mul(size);
        expect(errorOverPlain(bfloat16Maps(images, inner, height, width), w, padding)).toBeLessThan(1.4);
      }),
      { numRuns: 30 },
    );
  });

  it("overflows for no tile: signs that make the transforms of tiles and weights as large as they can be", () => {
    // The signs of the rows of the two transforms (kernels/winograd.h), and the rows of the weight's.
    const ofTiles = [
      [1, 0, -1, 0, 1, 0],
      [0, -1, -1, 1, 1, 0],
      [0, 1, -1, -1, 1, 0],
      [0, -1, -1, 1, 1, 0],
      [0, 1, -1, -1, 1, 0],
      [0, 1, 0, -1, 0, 1],
    ];
    const ofWeights = [
      [1, 0, 0],
      [1, 0.75, 0.5625],
      [1, -0.75, 0.5625],
      [1, 1.5, 2.25],
      [1, -1.5, 2.25],
      [0, 0, 1],
    ];
    const outer = (rows: number[][]) =>
      rows.flatMap((a) => rows.map((b) => a.flatMap((v) => b.map((w) => v * w)))) as number[][];
    const [tiles, weights] = [outer(ofTiles), outer(ofWeights)];
    const x = tensor(Float32Array.from(tiles.flat()))
      .view([36, 6, 6, 1])
      .mul(ones([1, 1, 1, 64]))
      .permute([0, 3, 1, 2]);
    const w = tensor(Float32Array.from([...weights, ...weights.slice(0, 28)].flat())).view([64, 1, 3, 3]);
    const all = w.mul(ones([1, 64, 1, 1]));
    const exact = conv2d(double(x), double(all));
    // All channels are equal, so that their roundings add up. An overflow would change a value as a whole.
    for (const sign of [1, -1])
      expect(
        apart(
          noGrad(() => convolution(x.mul(sign).to("bfloat16"), all, { stride: 1, padding: 0 })),
          exact.mul(sign),
        ),
      ).toBeLessThan(6e-3);
  });

  it("gives the same bits with any number of threads", () => {
    for (const [images, channels, side] of [
      [6, 64, 14],
      [9, 256, 4],
    ] as const) {
      manualSeed(2);
      const [x, w] = [fresh(bfloat16Maps(images, channels, side, side)), fresh(randn([channels, channels, 3, 3]))];
      const all = [1, 2, 3].map((count) => {
        setNumThreads(count);
        const y = convolution(x, w, { stride: 1, padding: 1 });
        return [y, ...(grad(y.square().sum(), [x, w]) as Tensor[])];
      });
      for (const others of all.slice(1))
        for (const [i, t] of others.entries()) expect(apart(t, all[0]?.[i] as Tensor)).toBe(0);
    }
  });

  it("hides no NaN and no infinity, in images and in weights", () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const x = channelsLast(2, 32, 9, 9).contiguous();
      x.narrow(0, 0, 1).narrow(2, 3, 1).narrow(3, 2, 1).fill_(value);
      const w = randn([32, 32, 3, 3]);
      const run = () => noGrad(() => convolution(x.to("bfloat16"), w, { stride: 1, padding: 1 }));
      expect(run().narrow(0, 0, 1).narrow(2, 2, 3).narrow(3, 1, 3).isfinite().any().item()).toBeFalsy();
      expect(run().narrow(0, 1, 1).isfinite().all().item()).toBeTruthy();
      w.narrow(0, 5, 1).narrow(1, 7, 1).fill_(value);
      expect(run().narrow(1, 5, 1).isfinite().any().item()).toBeFalsy();
      expect(run().narrow(0, 1, 1).narrow(1, 6, 4).isfinite().all().item()).toBeTruthy();
    }
  });
});
