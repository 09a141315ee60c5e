import { afterEach, describe, expect, it } from "vitest";
import { apart, channelsLast, double, fresh } from "../../test/support/apart.ts";
import { kernelsRunBy } from "../../test/support/kernels-run.ts";
import { convolution } from "../tensor/fused-ops.ts";
import { autocast, conv2d, grad, manualSeed, noGrad, ones, randn, type Tensor, tensor } from "../tensor/index.ts";
import { convRelu } from "./fused/conv-relu.ts";
import { withSecondDerivatives } from "./fused/second-derivatives.ts";
import { Conv2d, MaxPool2d, ReLU, setFusedInference, setFusedTraining } from "./index.ts";
import { recordOutputs } from "./recorder.ts";

afterEach(() => {
  setFusedTraining(true);
  setFusedInference(true);
});

interface Shape {
  images: number;
  inner: number;
  outer: number;
  height: number;
  width: number;
  kernel: number;
  stride: number;
  padding: number;
}

const shape = (
  [images, inner, height, width]: [number, number, number, number],
  [outer, kernel, stride, padding]: [number, number, number, number],
): Shape => ({ images, inner, height, width, outer, kernel, stride, padding });

/**
 * Shapes with whole and partial tiles, maps that threads divide by images and by columns, strides, paddings, and kernel
 * positions that are entirely outside the image.
 */
const SHAPES = [
  shape([3, 16, 12, 13], [32, 3, 1, 1]),
  shape([1, 48, 28, 28], [16, 3, 1, 1]),
  shape([2, 32, 15, 11], [48, 5, 1, 2]),
  shape([2, 32, 14, 12], [16, 3, 1, 0]),
  shape([5, 64, 7, 7], [32, 3, 1, 1]),
  shape([2, 16, 28, 27], [32, 3, 2, 1]),
  shape([3, 144, 5, 6], [16, 3, 2, 1]),
  shape([2, 32, 9, 8], [16, 1, 1, 0]),
  shape([2, 32, 9, 8], [64, 1, 2, 0]),
  shape([2, 10, 12, 12], [20, 3, 1, 1]),
  shape([2, 1, 12, 11], [32, 3, 1, 1]),
  shape([3, 256, 4, 5], [272, 3, 1, 1]),
  shape([1, 16, 1, 1], [16, 3, 1, 1]),
  shape([3, 64, 14, 2], [128, 3, 2, 1]),
];

const named = SHAPES.map((of) => ({ ...of, name: JSON.stringify(of) }));
// For results one pixel wide, libtorch's own bfloat16 kernel reads uninitialised memory, so there is no reference to
// compare with.
const comparable = named.filter(({ width }) => width !== 2);

/**
 * On processors without AVX-512, where oneDNN has no kernel for it, libtorch sums the gradient of an input pixel in bfloat16: the k²
 * values that the patches contain for the pixel, one after the other. The j-th partial sum has a magnitude of √j and is rounded, so that
 * the errors add up to √(1 + k²/2) times one rounding error. The root mean square of one rounding error is 0.4 units (2⁻⁸); the factor
 * 0.6 leaves a margin for small maps.
 */
const sumInBfloat16 = ({ kernel }: Shape) => 0.6 * 2 ** -8 * Math.sqrt(1 + kernel ** 2 / 2);

