import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { kernelsRunBy } from "../../../test/support/kernels-run.ts";
import { createModel } from "../../models/index.ts";
import { Adam, AdamW, SGD } from "../../optim/index.ts";
import { hasFusedConv } from "../../tensor/fused-ops.ts";
import {
  autocast,
  backward,
  batchNorm,
  enableGrad,
  grad,
  manualSeed,
  memory,
  noGrad,
  ones,
  randn,
  type Tensor,
  tidy,
} from "../../tensor/index.ts";
import { BatchNorm2d, Conv2d, convNorm, recordOutputs, Sequential, setFusedInference } from "../index.ts";

afterEach(() => {
  setFusedInference(true);
});

/** A norm in evaluation mode with random statistics and weights. */
function settled(channels: number): BatchNorm2d {
  const norm = new BatchNorm2d(channels);
  noGrad(() => {
    norm.running_mean.add_(randn([channels]).mul(0.5));
    norm.running_var.mul_(randn([channels]).square().add(0.3));
    norm.weight.add_(randn([channels]).mul(0.3));
    norm.bias.add_(randn([channels]).mul(0.3));
  });
  norm.eval();
  return norm;
}

/** The layers one after the other. */
function plain(conv: Conv2d, norm: BatchNorm2d, x: Tensor, { add, relu }: { add?: Tensor; relu: boolean }): Tensor {
  const normed = norm.forward(conv.forward(x));
  const sum = add === undefined ? normed : normed.add(add);
  return relu ? sum.relu() : sum;
}

const shapes = fc.record({
  batch: fc.integer({ min: 1, max: 3 }),
  from: fc.constantFrom(1, 2, 3, 16, 32),
  to: fc.constantFrom(1, 2, 5, 16, 32),
  kernel: fc.constantFrom(1, 2, 3, 5, 7),
  stride: fc.integer({ min: 1, max: 3 }),
  padding: fc.integer({ min: 0, max: 3 }),
  height: fc.integer({ min: 7, max: 14 }),
  width: fc.integer({ min: 7, max: 15 }),
  bias: fc.boolean(),
  relu: fc.boolean(),
  add: fc.boolean(),
  last: fc.boolean(),
  bfloat16: fc.boolean(),
});

