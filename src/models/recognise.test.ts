import { describe, expect, it } from "vitest";
import { tensor, tidy } from "../tensor/index.ts";
import { createModel, describeWeights, type ModelOptions } from "./index.ts";

const MODELS: [string, ModelOptions][] = [
  ["simple-cnn", { numClasses: 7, inChannels: 3, imageSize: 32, head: "mlp", norm: "batch" }],
  ["simple-cnn", { numClasses: 4, inChannels: 1, head: "gap", norm: "none" }],
  ["resnet18", { numClasses: 5, inChannels: 1, width: 8, stem: "small" }],
  ["resnet34", { numClasses: 5, inChannels: 3, width: 4, stem: "imagenet" }],
  ["convnextv2_atto", { numClasses: 5, inChannels: 3, patchSize: 4 }],
  ["convnextv2_atto", { numClasses: 5, inChannels: 3, patchSize: 2 }],
  ["convnextv2_atto", { numClasses: 5, inChannels: 1, patchSize: 1 }],
  ["convnextv2_atto", { numClasses: 2, inChannels: 1, stemStride: 2 }],
];

describe("describeWeights", () => {
  it.each(MODELS)("finds %s with %o from its weights alone", (name, options) =>
    tidy(() => {
      using model = createModel(name, options);
      const found = describeWeights(model.stateDict());
      expect(found).toEqual({ name, options });
      using again = createModel(found.name, found.options);
      again.loadStateDict(model.stateDict());
    }),
  );

  it("says what foreign weights look like", () =>
    tidy(() => {
      const foreign = (names: string[]) => new Map(names.map((name) => [name, tensor([1])]));
      expect(() => describeWeights(foreign(["layer1.0.conv3.weight"]))).toThrow(
        /look like a ResNet with bottleneck blocks/,
      );
      expect(() => describeWeights(foreign(["a", "b"]))).toThrow(
        /no architecture of this project \(the first of 2: "a", "b"\)/,
      );
      expect(() => describeWeights(foreign([]))).toThrow(/first of 0: none/);
      expect(() => describeWeights({} as never)).toThrow(/weights must be a Map/);
    }));
});
