import { describe, expect, it } from "vitest";
import { type Fixture, fixture } from "../../test/support/fixtures.ts";
import { grad, manualSeed, memory, noGrad, ones, randn, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import {
  AdaptiveAvgPool2d,
  AvgPool2d,
  BatchNorm2d,
  Conv2d,
  Flatten,
  GELU,
  GlobalAvgPool2d,
  GRN,
  Identity,
  LayerNorm,
  LayerNorm2d,
  Linear,
  MaxPool2d,
  type Module,
  ReLU,
  Sequential,
} from "./index.ts";

const values = (t: Tensor) => Array.from(t.data() as Float32Array);

/** Compares the value, the gradients and the double backward of a layer with an `op_*` fixture, in float32 and float64. */
function expectAgreement(
  name: string,
  build: (reference: Fixture) => Module,
  weights: Record<string, string> = {},
): void {
  const reference = fixture(name);
  const { rtol, atol, relL2, absL2 } = reference.tolerance;
  for (const dtype of ["float32", "float64"] as const) {
    const exact = dtype === "float64";
    using model = build(reference).to(dtype);
    tidy(() => {
      const input = (path: string) => reference.tensor(`input/${path}`).to(dtype);
      const state = new Map(Object.entries(weights).map(([key, parameter]) => [parameter, input(key)]));
      model.loadStateDict(state, { strict: false });
      const x = input("x").requiresGrad_();
      const cotangent = input("cotangent").requiresGrad_();
      const y = model.run(x);
      const tolerance = exact ? { rtol: 1e-10, atol: 1e-11 } : { rtol, atol };
      const norms = exact ? { relL2: 1e-9, absL2: 1e-11 } : { relL2, absL2 };
      expect(y).toBeAllclose(reference.reference("out/y"), tolerance);
      const named = model.namedParameters();
      const inputs = new Map([
        ["x", x],
        ...Object.entries(weights)
          .filter(([, parameter]) => named.has(parameter))
          .map(([key, parameter]) => [key, named.get(parameter) as Tensor] as const),
      ]);
      const first = grad(y, [...inputs.values()], { gradOutputs: [cotangent], createGraph: true });
      for (const [index, key] of [...inputs.keys()].entries()) {
        expect(first[index] as Tensor).toHaveRelL2(reference.reference(`grad/${key}`), norms);
      }
      const scalar = [...inputs.keys()]
        .map((key, index) => (first[index] as Tensor).mul(input(`u/${key}`)).sum())
        .reduce((a, b) => a.add(b));
      // The scalar of the fixture includes terms of the running statistics.
      if (model instanceof BatchNorm2d && !model.training) return;
      const all = new Map([...inputs, ["cotangent", cotangent]]);
      const second = grad(scalar, [...all.values()], { allowUnused: true });
      for (const [index, key] of [...all.keys()].entries()) {
        if (reference.has(`dbl/${key}`))
          expect(second[index] as Tensor).toHaveRelL2(reference.reference(`dbl/${key}`), norms);
      }
    });
  }
}

describe("layers against torch and timm", () => {
  const convolutions = [
    "op_conv3x3_s1",
    "op_conv3x3_s2",
    "op_conv1x1_s2",
    "op_conv7x7_s2",
    "op_conv7x7_depthwise",
    "op_conv_patch2",
    "op_conv_patch4",
  ];
  it.each(convolutions)("Conv2d: %s", (name) => {
    expectAgreement(
      name,
      (reference) => {
        const { kernel, stride, padding, groups } = reference.params as Record<string, number>;
        const [outputs = 0, inputs = 0] = reference.tensor("input/w").sizes;
        return new Conv2d(inputs * (groups ?? 1), outputs, kernel as number, {
          stride: stride as number,
          padding: padding as number,
          groups: groups as number,
        });
      },
      { w: "weight", b: "bias" },
    );
  });

  it("Linear", () => {
    expectAgreement(
      "op_linear",
      (reference) => {
        const [outputs = 0, inputs = 0] = reference.tensor("input/w").sizes;
        return new Linear(inputs, outputs);
      },
      { w: "weight", b: "bias" },
    );
  });

  const size = (reference: Fixture) => reference.tensor("input/w").numel;
  it("BatchNorm2d in training", () => {
    expectAgreement("op_batchnorm_train", (reference) => new BatchNorm2d(size(reference)), { w: "weight", b: "bias" });
  });
  it("BatchNorm2d in evaluation", () => {
    const names = { w: "weight", b: "bias", rm: "running_mean", rv: "running_var" };
    expectAgreement("op_batchnorm_eval", (reference) => new BatchNorm2d(size(reference)).eval(), names);
  });
  it("LayerNorm, over the last dimension and over channels", () => {
    expectAgreement("op_layernorm_last", (reference) => new LayerNorm(size(reference), { eps: 1e-6 }), {
      w: "weight",
      b: "bias",
    });
    expectAgreement("op_layernorm_channels_first", (reference) => new LayerNorm2d(size(reference), { eps: 1e-6 }), {
      w: "weight",
      b: "bias",
    });
  });
  it("GRN, channels last and first", () => {
    expectAgreement("op_grn_channels_last", (reference) => new GRN(size(reference)), { w: "weight", b: "bias" });
    expectAgreement("op_grn_channels_first", (reference) => new GRN(size(reference), { channelsLast: false }), {
      w: "weight",
      b: "bias",
    });
  });
  it("ReLU, GELU, MaxPool2d and GlobalAvgPool2d", () => {
    expectAgreement("op_relu", () => new ReLU());
    expectAgreement("op_gelu_exact", () => new GELU());
    expectAgreement("op_gelu_tanh", () => new GELU({ approximate: "tanh" }));
    expectAgreement("op_maxpool3_s2_p1", () => new MaxPool2d(3, { stride: 2, padding: 1 }));
    expectAgreement("op_global_avg_pool", () => new GlobalAvgPool2d());
  });
});

describe("BatchNorm2d", () => {
  it("averages all batches alike where momentum is null", () => {
    using layer = new BatchNorm2d(1, { momentum: null });
    tidy(() => {
      layer.run(tensor([[[[0, 2]]]]));
      layer.run(tensor([[[[4, 6]]]]));
    });
    expect(values(layer.running_mean)).toEqual([3]);
    expect(values(layer.running_var)).toEqual([2]);
    expect(layer.num_batches_tracked.item()).toBe(2);
  });

  it("counts its batches in int64, also after a conversion", () => {
    using layer = new BatchNorm2d(2).to("float64");
    expect([layer.num_batches_tracked.dtype, layer.running_var.dtype]).toEqual(["int64", "float64"]);
  });

  it("refuses to train on one value per channel, and leaves its statistics alone", () => {
    using layer = new BatchNorm2d(3);
    expect(() => tidy(() => layer.run(ones([1, 3, 1, 1])))).toThrow(
      /BatchNorm2d: training needs more than one value per channel, got x of \[1, 3, 1, 1\]/,
    );
    expect(layer.num_batches_tracked.item()).toBe(0);
    tidy(() => expect(layer.eval().run(ones([1, 3, 1, 1])).shape).toEqual([1, 3, 1, 1]));
  });
});

describe("GRN", () => {
  it("starts as the identity, and has finite gradients where the input is zero", () =>
    tidy(() => {
      const layer = new GRN(4);
      const x = randn([2, 3, 3, 4]);
      expect(layer.run(x)).toBeAllclose(x, { rtol: 0, atol: 0 });
      const dead = zeros([2, 3, 3, 4], { requiresGrad: true });
      const [gradient] = grad(layer.run(dead).sum(), [dead]) as [Tensor];
      expect(values(gradient).every(Number.isFinite)).toBe(true);
      layer.dispose();
    }));

  /** The gradients, and the gradients of the squares of the gradients. */
  const gradientsOf = (forward: (x: Tensor) => Tensor, x: Tensor, weight: Tensor) => {
    const input = x.detach().requiresGrad_();
    const [first] = grad(forward(input).square().sum(), [input], { createGraph: true }) as [Tensor];
    return [first, ...grad(first.square().sum(), [input, weight])] as [Tensor, Tensor, Tensor];
  };

  it("has the gradients of libtorch's norm; where a channel is dead, of both orders finite ones", () =>
    tidy(() => {
      manualSeed(0);
      const layer = new GRN(4).to("float64");
      const [weight, bias] = layer.parameters().map((parameter) => noGrad(() => parameter.normal_())) as [
        Tensor,
        Tensor,
      ];
      const byNorm = (x: Tensor) => {
        const energy = x.norm([1, 2], { keepDims: true });
        const response = energy.div(energy.mean([3], { keepDims: true }).add(1e-6));
        return x.add(x.mul(response).mul(weight)).add(bias);
      };
      const x = randn([2, 3, 3, 4], { dtype: "float64" });
      const living = gradientsOf(byNorm, x, weight);
      for (const [i, gradient] of gradientsOf((input) => layer.run(input), x, weight).entries()) {
        expect(gradient).toHaveRelL2(living[i] as Tensor, { relL2: 1e-12 });
      }
      x.select(3, 1).narrow(0, 0, 1).zero_();
      const [dead] = gradientsOf(byNorm, x, weight); // the second derivative of libtorch's norm is NaN here
      const [first, ...second] = gradientsOf((input) => layer.run(input), x, weight);
      expect(first).toHaveRelL2(dead, { relL2: 1e-12 });
      for (const gradient of second) expect(gradient.isfinite().all().item()).toBe(1);
      layer.dispose();
    }));
});

describe("pooling and shape", () => {
  it("pools to the sizes asked for", () =>
    tidy(() => {
      const x = tensor(
        Float32Array.from({ length: 16 }, (_, i) => i),
        { shape: [1, 1, 4, 4] },
      );
      expect(values(new MaxPool2d(2).run(x))).toEqual([5, 7, 13, 15]);
      expect(values(new AvgPool2d(2).run(x))).toEqual([2.5, 4.5, 10.5, 12.5]);
      expect(new MaxPool2d(3, { stride: 1, padding: 1 }).run(x).shape).toEqual([1, 1, 4, 4]);
      expect(new AdaptiveAvgPool2d([2, 1]).run(x).shape).toEqual([1, 1, 2, 1]);
      expect(values(new GlobalAvgPool2d().run(x))).toEqual([7.5]);
    }));

  it("flattens after the batch, and Identity gives x itself", () =>
    tidy(() => {
      const x = zeros([2, 3, 4, 5]);
      expect(new Flatten().run(x).shape).toEqual([2, 60]);
      expect(new Flatten(2, 3).run(x).shape).toEqual([2, 3, 20]);
      expect(new Identity().run(x)).toBe(x);
    }));
});

describe("Sequential", () => {
  it("runs its modules in order, more than ten too, and gives them by index", () => {
    using model = new Sequential(...Array.from({ length: 12 }, (_, i) => new Linear(i + 1, i + 2)));
    expect([...model.stateDict().keys()].filter((name) => name.endsWith("weight")).at(-1)).toBe("11.weight");
    tidy(() => expect(model.run(zeros([3, 1])).shape).toEqual([3, 13]));
    expect(model.length).toBe(12);
    expect(model.at(-1)).toBe([...model].at(11));
    expect(model.at(12)).toBeUndefined();
  });
});

describe("bad input", () => {
  it.each<[string, () => unknown, RegExp]>([
    ["Conv2d sizes", () => new Conv2d(0, 4, 3), /Conv2d: inChannels must be an integer >= 1, got 0/],
    ["Conv2d kernel", () => new Conv2d(1, 4, [3, 0]), /kernelSize must be an integer >= 1, got \[3, 0\]/],
    ["Conv2d stride", () => new Conv2d(1, 4, 3, { stride: 0 }), /stride must be an integer >= 1, got 0/],
    [
      "Conv2d groups",
      () => new Conv2d(4, 6, 3, { groups: 4 }),
      /groups must divide inChannels 4 and outChannels 6, got 4/,
    ],
    ["Linear", () => new Linear(2.5, 1), /Linear: inFeatures must be an integer >= 1, got 2.5/],
    ["BatchNorm2d", () => new BatchNorm2d(-1), /BatchNorm2d: numFeatures/],
    ["LayerNorm", () => new LayerNorm(0), /LayerNorm: size/],
    ["GRN", () => new GRN(Number.NaN), /GRN: channels/],
    ["MaxPool2d", () => new MaxPool2d(0), /MaxPool2d: kernelSize/],
    ["AvgPool2d", () => new AvgPool2d(2, { stride: [1, -1] }), /AvgPool2d: stride/],
    ["AdaptiveAvgPool2d", () => new AdaptiveAvgPool2d(0), /AdaptiveAvgPool2d: size/],
  ])("refuses wrong settings: %s", (_, build, message) => {
    expect(build).toThrow(expect.objectContaining({ code: "E_ARGUMENT", message: expect.stringMatching(message) }));
  });

  it.each<[string, () => Module, number[], RegExp]>([
    ["Conv2d", () => new Conv2d(3, 4, 3), [2, 1, 8, 8], /Conv2d: x must be \[N, 3, H, W\], got \[2, 1, 8, 8\]/],
    ["Conv2d", () => new Conv2d(3, 4, 3), [3, 8, 8], /got \[3, 8, 8\]/],
    ["Conv2d", () => new Conv2d(3, 4, 3), [1, 3, 2, 2], /conv/],
    ["Linear", () => new Linear(4, 2), [2, 3], /Linear: x must be \[..., 4\], got \[2, 3\]/],
    ["Linear", () => new Linear(4, 2), [], /got \[\]/],
    ["BatchNorm2d", () => new BatchNorm2d(3), [2, 4, 1, 1], /BatchNorm2d: x must be \[N, 3, H, W\]/],
    ["LayerNorm", () => new LayerNorm(3), [2, 4], /LayerNorm: x must be \[..., 3\]/],
    ["LayerNorm2d", () => new LayerNorm2d(3), [2, 4, 1, 3], /LayerNorm2d: x must be \[N, 3, H, W\]/],
    ["GRN", () => new GRN(3), [2, 3, 4, 4], /GRN: x must be \[N, H, W, 3\], got \[2, 3, 4, 4\]/],
    ["GRN", () => new GRN(3, { channelsLast: false }), [2, 4, 4, 3], /GRN: x must be \[N, 3, H, W\]/],
    ["MaxPool2d", () => new MaxPool2d(2), [2, 4], /MaxPool2d: x must be \[N, C, H, W\]/],
    ["MaxPool2d", () => new MaxPool2d(2), [1, 1, 1, 1], /pool/],
    ["GlobalAvgPool2d", () => new GlobalAvgPool2d(), [2, 4], /GlobalAvgPool2d/],
  ])("refuses wrong shapes: %s", (_, build, shape, message) => {
    using layer = build();
    const run = () => tidy(() => layer.run(zeros(shape)));
    expect(run).toThrow(expect.objectContaining({ code: "E_SHAPE", message: expect.stringMatching(message) }));
  });

  it("gives empty results for an empty batch", () =>
    tidy(() => {
      using model = new Sequential(
        new Conv2d(1, 2, 3),
        new BatchNorm2d(2),
        new ReLU(),
        new MaxPool2d(2),
        new Flatten(),
        new Linear(18, 4),
      );
      expect(model.run(zeros([0, 1, 8, 8])).shape).toEqual([0, 4]);
    }));
});

describe("memory", () => {
  it("is held by parameters and buffers only, also where a layer is made inside tidy", () => {
    const before = memory().liveTensors;
    manualSeed(1);
    using layer = tidy(() => new Sequential(new Conv2d(1, 2, 3), new BatchNorm2d(2)));
    expect(memory().liveTensors).toBe(before + 7);
    tidy(() => expect(layer.run(ones([2, 1, 5, 5])).shape).toEqual([2, 2, 3, 3]));
    expect(memory().liveTensors).toBe(before + 7);
  });
});