describe("convNorm", () => {
  it.skipIf(!hasFusedConv)("is one kernel in evaluation, oneDNN's or Winograd's, if this libtorch has oneDNN", () => {
    const ran = (channels: number) => {
      const [conv, norm] = [new Conv2d(channels, channels, 3, { padding: 1 }), settled(channels)];
      const names = kernelsRunBy(() => noGrad(() => convNorm(conv, norm, randn([4, channels, 9, 9]))));
      return names.filter((name) => /convolution_pointwise|winograd_conv|batch_norm/.test(name));
    };
    expect(ran(3)).toEqual(["mkldnn::_convolution_pointwise"]);
    expect(ran(64)).toEqual(["batch_cam::winograd_conv"]);
  });

  it("equals the layers one after the other, in evaluation without a graph, for any shape and layout", () => {
    manualSeed(3);
    fc.assert(
      fc.property(shapes, ({ batch, from, to, kernel, stride, padding, height, width, ...given }) =>
        tidy(() =>
          noGrad(() => {
            using conv = new Conv2d(from, to, kernel, { stride, padding, bias: given.bias });
            using norm = settled(to);
            const made = randn([batch, from, height, width]);
            const x = given.last ? made.contiguous("channelsLast") : made;
            const expected = plain(conv, norm, x, { relu: false });
            const options = { relu: given.relu, ...(given.add ? { add: randn(expected.shape) } : {}) };
            const run = () => convNorm(conv, norm, x, options);
            const got = given.bfloat16 ? autocast({}, run) : run();
            const tolerance = given.bfloat16 ? { rtol: 0.05, atol: 0.1 } : { rtol: 1e-4, atol: 1e-5 };
            expect(got.to("float32")).toBeAllclose(plain(conv, norm, x, options), tolerance);
          }),
        ),
      ),
      { numRuns: 150 },
    );
  });

  it("equals them where many channels are convolved by 3x3, and hides no NaN", () =>
    tidy(() =>
      noGrad(() => {
        manualSeed(4);
        const [conv, norm] = [new Conv2d(64, 96, 3, { padding: 1 }), settled(96)];
        const x = randn([3, 64, 9, 7]);
        const expected = plain(conv, norm, x, { relu: false });
        for (const add of [undefined, randn(expected.sizes), randn([96, 1, 1])])
          for (const relu of [false, true]) {
            const options = { relu, ...(add === undefined ? {} : { add }) };
            expect(convNorm(conv, norm, x, options)).toBeAllclose(plain(conv, norm, x, options), {
              rtol: 1e-4,
              atol: 1e-5,
            });
          }
        x.narrow(0, 1, 1).fill_(Number.NaN);
        const found = convNorm(conv, norm, x, { relu: true });
        expect(found.narrow(0, 1, 1).isfinite().any().item()).toBeFalsy();
        expect(found.narrow(0, 2, 1).isfinite().all().item()).toBeTruthy();
      }),
    ));

  it("refuses in training what its layers refuse, and adds in the dtype of what is added", () =>
    tidy(() => {
      const [conv, norm] = [new Conv2d(16, 16, 3, { stride: 2, bias: false }), new BatchNorm2d(16)];
      const trained = (x: Tensor, add?: Tensor) =>
        autocast({ dtype: "bfloat16" }, () => convNorm(conv, norm, x, { add }));
      expect(() => trained(randn([2, 16, 2, 2]))).toThrow(/[Kk]ernel size/);
      const x = randn([2, 16, 7, 7]);
      for (const dtype of ["bfloat16", "float32", "float64"] as const)
        expect(trained(x, randn([2, 16, 3, 3]).to(dtype)).dtype).toBe(dtype);
    }));

  it("takes grouped and dilated convolutions", () =>
    tidy(() =>
      noGrad(() => {
        const conv = new Conv2d(6, 12, 3, { groups: 3, dilation: 2, padding: 2 });
        const norm = settled(12);
        const x = randn([2, 6, 9, 8]);
        expect(convNorm(conv, norm, x)).toBeAllclose(plain(conv, norm, x, { relu: false }), { rtol: 1e-4, atol: 1e-5 });
      }),
    ));

  it("follows weights and statistics that change in place, are loaded or converted", () =>
    tidy(() => {
      const pair = new Sequential(new Conv2d(2, 3, 3), settled(3)).eval();
      const [conv, norm] = [...pair] as [Conv2d, BatchNorm2d];
      const x = randn([2, 2, 6, 6]);
      const expectFollows = () =>
        noGrad(() => {
          const expected = plain(conv, norm, x, { relu: false });
          expect(convNorm(conv, norm, x)).toBeAllclose(expected, { rtol: 1e-4, atol: 1e-5 });
        });
      const changes: (() => void)[] = [
        () => {},
        () => noGrad(() => conv.weight.mul_(1.5)),
        () => noGrad(() => conv.bias?.add_(1)),
        () => noGrad(() => norm.weight.add_(0.5)),
        () => noGrad(() => norm.bias.fill_(2)),
        () => norm.running_mean.add_(0.3),
        () => norm.running_var.mul_(2),
        () => void norm.train().forward(conv.forward(x)),
        () => void pair.loadStateDict(new Sequential(new Conv2d(2, 3, 3), settled(3)).stateDict()),
        () => void pair.to("float64").to("float32"),
      ];
      for (const change of changes) {
        change();
        pair.eval();
        expectFollows();
        expectFollows(); // from the cache
      }
    }));

  it.each([
    ["SGD", (params: Tensor[]) => new SGD(params, { lr: 0.002, momentum: 0.9 })],
    ["Adam", (params: Tensor[]) => new Adam(params, { lr: 0.5 })],
    ["AdamW", (params: Tensor[]) => new AdamW(params, { lr: 0.5 })],
  ] as const)("follows a step of %s with a frozen norm, and averaged weights", (_, optimizerOf) =>
    tidy(() => {
      const pair = new Sequential(new Conv2d(2, 3, 3), settled(3)).eval();
      const [conv, norm] = [...pair] as [Conv2d, BatchNorm2d];
      const x = randn([2, 2, 6, 6]);
      const expectFollows = () =>
        noGrad(() => {
          const expected = plain(conv, norm, x, { relu: false });
          expect(convNorm(conv, norm, x)).toBeAllclose(expected, { rtol: 1e-4, atol: 1e-4 });
        });
      const optimizer = optimizerOf(pair.parameters());
      for (let step = 0; step < 3; step++) {
        expectFollows();
        optimizer.zeroGrad();
        backward(plain(conv, norm, x, { relu: true }).square().sum());
        optimizer.step();
      }
      expectFollows();
      batchNorm(randn([4, 3, 5, 5]), { runningMean: norm.running_mean, runningVar: norm.running_var, training: true });
      expectFollows();
      (norm as { eps: number }).eps = 3;
      expectFollows();
    }),
  );

  it.each([
    ["an image", (_: Conv2d, __: BatchNorm2d, x: Tensor) => x],
    ["a weight", (conv: Conv2d) => conv.weight],
    ["a running variance", (_: Conv2d, norm: BatchNorm2d) => norm.running_var],
    ["a shortcut", (_: Conv2d, __: BatchNorm2d, ___: Tensor, add: Tensor) => add],
  ])("hides no NaN or infinity of %s", (_, place) => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY])
      for (const bfloat16 of [false, true])
        tidy(() =>
          noGrad(() => {
            const [conv, norm] = [new Conv2d(2, 3, 3), settled(3)];
            const [x, add] = [randn([2, 2, 6, 6]), randn([2, 3, 4, 4])];
            place(conv, norm, x, add).view([-1]).narrow(0, 0, 1).fill_(bad);
            const run = () => convNorm(conv, norm, x, { add, relu: true });
            const got = bfloat16 ? autocast({}, run) : run();
            const expected = plain(conv, norm, x, { add, relu: true });
            expect(got.to("float32").isfinite().equal(expected.isfinite())).toBe(true);
          }),
        );
  });

  it("hides no NaN that an overflow leaves in the middle, nor one that is written into its result", () =>
    tidy(() =>
      noGrad(() => {
        for (const factor of [1e3, 1e6, 1e12]) {
          manualSeed(2);
          using model = createModel("resnet18", { numClasses: 3, inChannels: 1, width: 8, stem: "small" });
          for (const parameter of model.parameters()) if (parameter.ndim === 4) parameter.mul_(factor);
          model.eval();
          const x = randn([2, 1, 28, 28]);
          const run = () => model.forward(x).isfinite();
          const got = run();
          setFusedInference(false);
          expect(got.equal(run())).toBe(true);
          setFusedInference(true);
        }
        const [conv, norm] = [new Conv2d(3, 3, 3, { padding: 1 }), settled(3)];
        const y = convNorm(conv, norm, randn([2, 3, 6, 6]), { relu: true });
        expect(convNorm(conv, norm, y, { relu: true }).isfinite().all().item()).toBe(1);
        y.select(1, 0).fill_(Number.NaN);
        expect(convNorm(conv, norm, y, { relu: true }).isfinite().all().item()).toBe(0);
      }),
    ));

  it("leaves to the layers what the kernel cannot take: a wider shortcut, images smaller than the kernel", () =>
    tidy(() =>
      noGrad(() => {
        const [conv, norm] = [new Conv2d(2, 3, 3), settled(3)];
        const add = randn([1, 3, 4, 4], { dtype: "float64" });
        expect(convNorm(conv, norm, randn([1, 2, 6, 6]), { add }).dtype).toBe("float64");
        expect(() => convNorm(conv, norm, randn([1, 2, 2, 2]))).toThrow(/Kernel size can't be greater/);
      }),
    ));

  it("runs the layers themselves where a graph is recorded, in training, under float64 and where somebody looks", () =>
    tidy(() => {
      const [conv, norm] = [new Conv2d(2, 3, 3), settled(3)];
      const x = randn([2, 2, 6, 6]);
      const recorded = enableGrad(() => convNorm(conv, norm, x, { relu: true }));
      expect(grad(recorded.sum(), conv.weight)).toHaveLength(1);
      const wide = randn([2, 2, 6, 6], { dtype: "float64" });
      expect(noGrad(() => convNorm(new Conv2d(2, 3, 3).to("float64"), settled(3).to("float64"), wide)).dtype).toBe(
        "float64",
      );
      const before = norm.running_mean.clone();
      norm.train();
      noGrad(() => convNorm(conv, norm, x));
      expect(norm.running_mean.equal(before)).toBe(false);
      norm.eval();
      for (const watched of [conv, norm]) {
        const { outputs } = recordOutputs(new Set([watched]), () => noGrad(() => convNorm(conv, norm, x)));
        expect(outputs.get(watched)?.shape).toEqual([2, 3, 4, 4]);
      }
    }));

  it("keeps one set of folded weights for each layer, which goes with the model", () => {
    const { liveTensors } = memory();
    const model = tidy(() => createModel("resnet18", { width: 4, stem: "small", inChannels: 1, numClasses: 3 }).eval());
    const run = () => tidy(() => void noGrad(() => model.forward(ones([2, 1, 8, 8]))));
    run();
    const held = memory().liveTensors;
    for (let i = 0; i < 3; i++) run();
    expect(memory().liveTensors).toBe(held);
    model.dispose();
    expect(memory().liveTensors).toBe(liveTensors);
  });

  it.runIf(hasFusedConv)("can be switched off", () =>
    tidy(() =>
      noGrad(() => {
        const [conv, norm] = [new Conv2d(1, 2, 3), settled(2)];
        const x = randn([1, 1, 5, 5]);
        expect(setFusedInference(false)).toBe(true);
        expect(convNorm(conv, norm, x).equal(plain(conv, norm, x, { relu: false }))).toBe(true);
        expect(setFusedInference(true)).toBe(false);
        expect(() => setFusedInference(1 as never)).toThrow(/enabled must be true or false/);
      }),
    ),
  );

  it("refuses images that the convolution cannot take, as the layers do", () =>
    tidy(() =>
      noGrad(() => {
        const [conv, norm] = [new Conv2d(2, 3, 3), settled(3)];
        expect(() => convNorm(conv, norm, randn([1, 3, 6, 6]))).toThrow(/Conv2d: x must be \[N, 2, H, W\]/);
        expect(() => convNorm(conv, norm, randn([1, 2, 2, 2]))).toThrow(
          /Kernel size can't be greater|output size is too small/i,
        );
        expect(() => convNorm(conv, norm, randn([1, 2, 6, 6]), { add: randn([1, 3, 5, 5]) })).toThrow();
      }),
    ));
});