// In bfloat16 the bound is one unit, which is two and a half times the typical rounding error: both the result and an
// operand that is itself a result are rounded.
describe.each([
  { dtype: "float32", within: 2e-6, ofInput: () => 2e-6 },
  { dtype: "bfloat16", within: 4e-3, ofInput: sumInBfloat16 },
] as const)("convolution in $dtype", ({ dtype, within, ofInput: inputWithin }) => {
  it.each(named)("has float64's values, gradients and second derivatives: $name", (of) => {
    manualSeed(1);
    const { stride, padding } = of;
    const x = fresh(channelsLast(of.images, of.inner, of.height, of.width).to(dtype));
    const w = fresh(randn([of.outer, of.inner, of.kernel, of.kernel]).to(dtype).to("float32"));
    const y = convolution(x, w, { stride, padding });
    const dy = fresh(randn(y.sizes).to(dtype));
    const [x64, w64, dy64] = [x, w, dy].map((t) => fresh(double(t))) as [Tensor, Tensor, Tensor];
    const y64 = conv2d(x64, w64, null, { stride, padding });
    expect(apart(y, y64)).toBeLessThan(within);

    const [dx, dw] = grad(y, [x, w], { gradOutputs: [dy], createGraph: true }) as [Tensor, Tensor];
    const [dx64, dw64] = grad(y64, [x64, w64], { gradOutputs: [dy64], createGraph: true }) as [Tensor, Tensor];
    expect(apart(dx, dx64)).toBeLessThan(inputWithin(of));
    expect(apart(dw, dw64)).toBeLessThan(within);

    const [u, v] = [randn(x.sizes).to(dtype), randn(w.sizes).to(dtype).to("float32")] as const;
    const along = { retainGraph: true };
    const ofInput = grad(dx, [w, dy], { gradOutputs: [u], ...along }) as Tensor[];
    const ofInput64 = grad(dx64, [w64, dy64], { gradOutputs: [double(u)], ...along }) as Tensor[];
    const ofWeight = grad(dw, [x, dy], { gradOutputs: [v] }) as Tensor[];
    const ofWeight64 = grad(dw64, [x64, dy64], { gradOutputs: [double(v)] }) as Tensor[];
    const [wanted, bounds] = [
      [...ofInput64, ...ofWeight64],
      [within, within, inputWithin(of), within],
    ];
    for (const [i, t] of [...ofInput, ...ofWeight].entries())
      expect(apart(t, wanted[i] as Tensor)).toBeLessThan(bounds[i] as number);
  });
});

/** A convolution with its ReLU, optionally a pooling layer, and images for them. */
function stage(of: Shape, pooled: boolean, seed = 2) {
  manualSeed(seed);
  const conv = new Conv2d(of.inner, of.outer, of.kernel, { stride: of.stride, padding: of.padding });
  const relu = new ReLU();
  const pool = pooled ? new MaxPool2d(2) : null;
  return { conv, relu, pool, x: channelsLast(of.images, of.inner, of.height, of.width) };
}

/**
 * The layers one by one, with the kernel's decisions: its active values of the ReLU, and its choices of the pooling. Both round in
 * bfloat16, so that a value near zero, or the larger of two, may be another one; each such value would change a gradient as a whole.
 */
function throughSameReLU({ conv, relu, pool }: ReturnType<typeof stage>, x: Tensor): Tensor {
  setFusedTraining(true);
  const rectified = convRelu(conv, relu, null, x).detach();
  setFusedTraining(false);
  const z = conv.run(x);
  const y = rectified.add(rectified.gt(0).to(z.dtype).mul(z.sub(z.detach())));
  return pool === null ? y : pool.run(y);
}

/** The output, the gradients, and the gradients of the square of a gradient. */
function measured(layers: ReturnType<typeof stage>, fused: boolean | "twice", dtype: "float32" | "bfloat16") {
  const { conv, relu, pool, x: given } = layers;
  const x = fresh(given);
  const wanted = [x, ...conv.parameters()];
  const cast = (run: () => Tensor) => (dtype === "float32" ? run() : autocast({ dtype }, run));
  const same = fused === false ? cast(() => throughSameReLU(layers, x)) : null;
  setFusedTraining(fused !== false);
  const once = () => convRelu(conv, relu, pool, x);
  const y = cast(() => (fused === "twice" ? withSecondDerivatives(once) : once()));
  manualSeed(3);
  const dy = randn(y.sizes).to(y.dtype);
  const gradients = grad(same ?? y, wanted, { gradOutputs: [dy], retainGraph: true }) as Tensor[];
  const [slope] = grad((same ?? y).square(), [x], { gradOutputs: [dy], createGraph: true }) as [Tensor];
  return { y, gradients, second: grad(slope.to("float32").square().sum(), wanted) as Tensor[] };
}

