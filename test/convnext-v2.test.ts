import { afterEach, describe, expect, it } from "vitest";
import { createModel, defaultCamLayer, type Model, type ModelOptions, mapSize } from "../src/models/index.ts";
import { DropPath } from "../src/nn/index.ts";
import { layersOf } from "../src/optim/parameter-groups.ts";
import { autocast, backward, manualSeed, memory, randn, type Tensor, tidy, zeros } from "../src/tensor/index.ts";
import { fixture } from "./support/fixtures.ts";
import { expectNetwork } from "./support/network-case.ts";

const DTYPES = ["float32", "float64"] as const;
const FULL = ["model_convnextv2_atto_patch4", "model_convnextv2_atto_stem2", "model_convnextv2_atto_timm_patch2"];

// Without batch norm and stochastic depth, both modes compute the same values.
describe.each(DTYPES)("the network of model_tiny_convnextv2 in %s", (dtype) => {
  it.each(["eval", "train"] as const)("has timm's values, activations and gradients in %s mode", (mode) =>
    expectNetwork(fixture("model_tiny_convnextv2"), { mode, dtype, against: "eval" }),
  );
});

describe.each(FULL)("the network of %s", (name) => {
  it.each(DTYPES)("has timm's values and gradients in %s", (dtype) =>
    expectNetwork(fixture(name), { mode: "train", dtype, against: "eval" }),
  );
});

const models: Model[] = [];
const create = (options: ModelOptions = {}, name = "convnextv2_atto"): Model => {
  const model = createModel(name, options);
  models.push(model);
  return model;
};
afterEach(() => {
  for (const model of models.splice(0)) model.dispose();
});

const TINY: ModelOptions = { dims: [4, 6, 8, 10], depths: [1, 1, 2, 1], inChannels: 1, numClasses: 5, patchSize: 1 };

describe("the maps of a ConvNeXt V2", () => {
  const sides = (options: ModelOptions, side: number) => {
    const model = create({ ...TINY, patchSize: undefined, ...options } as ModelOptions);
    return model.camLayers.map((layer) => mapSize(model, [1, side, side], layer)[0]);
  };

  it("have the size that the stem and three halvings leave", () => {
    expect(sides({}, 224)).toEqual([56, 28, 14, 7]);
    expect(sides({ patchSize: 4 }, 32)).toEqual([8, 4, 2, 1]);
    expect(sides({ patchSize: 2 }, 64)).toEqual([16, 8, 4, 2]);
    expect(sides({ patchSize: 1 }, 28)).toEqual([28, 14, 7, 3]);
    expect(sides({ stemStride: 2 }, 28)).toEqual([14, 7, 3, 1]);
  });

  it("are those of the last stage unless the images are small", () => {
    const model = create(TINY);
    expect(model.camLayer).toBe("stages.3");
    expect(model.camLayers).toEqual(["stages.0", "stages.1", "stages.2", "stages.3"]);
    expect(model.closedFormHead()).toBeNull();
    expect(defaultCamLayer(model, [1, 28, 28])).toBe("stages.2");
    expect(defaultCamLayer(model, [1, 56, 56])).toBe("stages.3");
    expect(defaultCamLayer(create({ ...TINY, patchSize: 4 }), [1, 32, 32])).toBe("stages.0");
  });

  it("are in channels-last format from the first norm on, so that blocks copy nothing", () =>
    tidy(() => {
      const model = create({ ...TINY, dims: [16, 16, 24, 32] });
      const inner = ["stem.1", "stages.0.blocks.0.conv_dw", "stages.0", "stages.1.downsample.1", "stages.2.blocks.1"];
      const { taps } = model.forwardWith(randn([4, 1, 28, 28]), { taps: inner });
      for (const path of inner) expect(taps[path]?.permute([0, 2, 3, 1]).isContiguous, path).toBe(true);
    }));

  it("have the channels of `dims`, as the first dimension outside of blocks and the last one inside", () =>
    tidy(() => {
      const model = create({ ...TINY, numClasses: 7 });
      const taps = ["stem.0", "stages.1", "stages.1.blocks.0.mlp.fc1", "head.norm"];
      const found = model.forwardWith(randn([2, 1, 28, 20]), { taps });
      expect(taps.map((path) => found.taps[path]?.shape)).toEqual([
        [2, 4, 28, 20],
        [2, 6, 14, 10],
        [2, 14, 10, 24],
        [2, 10, 1, 1],
      ]);
      expect(found.logits.shape).toEqual([2, 7]);
    }));
});

