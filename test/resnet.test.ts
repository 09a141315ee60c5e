import { afterEach, describe, expect, it } from "vitest";
import { createModel, defaultCamLayer, type Model, type ModelOptions, mapSize } from "../src/models/index.ts";
import { layersOf } from "../src/optim/parameter-groups.ts";
import { manualSeed, memory, randn, type Tensor, tidy, zeros } from "../src/tensor/index.ts";
import { fixture } from "./support/fixtures.ts";
import { expectNetwork } from "./support/network-case.ts";

const NETWORKS = ["model_narrow_resnet18", "model_resnet18_small", "model_resnet18_std"];

describe.each(NETWORKS)("the network of %s", (name) => {
  describe.each(["float32", "float64"] as const)("in %s", (dtype) => {
    it.each(["eval", "train"] as const)("has torchvision's values, gradients and statistics in %s mode", (mode) =>
      expectNetwork(fixture(name), { mode, dtype }),
    );
  });
});

const models: Model[] = [];
const create = (options: ModelOptions = {}, name = "resnet18"): Model => {
  const model = createModel(name, options);
  models.push(model);
  return model;
};
afterEach(() => {
  for (const model of models.splice(0)) model.dispose();
});

const SMALL: ModelOptions = { stem: "small", width: 4, inChannels: 1, numClasses: 5 };
const weights = (model: Model, pattern: RegExp) =>
  [...model.namedParameters()].filter(([name]) => pattern.test(name)).map(([name, weight]) => ({ name, weight }));

describe("the maps of a ResNet", () => {
  const sides = (model: Model, side: number) =>
    model.camLayers.map((layer) => mapSize(model, [3, side, side], layer).join());

  it("halve from stage to stage", () => {
    const imagenet = create({ width: 2 });
    expect(imagenet.camLayers).toEqual(["layer1", "layer2", "layer3", "layer4"]);
    expect(sides(imagenet, 224)).toEqual(["56,56", "28,28", "14,14", "7,7"]);
    expect(sides(imagenet, 28)).toEqual(["7,7", "4,4", "2,2", "1,1"]);
    expect(sides(create({ width: 2, stem: "small" }), 28)).toEqual(["28,28", "14,14", "7,7", "4,4"]);
  });

  it("are those of layer4 unless the images are small", () => {
    const imagenet = create({ width: 2 });
    expect(imagenet.camLayer).toBe("layer4");
    expect(defaultCamLayer(imagenet, [3, 224, 224])).toBe("layer4");
    expect(defaultCamLayer(imagenet, [3, 64, 64])).toBe("layer2");
    expect(defaultCamLayer(create(SMALL), [1, 28, 28])).toBe("layer3");
    expect(defaultCamLayer(create(SMALL), [1, 64, 64])).toBe("layer4");
  });

  it("have `width` channels in the first stage and twice as many in each next one", () =>
    tidy(() => {
      const model = create({ ...SMALL, width: 6 });
      const { logits, taps } = model.forwardWith(randn([2, 1, 16, 20]), { taps: ["bn1", ...model.camLayers] });
      expect(Object.values(taps).map(({ shape }) => shape)).toEqual([
        [2, 6, 16, 20],
        [2, 6, 16, 20],
        [2, 12, 8, 10],
        [2, 24, 4, 5],
        [2, 48, 2, 3],
      ]);
      expect(logits.shape).toEqual([2, 5]);
    }));

  it("are read by fc, globally averaged", () =>
    tidy(() => {
      const model = create(SMALL);
      const { layer, weight } = model.closedFormHead() as { layer: string; weight: Tensor };
      expect(layer).toBe("fc");
      const { logits, taps } = model.forwardWith(randn([2, 1, 28, 28]), { taps: ["layer4", "avgpool", "fc"] });
      expect(taps.avgpool).toBeAllclose((taps.layer4 as Tensor).mean([2, 3], { keepDims: true }), { rtol: 1e-5 });
      expect((taps.fc as Tensor).tolist()).toEqual(logits.tolist());
      const bias = model.stateDict().get("fc.bias") as Tensor;
      const expected = (taps.layer4 as Tensor).mean([2, 3]).matmul(weight.t());
      expect(logits).toBeAllclose(expected.add(bias), { rtol: 1e-5, atol: 1e-6 });
    }));
});

