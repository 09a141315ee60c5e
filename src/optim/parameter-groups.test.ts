import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { grad, ones, type Tensor, tidy, zeros } from "../tensor/index.ts";
import { AdamW, layersOf, type ParameterGroup, parameterGroups } from "./index.ts";

const CONVNEXT = [
  "stem.0.weight",
  "stages.0.blocks.0.conv_dw.weight",
  "stages.0.blocks.1.conv_dw.weight",
  "stages.1.downsample.1.weight",
  "stages.1.blocks.0.conv_dw.weight",
  "stages.1.blocks.10.conv_dw.weight",
  "stages.1.blocks.2.conv_dw.weight",
  "head.fc.weight",
];
const PATTERNS = [/^stem/, /^stages\.(\d+)\.(?:blocks\.(\d+)|downsample)/];

const namesOf = (groups: readonly ParameterGroup[]) =>
  groups.map(({ params, lr, weightDecay }) => ({
    names: Array.from(params, (item) => (item as [string, Tensor])[0]),
    lr,
    weightDecay,
  }));

describe("layersOf", () => {
  it("counts layers from the input, by the patterns' order and by number, not by letter", () => {
    expect([...layersOf(CONVNEXT, PATTERNS).values()]).toEqual([0, 1, 2, 3, 3, 5, 4, 6]);
  });

  it("puts everything into one layer without patterns", () => {
    expect(new Set(layersOf(CONVNEXT, []).values())).toEqual(new Set([0]));
  });

  it("gives every layer from 0 to the last at least one name, in whatever order the names come", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(CONVNEXT, { minLength: 1 }), (names) => {
        const depths = [...layersOf(names, PATTERNS).values()];
        expect([...new Set(depths)].sort((a, b) => a - b)).toEqual([...new Set(depths)].map((_, i) => i));
      }),
    );
  });
});

describe("parameterGroups", () => {
  const named = () =>
    new Map<string, Tensor>([
      ["conv1.weight", zeros([2, 1, 3, 3])],
      ["conv1.bias", zeros([2])],
      ["layer1.0.weight", zeros([2, 2])],
      ["layer2.0.weight", zeros([2, 2])],
      ["fc.weight", zeros([3, 2])],
      ["fc.bias", zeros([3])],
    ]);
  const layers = [/^conv1/, /^layer(\d+)\.(\d+)/];

  it("spares norms and biases the decay, and makes one group of the rest", () =>
    tidy(() => {
      expect(namesOf(parameterGroups(named(), { lr: 0.1, weightDecay: 0.05 }))).toEqual([
        { names: ["conv1.weight", "layer1.0.weight", "layer2.0.weight", "fc.weight"], lr: 0.1, weightDecay: 0.05 },
        { names: ["conv1.bias", "fc.bias"], lr: 0.1, weightDecay: 0 },
      ]);
      expect(parameterGroups(named(), { lr: 0.1, weightDecay: 0.05, filterBiasAndBn: false })).toHaveLength(1);
      expect(parameterGroups(named(), { lr: 0.1, weightDecay: 0 })).toHaveLength(1);
    }));

  it("gives layer l of L the rate lr · layerDecay^(L − 1 − l), as timm does", () =>
    tidy(() => {
      const groups = namesOf(parameterGroups(named(), { lr: 1, weightDecay: 0, layerDecay: 0.5, layers }));
      expect(groups).toEqual([
        { names: ["conv1.weight", "conv1.bias"], lr: 0.125, weightDecay: 0 },
        { names: ["layer1.0.weight"], lr: 0.25, weightDecay: 0 },
        { names: ["layer2.0.weight"], lr: 0.5, weightDecay: 0 },
        { names: ["fc.weight", "fc.bias"], lr: 1, weightDecay: 0 },
      ]);
    }));

  it("reaches the optimizer: each layer moves by its own rate, also when a schedule sets the rate", () =>
    tidy(() => {
      const weights = new Map(
        ["conv1.weight", "fc.weight"].map((name) => [name, ones([2, 2], { requiresGrad: true })]),
      );
      const optimizer = new AdamW(parameterGroups(weights, { lr: 1, weightDecay: 0, layerDecay: 0.5, layers }), {
        lr: 1,
        weightDecay: 0,
      });
      optimizer.lr = 0.01;
      for (const weight of weights.values()) weight.grad = grad(weight.sum(), weight)[0] as Tensor;
      optimizer.step();
      expect((weights.get("conv1.weight") as Tensor).mean().item()).toBeCloseTo(1 - 0.005, 6);
      expect((weights.get("fc.weight") as Tensor).mean().item()).toBeCloseTo(1 - 0.01, 6);
      optimizer.dispose();
    }));

  it.each([
    [{ layerDecay: 0 }, /layerDecay must be in \(0, 1\], got 0/],
    [{ layerDecay: 1.5 }, /layerDecay must be in \(0, 1\], got 1.5/],
    [{ layerDecay: Number.NaN }, /layerDecay must be in \(0, 1\], got NaN/],
    [{ weightDecay: -1 }, /weightDecay must be a number >= 0, got -1/],
  ])("refuses %o", (options, message) => {
    expect(() => parameterGroups(new Map(), { lr: 1, weightDecay: 0, ...options })).toThrow(
      expect.objectContaining({ code: "E_ARGUMENT", message: expect.stringMatching(message) }),
    );
  });
});