describe("the MLP of a block", () => {
  it("computes the same with 1x1 convolutions and with linear layers of the same weights", () =>
    tidy(() => {
      const [conv, linear] = [create(TINY, "convnextv2_atto"), create(TINY, "convnextv2_tiny")];
      const flat = Array.from(conv.stateDict(), ([name, value]) => {
        const shape = linear.stateDict().get(name)?.shape as number[];
        return [name, value.reshape(shape)] as const;
      });
      linear.loadStateDict(new Map(flat));
      expect(conv.stateDict().get("stages.0.blocks.0.mlp.fc1.weight")?.shape).toEqual([16, 4, 1, 1]);
      expect(linear.stateDict().get("stages.0.blocks.0.mlp.fc1.weight")?.shape).toEqual([16, 4]);
      const x = randn([2, 1, 28, 28]);
      expect(conv.forward(x)).toBeAllclose(linear.forward(x), { rtol: 0, atol: 0 });
    }));

  it("refuses maps with another number of channels, naming the layer", () => {
    const fc1 = create(TINY).namedModules().get("stages.0.blocks.0.mlp.fc1");
    expect(() => tidy(() => fc1?.run(zeros([1, 2, 2, 3])))).toThrow(/Pointwise: x must be \[..., 4\]/);
  });
});

describe("a new ConvNeXt V2", () => {
  it("has weights of deviation 0.02 and zero biases, norms of 1 and 0, and GRNs that start as the identity", () => {
    manualSeed(0);
    const model = create({ patchSize: 2 });
    for (const [name, weight] of model.namedParameters()) {
      tidy(() => {
        if (weight.ndim > 1) {
          expect(Math.abs(weight.std().item() / 0.02 - 1), name).toBeLessThan(5 / Math.sqrt(2 * weight.numel));
          expect(Math.abs(weight.mean().item()), name).toBeLessThan((5 * 0.02) / Math.sqrt(weight.numel));
          return;
        }
        const isNorm = /(norm|stem\.1|downsample\.0)\.weight$/.test(name);
        expect(
          weight
            .eq(isNorm ? 1 : 0)
            .all()
            .item(),
          name,
        ).toBe(1);
      });
    }
  });

  it("is normally distributed, and the same for the same seed", () =>
    tidy(() => {
      const [a, b] = [3, 3].map((seed) => {
        manualSeed(seed);
        return create().stateDict().get("stages.3.blocks.0.mlp.fc1.weight") as Tensor;
      }) as [Tensor, Tensor];
      expect(a.equal(b)).toBe(true);
      expect(a.div(0.02).square().square().mean().item()).toBeCloseTo(3, 1); // a uniform distribution would give 1.8
      expect(a.abs().max().item()).toBeLessThan(0.02 * 6);
    }));

  it("is freed by dispose, and a step leaves no live tensor", () => {
    const before = memory().liveTensors;
    const model = createModel("convnextv2_atto", { ...TINY, dropPath: 0.5 });
    const made = memory().liveTensors;
    tidy(() => {
      model.forward(randn([2, 1, 28, 28]));
    });
    expect(memory().liveTensors).toBe(made);
    model.dispose();
    expect(memory().liveTensors).toBe(before);
  });
});

describe("stochastic depth", () => {
  const rates = (options: ModelOptions) =>
    [...create({ ...TINY, ...options }).namedModules()]
      .filter(([path]) => path.endsWith("drop_path"))
      .map(([, module]) => (module instanceof DropPath ? module.rate : 0));

  it("rises from 0 to the rate in equal steps over the blocks of all stages", () => {
    // timm.layers.calculate_drop_path_rates(0.2, [1, 2, 4, 2], stagewise=True)
    expect(rates({ depths: [1, 2, 4, 2], dropPath: 0.2 })).toBeAllclose([
      0, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2,
    ]);
    expect(rates({ depths: [1, 1, 2, 1] })).toEqual([0, 0, 0, 0, 0]);
  });

  it("adds no name to the state dict", () => {
    const [plain, dropping] = [create(TINY), create({ ...TINY, dropPath: 0.3 })];
    expect([...dropping.stateDict().keys()]).toEqual([...plain.stateDict().keys()]);
  });

  it("depends in training only on the generator, and does not change evaluation", () =>
    tidy(() => {
      const [plain, dropping] = [create(TINY), create({ ...TINY, dropPath: 0.9 })];
      dropping.loadStateDict(plain.stateDict());
      const x = randn([8, 1, 16, 16]);
      const expected = plain.forward(x);
      expect(dropping.eval().forward(x)).toBeAllclose(expected, { rtol: 0, atol: 0 });
      const train = () => {
        manualSeed(2);
        return dropping.train().forward(x);
      };
      expect(train()).toBeAllclose(train(), { rtol: 0, atol: 0 });
      expect(train().sub(expected).abs().max().item()).toBeGreaterThan(1e-6);
    }));

  it("passes a dropped sample through the block unchanged", () =>
    tidy(() => {
      manualSeed(5);
      const model = create({ ...TINY, dropPath: 0.5 });
      const { taps } = model.forwardWith(randn([32, 1, 16, 16]), { taps: ["stages.3.downsample", "stages.3"] });
      const moved = (taps["stages.3"] as Tensor).sub(taps["stages.3.downsample"] as Tensor).abs();
      const unchanged = Array.from(moved.amax([1, 2, 3]).data() as Float32Array).filter((size) => size === 0).length;
      expect(unchanged).toBeGreaterThan(6);
      expect(unchanged).toBeLessThan(26);
    }));
});