describe("a new ResNet", () => {
  it("has normal convolutions of deviation √(2 / fanOut)", () => {
    manualSeed(0);
    const model = create({ width: 16 }, "resnet34");
    const convolutions = weights(model, /conv\d\.weight$|downsample\.0\.weight$/);
    expect(convolutions.length).toBe(36);
    tidy(() => {
      const units = convolutions.map(({ name, weight }) => {
        const [outputs = 0, , ...kernel] = weight.sizes;
        const unit = weight.div(Math.sqrt(2 / (outputs * kernel.reduce((a, b) => a * b)))).flatten();
        expect(Math.abs(unit.std().item() - 1), name).toBeLessThan(5 / Math.sqrt(2 * unit.numel)); // five standard errors
        expect(Math.abs(unit.mean().item()), name).toBeLessThan(5 / Math.sqrt(unit.numel));
        return unit;
      });
      const largest = units.at(-1) as Tensor;
      expect(largest.square().square().mean().item()).toBeCloseTo(3, 0); // a uniform distribution would give 1.8
      expect(largest.abs().max().item()).toBeGreaterThan(3.5);
    });
  });

  it("has norms of weight 1 and bias 0, statistics 0 and 1, and torch's uniform linear layer", () => {
    const model = create({ width: 8, numClasses: 50 });
    for (const { name, weight } of weights(model, /(bn\d|downsample\.1)\./)) {
      tidy(() =>
        expect(
          weight
            .eq(name.endsWith("weight") ? 1 : 0)
            .all()
            .item(),
          name,
        ).toBe(1),
      );
    }
    for (const [name, value] of model.namedBuffers()) {
      tidy(() =>
        expect(
          value
            .eq(name.endsWith("running_var") ? 1 : 0)
            .all()
            .item(),
          name,
        ).toBe(1),
      );
    }
    tidy(() => {
      const bound = 1 / Math.sqrt(64);
      for (const { weight } of weights(model, /^fc/)) {
        expect(weight.abs().max().item()).toBeLessThanOrEqual(bound);
        expect(weight.abs().max().item()).toBeGreaterThan(0.8 * bound);
      }
    });
  });

  it("starts each block as its shortcut with zeroInitLast", () =>
    tidy(() => {
      const model = create({ ...SMALL, zeroInitLast: true });
      const last = weights(model, /bn2\.weight$/);
      expect(last.length).toBe(8);
      for (const { weight } of last) expect(weight.abs().max().item()).toBe(0);
      for (const { weight } of weights(model, /bn1\.weight$/)) expect(weight.min().item()).toBe(1);
      const { taps } = model.forwardWith(randn([3, 1, 16, 16]), { taps: ["relu", "layer1", "layer4.0", "layer4.1"] });
      expect(taps.layer1).toBeAllclose(taps.relu as Tensor, { rtol: 0, atol: 0 });
      expect(taps["layer4.1"]).toBeAllclose(taps["layer4.0"] as Tensor, { rtol: 0, atol: 0 });
    }));

  it("is the same for the same seed, and different for another", () => {
    const [a, b, c] = [4, 4, 5].map((seed) => {
      manualSeed(seed);
      return create(SMALL).stateDict().get("layer3.0.downsample.0.weight") as Tensor;
    }) as [Tensor, Tensor, Tensor];
    expect(a.equal(b)).toBe(true);
    expect(a.equal(c)).toBe(false);
  });

  it("is freed by dispose", () => {
    const before = memory().liveTensors;
    createModel("resnet18", SMALL).dispose();
    expect(memory().liveTensors).toBe(before);
  });
});

