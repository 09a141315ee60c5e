import { describe, expect, it } from "vitest";
import { parseTrainConfig } from "../../config/index.ts";
import { augmentationOf } from "./from-config.ts";

describe("augmentationOf", () => {
  it("is null for a config that changes no image", () => {
    expect(augmentationOf(parseTrainConfig({}))).toBeNull();
    expect(augmentationOf(parseTrainConfig({ randAugmentOps: 3 }))).toBeNull();
  });

  it.each([
    [{ augShift: 0.1 }, { shift: 0.1 }],
    [{ augRotate: 10 }, { rotate: 10 }],
    [{ augScale: 0.2 }, { scale: 0.2 }],
    [{ augFlip: true }, { flip: true }],
    [{ augErase: 0.5 }, { erase: 0.5 }],
    [{ augBrightness: 0.3 }, { brightness: 0.3 }],
    [{ augCrop: 0.4 }, { crop: 0.4 }],
    [{ randAugment: 5 }, { randAugment: 5, randAugmentOps: 2 }],
  ])("has the options of %o", (config, options) => {
    expect(augmentationOf(parseTrainConfig(config))).toMatchObject(options);
  });
});
