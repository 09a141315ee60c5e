import { describe, expect, it } from "vitest";
import { kernelsRunBy } from "../../../test/support/kernels-run.ts";
import { explain, normalizeMaps } from "../../cam/index.ts";
import { normalize, splitOf } from "../../data/index.ts";
import { l1, ssim } from "../../losses/index.ts";
import { createModel, type Model } from "../../models/index.ts";
import { arange, interpolate, manualSeed, rand, tidy } from "../../tensor/index.ts";
import { evaluateSplit, explainTrueClasses } from "./validation.ts";

/** Images (12, 1, 28, 28) of three classes. */
function images() {
  manualSeed(1);
  const pixels = rand([12, 1, 28, 28]).mul(255).to("uint8");
  return splitOf(pixels, arange(12).remainder(3).to("int64"), { numClasses: 3 });
}

const MODELS: [string, () => Model][] = [
  ["a hidden layer", () => createModel("simple-cnn", { numClasses: 3, inChannels: 1 })],
  ["a linear head", () => createModel("simple-cnn", { numClasses: 3, inChannels: 1, head: "gap" })],
  ["batch norms", () => createModel("resnet18", { numClasses: 3, inChannels: 1, width: 4 })],
];

describe("evaluateSplit", () => {
  it.each(MODELS)("compares the maps that explain gives, without a backward pass: %s", async (_, make) => {
    const split = images();
    const [model, prototypes] = [make(), rand([3, 28, 28])];
    const record = await evaluateSplit(model, split, { camLayer: model.camLayer, prototypes, batchSize: 5 });
    model.eval();
    const [similarity, difference] = tidy(() => {
      const pixels = normalize(split.images.to("float32").div(255), split.normalization);
      const { maps } = explain(model, pixels, {
        ...{ targets: split.labels, layer: model.camLayer, upsample: false, normalize: false },
      });
      const scaled = normalizeMaps(interpolate(maps, { size: [28, 28] }), { eps: 1e-6, relative: true });
      const own = prototypes.indexSelect(0, split.labels);
      return [ssim(scaled, own).mean().item(), l1(scaled, own).mean().item()];
    });
    expect(record.mapSsim).toBeCloseTo(similarity, 5);
    expect(record.mapL1).toBeCloseTo(difference, 5);
    const indices = Int32Array.of(0, 1, 2);
    const kernels = kernelsRunBy(() => explainTrueClasses(model, split, indices, { camLayer: model.camLayer }));
    expect(kernels.filter((name) => /backward/i.test(name))).toEqual([]);
  });
});
