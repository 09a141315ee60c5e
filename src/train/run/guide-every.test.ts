import { afterEach, describe, expect, it } from "vitest";
import { parseTrainConfig, type TrainConfigInput } from "../../config/index.ts";
import { createModel, defaultCamLayer, type Model } from "../../models/index.ts";
import { optionsForImages } from "../../models/internal.ts";
import { type GuidedRun, guideEveryOf } from "./guide-every.ts";

const made: Model[] = [];
afterEach(() => {
  for (const model of made.splice(0)) model.dispose();
});

const IMAGE = [1, 28, 28] as const;

/** A network as `train` makes it for images of 28 pixels. */
function network(name: string, options = {}): Model {
  const given = { numClasses: 10, inChannels: 1, ...options };
  const model = createModel(name, { ...given, ...optionsForImages(name, 28, { given: options }) });
  made.push(model);
  return model;
}

function chosen(model: Model, input: TrainConfigInput = {}, run: Partial<GuidedRun> = {}): number | "auto" {
  const about = { model, camLayer: defaultCamLayer(model, IMAGE), image: IMAGE, steps: 1290, hasOwnTerms: false };
  return guideEveryOf(parseTrainConfig(input), { ...about, ...run });
}

describe("the steps that are guided by default", () => {
  it("are more the less of the network is behind the target layer", () => {
    expect(chosen(network("simple-cnn"))).toBe(1);
    expect(chosen(network("resnet18", { width: 16 }))).toBe(4);
    expect(chosen(network("convnextv2_atto"))).toBe(4);
  });

  it("are all of them if the maps are those of the last stage", () => {
    const resnet = network("resnet18", { width: 16 });
    expect(chosen(resnet, {}, { camLayer: resnet.camLayer })).toBe(1);
    const convnext = network("convnextv2_atto", { patchSize: 1 });
    expect(chosen(convnext, {}, { camLayer: convnext.camLayer })).toBe(1);
  });

  it("are at least eighty, so that a short run is guided too", () => {
    const model = network("convnextv2_atto");
    const guided = [40, 159, 160, 319, 320, 5000].map((steps) => chosen(model, {}, { steps }));
    expect(guided).toEqual([1, 1, 2, 2, 4, 4]);
  });

  it("are as the config says, whatever they cost and however short the run is", () => {
    expect(chosen(network("convnextv2_atto"), { guideEvery: 1 })).toBe(1);
    expect(chosen(network("simple-cnn"), { guideEvery: 7 }, { steps: 3 })).toBe(7);
  });

  it("are all of them with a baseline, and with terms that a program adds to the loss", () => {
    const model = network("resnet18", { width: 16 });
    expect(chosen(model, { baseline: "rrr-g", dataset: "decoy-mnist" })).toBe(1);
    expect(chosen(model, {}, { hasOwnTerms: true })).toBe(1);
    expect(chosen(model, { guideEvery: 3, baseline: "saliency-guided" }, { hasOwnTerms: true })).toBe(3);
  });

  it("need no decision in plain training", () => {
    expect(chosen(network("simple-cnn"), { plain: true })).toBe("auto");
  });
});