describe("the layers of a ResNet", () => {
  it("are, for layer-wise rates, the stem, each block and the head", () => {
    const model = create(SMALL);
    const layers = layersOf([...model.namedParameters().keys()], model.layerPatterns);
    expect(new Set(layers.values())).toEqual(new Set(Array.from({ length: 10 }, (_, i) => i)));
    const some = [
      "conv1.weight",
      "bn1.bias",
      "layer1.0.bn2.weight",
      "layer2.0.downsample.0.weight",
      "layer4.1.bn1.bias",
    ];
    expect(some.map((name) => layers.get(name))).toEqual([0, 0, 1, 3, 8]);
    expect(layers.get("fc.weight")).toBe(9);
  });
});

describe("a ResNet on unusual input", () => {
  it("takes any size from 1x1 on, and an empty batch", () =>
    tidy(() => {
      const model = create({ width: 2, numClasses: 3 }).eval();
      expect(model.forward(zeros([2, 3, 1, 1])).shape).toEqual([2, 3]);
      expect(model.forward(zeros([1, 3, 5, 40])).shape).toEqual([1, 3]);
      expect(model.forward(zeros([0, 3, 32, 32])).shape).toEqual([0, 3]);
    }));

  it("passes NaN only to the logits of the same image, in evaluation mode", () =>
    tidy(() => {
      const model = create(SMALL).eval();
      const x = randn([3, 1, 28, 28]);
      const clean = model.forward(x);
      x.select(0, 1).narrow(1, 3, 1).fill_(Number.NaN);
      const logits = model.forward(x);
      expect(logits.select(0, 1).isnan().all().item()).toBe(1);
      for (const b of [0, 2]) expect(logits.select(0, b)).toBeAllclose(clean.select(0, b), { rtol: 0, atol: 0 });
    }));

  it.each([
    [[2, 3, 28, 28], /ResNet: x must be \[N, 1, H, W\], got \[2, 3, 28, 28\]/],
    [[1, 28, 28], /ResNet: x must be \[N, 1, H, W\], got \[1, 28, 28\]/],
    [[2, 1, 0, 28], /images of 0x28 are too small; it needs at least 1x1/],
  ])("refuses images of %j", (shape, message) => {
    const model = create(SMALL);
    const forward = () => tidy(() => model.forward(zeros(shape)));
    expect(forward).toThrow(expect.objectContaining({ code: "E_SHAPE", message: expect.stringMatching(message) }));
  });

  it("explains why a single image cannot be trained on if its map has one cell", () => {
    const model = create({ width: 2 });
    expect(() => tidy(() => model.forward(zeros([1, 3, 32, 32])))).toThrow(/more than one value per channel/);
  });

  it("refuses a tensor that has been freed", () => {
    const x = zeros([1, 1, 28, 28]);
    x.dispose();
    expect(() => create(SMALL).forward(x)).toThrow(expect.objectContaining({ code: "E_DISPOSED" }));
  });

  it.each([
    [{ stem: "smal" }, /resnet18: stem must be "imagenet" or "small", got "smal"/],
    [{ width: 0 }, /width must be an integer >= 1, got 0/],
    [{ width: 2.5 }, /width must be an integer >= 1, got 2.5/],
    [{ numClasses: -1 }, /numClasses must be an integer >= 1/],
    [{ inChannels: "3" }, /inChannels must be an integer >= 1, got "3"/],
    [{ zeroInitLast: 1 }, /zeroInitLast must be true or false, got 1/],
    [{ widht: 4 }, /unknown option "widht" \(did you mean "width"\?\)/],
    [{ patchSize: 2 }, /unknown option "patchSize"; known: numClasses, inChannels, stem, width, zeroInitLast/],
    [{ head: "gap" }, /unknown option "head"/],
  ])("refuses the options %j", (options, message) => {
    const thrown = expect.objectContaining({ code: "E_CONFIG", message: expect.stringMatching(message) });
    expect(() => createModel("resnet18", options as ModelOptions)).toThrow(thrown);
  });
});