describe.each([
  { dtype: "float32", within: 1e-5 },
  { dtype: "bfloat16", within: 2e-2 },
] as const)("convRelu in $dtype", ({ dtype, within }) => {
  it("is one kernel, and its layers where it is switched off", () => {
    const layers = stage(shape([2, 16, 12, 12], [32, 3, 1, 1]), true);
    const [plain, fused] = [false, true].map((on) => {
      setFusedTraining(on);
      const run = () => convRelu(layers.conv, layers.relu, layers.pool, layers.x);
      return kernelsRunBy(() => (dtype === "float32" ? run() : autocast({ dtype }, run))).join();
    });
    expect(fused).toContain("batch_cam::conv_relu");
    expect(plain).not.toContain("batch_cam::");
  });

  it("is a convolution with a second derivative of its own if the gradient is differentiated again", () => {
    const layers = stage(shape([2, 16, 12, 12], [32, 3, 1, 1]), true);
    const kernels = kernelsRunBy(() => measured(layers, "twice", dtype));
    expect(kernels).toContain("batch_cam::convolution");
    expect(kernels).not.toContain("batch_cam::conv_relu");
  });

  it.each(comparable.flatMap((of) => [{ ...of, pooled: false }, ...(of.width > 2 ? [{ ...of, pooled: true }] : [])]))(
    "is what its layers are, with all derivatives (pooled: $pooled): $name",
    (of) => {
      const layers = stage(of, of.pooled);
      const [plain, fused] = [measured(layers, false, dtype), measured(layers, true, dtype)];
      expect(fused.y.dtype).toBe(plain.y.dtype);
      expect(fused.y.sizes).toEqual(plain.y.sizes);
      expect(apart(fused.y, plain.y)).toBeLessThan(within);
      for (const order of ["gradients", "second"] as const)
        for (const [i, gradient] of plain[order].entries())
          expect(apart(fused[order][i] as Tensor, gradient)).toBeLessThan(within);
    },
  );
});

/** A stage whose gradient is differentiated again has kernels with a second derivative. */
describe("convRelu with second derivatives", () => {
  const shapes = comparable.flatMap((of) => [
    { ...of, pooled: false },
    ...(of.width > 2 ? [{ ...of, pooled: true }] : []),
  ]);

  it.each(shapes)("is what its layers are in float32 (pooled: $pooled): $name", (of) => {
    const layers = stage(of, of.pooled);
    const [plain, twice] = [measured(layers, false, "float32"), measured(layers, "twice", "float32")];
    expect(twice.y.sizes).toEqual(plain.y.sizes);
    expect(apart(twice.y, plain.y)).toBeLessThan(1e-5);
    for (const order of ["gradients", "second"] as const)
      for (const [i, gradient] of plain[order].entries())
        expect(apart(twice[order][i] as Tensor, gradient)).toBeLessThan(1e-5);
  });

  // The convolution is rounded before its bias is added, so that another one of nearly equal pixels may get the gradient. One rounding
  // more makes the distance from float32 at most √2 times that of the layers, over several draws.
  it("is as exact as its layers in bfloat16", () => {
    const sums = { plain: 0, twice: 0 };
    for (let seed = 0; seed < 6; seed++) {
      const layers = stage(shape([3, 16, 12, 13], [32, 3, 1, 1]), true, seed);
      const exact = measured(layers, false, "float32");
      const found = { plain: measured(layers, false, "bfloat16"), twice: measured(layers, "twice", "bfloat16") };
      for (const how of ["plain", "twice"] as const)
        for (const order of ["gradients", "second"] as const)
          for (const [i, wanted] of exact[order].entries())
            sums[how] += apart(found[how][order][i] as Tensor, wanted) ** 2;
    }
    expect(Math.sqrt(sums.twice / sums.plain)).toBeLessThan(Math.SQRT2);
  });
});