describe("the layers of a ConvNeXt V2", () => {
  it("are grouped as in timm for layer-wise rates: the stem, each block (the first with the downsampling before it), and the head", () => {
    const model = create({ ...TINY, patchSize: 2, depths: [1, 2, 1, 1] });
    const layers = layersOf([...model.namedParameters().keys()], model.layerPatterns);
    expect(new Set(layers.values())).toEqual(new Set([0, 1, 2, 3, 4, 5, 6]));
    const depthOf = (prefix: string) => [...layers].find(([name]) => name.startsWith(prefix))?.[1];
    expect(["stem.1", "stages.0.downsample", "stages.0.blocks.0", "stages.1.downsample"].map(depthOf)).toEqual([
      0, 1, 1, 2,
    ]);
    expect(["stages.1.blocks.1", "stages.3.blocks.0.mlp", "head.norm", "head.fc"].map(depthOf)).toEqual([3, 5, 6, 6]);
  });
});

describe("a ConvNeXt V2 on unusual input", () => {
  it.each([
    [{ patchSize: 4 }, 32],
    [{ patchSize: 2 }, 32],
    [{ patchSize: 1 }, 8],
    [{ patchSize: undefined, stemStride: 2 }, 16],
  ])("with %j takes images from %ix%i on and refuses smaller ones", (options, least) =>
    tidy(() => {
      const model = create({ ...TINY, ...options } as ModelOptions);
      expect(model.forward(zeros([1, 1, least, least])).shape).toEqual([1, 5]);
      const message = `images of ${least - 1}x${least} are too small; it needs at least ${least}x${least}`;
      expect(() => model.forward(zeros([1, 1, least - 1, least]))).toThrow(
        expect.objectContaining({ code: "E_SHAPE", message: expect.stringContaining(message) }),
      );
    }),
  );

  it("takes an empty batch, and refuses images with other channels", () =>
    tidy(() => {
      const model = create(TINY);
      expect(model.forward(zeros([0, 1, 28, 28])).shape).toEqual([0, 5]);
      expect(() => model.forward(zeros([1, 3, 28, 28]))).toThrow(/ConvNextV2: x must be \[N, 1, H, W\]/);
    }));

  it("has finite gradients for blank images, whose maps GRN divides by their zero norm", () =>
    tidy(() => {
      const model = create(TINY);
      backward(
        model
          .forward(zeros([2, 1, 28, 28]))
          .square()
          .sum(),
      );
      for (const [name, weight] of model.namedParameters()) {
        expect((weight.grad as Tensor).isfinite().all().item(), name).toBe(1);
      }
    }));

  it("passes NaN only to the logits of the same image", () =>
    tidy(() => {
      const model = create(TINY);
      const x = randn([3, 1, 28, 28]);
      const clean = model.forward(x);
      x.select(0, 1).narrow(1, 3, 1).fill_(Number.NaN);
      const logits = model.forward(x);
      expect(logits.select(0, 1).isnan().all().item()).toBe(1);
      for (const b of [0, 2]) expect(logits.select(0, b)).toBeAllclose(clean.select(0, b), { rtol: 1e-6, atol: 1e-7 });
    }));

  it("gives similar results with bfloat16 autocast", () =>
    tidy(() => {
      manualSeed(1);
      const model = create({ ...TINY, dropPath: 0 });
      const x = randn([4, 1, 28, 28]);
      const logits = autocast({ dtype: "bfloat16" }, () => model.forward(x)).to("float32");
      expect(logits).toHaveRelL2(model.forward(x), { relL2: 0.05 });
    }));

  it.each([
    [{ patchSize: 3 }, /convnextv2_atto: patchSize must be 1 or 2 or 4, got 3/],
    [{ stemStride: 4 }, /stemStride must be 2, got 4/],
    [{ stemStride: 2, patchSize: 4 }, /patchSize and stemStride both set the stem; leave one of them out/],
    [{ dims: [4, 8, 12] }, /dims must be a list of 4 integers >= 1, got \[4, 8, 12\]/],
    [{ dims: 40 }, /dims must be a list of 4 integers >= 1, got 40/],
    [{ depths: [1, 1, 0, 1] }, /depths must be a list of 4 integers >= 1, got \[1, 1, 0, 1\]/],
    [{ dropPath: 1 }, /dropPath must be in \[0, 1\), got 1/],
    [{ dropPath: Number.NaN }, /dropPath must be in \[0, 1\)/],
    [{ dropPath: "0.1" }, /dropPath must be in \[0, 1\), got "0.1"/],
    [{ numClasses: 0 }, /numClasses must be an integer >= 1, got 0/],
    [{ stem: "small" }, /unknown option "stem"/],
    [{ width: 8 }, /unknown option "width"; known: numClasses, inChannels, patchSize, stemStride, dims, depths, /],
  ])("refuses the options %j", (options, message) => {
    const thrown = expect.objectContaining({ code: "E_CONFIG", message: expect.stringMatching(message) });
    expect(() => createModel("convnextv2_atto", options as ModelOptions)).toThrow(thrown);
  });
});