describe("convRelu", () => {
  const one = () => ({ ...stage(shape([1, 1, 4, 4], [1, 1, 1, 0]), true) });

  it("gives the first of equal pixels the gradient, as libtorch does", () => {
    const { conv, relu, pool } = one();
    noGrad(() => conv.parameters().forEach((p) => void p.fill_(1)));
    const slopes = [true, false].map((fused) => {
      setFusedTraining(fused);
      const x = ones([1, 1, 4, 4]).requiresGrad_();
      return Array.from((grad(convRelu(conv, relu, pool, x).sum(), [x])[0] as Tensor).flatten().data(), Number);
    });
    expect(slopes[0]).toEqual(slopes[1]);
    expect(slopes[0]).toEqual([1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0]);
  });

  it.each(["float32", "bfloat16"] as const)("lets NaN and infinity through in %s", (dtype) => {
    const { conv, relu, pool } = one();
    noGrad(() => conv.parameters().forEach((p) => void p.fill_(1)));
    const bad = [Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, 0];
    const x = tensor(Float32Array.from(bad.flatMap((v) => [v, 0, 0, 0])))
      .view([1, 4, 2, 2])
      .permute([0, 2, 3, 1]);
    const images = x.reshape([1, 1, 4, 4]);
    const values = (y: Tensor) => Array.from(y.to("float32").flatten().data(), Number);
    const negative = noGrad(() => images.mul(-1));
    for (const given of [images, negative]) {
      const run = () => convRelu(conv, relu, pool, given.to(dtype));
      const [fused, plain] = [true, false].map((on) => {
        setFusedTraining(on);
        return values(autocast({ dtype: "bfloat16", enabled: dtype === "bfloat16" }, run));
      });
      expect(fused).toEqual(plain);
      expect(fused?.some(Number.isNaN)).toBe(true);
    }
  });

  it("runs its layers one by one where somebody looks at what the kernel does not keep", () => {
    const { conv, relu, pool, x } = stage(shape([2, 3, 6, 6], [4, 3, 1, 1]), true);
    const watched = new Set<object>([conv, relu, pool as MaxPool2d]);
    const { outputs } = recordOutputs(watched, () => convRelu(conv, relu, pool, x));
    expect(outputs.size).toBe(3);
    expect((outputs.get(conv) as Tensor).min().item()).toBeLessThan(0);
    expect(recordOutputs(new Set<object>([pool as MaxPool2d]), () => convRelu(conv, relu, pool, x)).outputs.size).toBe(
      1,
    );
    expect(recordOutputs(new Set<object>([relu]), () => convRelu(conv, relu, null, x)).outputs.size).toBe(1);
  });

  it.each([
    ["a layer that has a forward of its own", new (class extends ReLU {})(), new MaxPool2d(2)],
    ["a pool of another window", new ReLU(), new MaxPool2d(3)],
    ["a pool whose windows overlap", new ReLU(), new MaxPool2d(2, { stride: 1 })],
    ["a pool with a frame", new ReLU(), new MaxPool2d(2, { padding: 1 })],
    ["a pool that rounds up", new ReLU(), new MaxPool2d(2, { ceilMode: true })],
  ])("leaves %s to its own forward", (_, relu, pool) => {
    const conv = new Conv2d(2, 3, 3, { padding: 1 });
    const x = randn([1, 2, 7, 8]);
    const expected = pool.run(relu.run(conv.run(x)));
    expect(apart(convRelu(conv, relu, pool, x), expected)).toBeLessThan(1e-6);
    expect(convRelu(conv, relu, pool, x).sizes).toEqual(expected.sizes);
  });

  it.each(comparable.filter(({ width }) => width > 2))("gives what may be changed in place: $name", (of) => {
    const { conv, relu, pool, x } = stage(of, true);
    const expected = convRelu(conv, relu, pool, x).mul(2);
    const y = convRelu(conv, relu, pool, x).mul_(2);
    expect(apart(y, expected)).toBe(0);
    expect(grad(y.sum(), [conv.weight])[0]?.sizes).toEqual(conv.weight.sizes);
  });

  it("refuses images of another shape as its layers do", () => {
    const { conv, relu, pool } = stage(shape([2, 3, 6, 6], [4, 3, 1, 1]), true);
    expect(() => convRelu(conv, relu, pool, randn([2, 4, 6, 6]))).toThrow(/Conv2d/);
    expect(() => convRelu(conv, relu, pool, randn([3, 6]))).toThrow(/Conv2d/);
  });

  it("is the same in inference, with the kernel and without", () => {
    const { conv, relu, pool, x } = stage(shape([2, 3, 7, 6], [5, 3, 1, 1]), true);
    noGrad(() => {
      const fused = convRelu(conv, relu, pool, x);
      setFusedInference(false);
      expect(apart(convRelu(conv, relu, pool, x), fused)).toBeLessThan(1e-6);
    });
  });
});
