import { truncateSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { TrainConfigInput } from "../src/config/index.ts";
import { saveSafetensors } from "../src/io/index.ts";
import { createModel, loadPretrained, type Model, type ModelOptions } from "../src/models/index.ts";
import { manualSeed, noGrad, type Tensor, tidy, zeros } from "../src/tensor/index.ts";
import { train } from "../src/train.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const folder = temporaryFolder("pretrained");

const models: Model[] = [];
afterEach(() => {
  for (const model of models.splice(0)) model.dispose();
});
function make(name: string, options: ModelOptions, seed = 0): Model {
  manualSeed(seed);
  const model = createModel(name, options);
  models.push(model);
  return model;
}

const SMALL: [string, ModelOptions][] = [
  ["resnet18", { width: 4, stem: "small" }],
  ["convnextv2_atto", { dims: [4, 8, 12, 16], depths: [1, 1, 2, 1], patchSize: 1 }],
  ["simple-cnn", { head: "gap" }],
];

const weightOf = (model: Model, name: string) => model.namedParameters().get(name) as Tensor;

describe.each(SMALL)("loadPretrained into %s", (name, options) => {
  const of = (extra: ModelOptions, seed: number) => make(name, { ...options, ...extra }, seed);

  it("copies weights that fit, without a note", () =>
    tidy(() => {
      const [from, to] = [of({ numClasses: 7, inChannels: 3 }, 1), of({ numClasses: 7, inChannels: 3 }, 2)];
      expect(loadPretrained(to, from.stateDict())).toEqual({ notes: [] });
      for (const [key, value] of from.stateDict()) expect(to.stateDict().get(key)?.equal(value), key).toBe(true);
    }));

  it("keeps the new classifier for another number of classes, with a note", () =>
    tidy(() => {
      const [from, to] = [of({ numClasses: 1000, inChannels: 3 }, 1), of({ numClasses: 10, inChannels: 3 }, 2)];
      const before = weightOf(to, `${to.classifier}.weight`).clone();
      const { notes } = loadPretrained(to, from.stateDict());
      expect(notes).toEqual([
        expect.stringMatching(/keeps its initial values: the weights are for 1000 classes, the model has 10/),
      ]);
      expect(weightOf(to, `${to.classifier}.weight`).equal(before)).toBe(true);
      const stem = `${to.firstConv}.weight`;
      expect(weightOf(to, stem).equal(weightOf(from, stem))).toBe(true);
    }));

  it("sums the first convolution for one channel: a grey image in three channels gives the same logits", () =>
    tidy(() => {
      const [from, to] = [of({ numClasses: 5, inChannels: 3 }, 1), of({ numClasses: 5, inChannels: 1 }, 2)];
      expect(loadPretrained(to, from.stateDict()).notes).toEqual([expect.stringMatching(/summed over its channels/)]);
      from.eval();
      to.eval();
      const grey = zeros([2, 1, 32, 32]).add(0.3);
      const images = name === "simple-cnn" ? grey.narrow(2, 0, 28).narrow(3, 0, 28) : grey;
      noGrad(() => {
        expect(to.forward(images)).toBeAllclose(from.forward(images.repeat([1, 3, 1, 1])), { rtol: 1e-4, atol: 1e-5 });
      });
    }));

  it("repeats it cyclically and scales it for other numbers of channels, as timm does", () =>
    tidy(() => {
      const [from, to] = [of({ numClasses: 5, inChannels: 3 }, 1), of({ numClasses: 5, inChannels: 5 }, 2)];
      expect(loadPretrained(to, from.stateDict()).notes).toEqual([expect.stringMatching(/repeated to 5 channels/)]);
      const [original, adapted] = [weightOf(from, `${from.firstConv}.weight`), weightOf(to, `${to.firstConv}.weight`)];
      [0, 1, 2, 0, 1].forEach((channel, i) => {
        expect(adapted.select(1, i)).toBeAllclose(original.select(1, channel).mul(3 / 5), { rtol: 1e-6, atol: 0 });
      });
    }));

  it("changes nothing if a name is missing, unexpected or of another shape", () =>
    tidy(() => {
      const to = of({ numClasses: 5, inChannels: 3 }, 2);
      const before = new Map(Array.from(to.stateDict(), ([key, value]) => [key, value.clone()]));
      const state = of({ numClasses: 5, inChannels: 3 }, 1).stateDict();
      const stem = `${to.firstConv}.weight`;
      const spoilt = [
        new Map([...state].filter(([key]) => key !== stem)),
        new Map([...state, ["extra.weight", zeros([1])]]),
        new Map([...state, [stem, zeros([1, 3, 9, 9])]]),
      ];
      for (const wrong of spoilt) expect(() => loadPretrained(to, wrong)).toThrow(/looks? like|the state/);
      for (const [key, value] of before) expect(to.stateDict().get(key)?.equal(value), key).toBe(true);
    }));
});

describe("weights of another architecture", () => {
  const state = (name: string, options: ModelOptions) =>
    make(name, { numClasses: 3, inChannels: 3, ...options }).stateDict();

  it.each([
    ["resnet18", {}, "resnet34", {}, /look like resnet18/],
    ["convnextv2_atto", {}, "resnet18", {}, /look like convnextv2_atto/],
    ["convnextv2_femto", {}, "convnextv2_atto", {}, /look like convnextv2_femto/],
    ["simple-cnn", { head: "gap" }, "resnet18", {}, /look like simple-cnn/],
  ] as const)("of %s %o are refused by %s, naming what they look like", (from, options, to, toOptions, message) =>
    tidy(() => {
      const target = make(to, { numClasses: 3, inChannels: 3, ...toOptions });
      expect(() => loadPretrained(target, state(from, options))).toThrow(
        expect.objectContaining({ message: expect.stringMatching(message) }),
      );
    }),
  );

  it.each([
    ["layer1.0.conv3.weight", /bottleneck blocks/],
    ["model.layer1.0.weight", /prefix/],
    ["visual.weight", /none of this project's models/],
    ["downsample_layers.0.0.weight", /authors' repository/],
  ])("with names such as %s are recognised", (name, message) =>
    tidy(() => {
      const target = make("resnet18", { width: 4, numClasses: 3 });
      expect(() => loadPretrained(target, new Map([[name, zeros([1])]]))).toThrow(
        expect.objectContaining({ code: "E_CHECKPOINT", message: expect.stringMatching(message) }),
      );
    }),
  );
});

describe("train --weights", () => {
  const config: TrainConfigInput = {
    model: "resnet18",
    ...{ output: folder, width: 4, limitTrain: 64, valImages: 20, limitTest: 20 },
    ...{ batchSize: 32, epochs: 1, figures: false, plain: true },
  };

  it("starts from a file for other classes and channels, and reports what was adapted", async () => {
    const path = join(folder, "imagenet.safetensors");
    await saveSafetensors(path, make("resnet18", { width: 4, stem: "small" }).stateDict());
    const warnings: string[] = [];
    const onEvent = (event: { type: string; message?: string }) =>
      event.message?.startsWith("weights:") && warnings.push(event.message);
    await train({ ...config, experiment: "tuned", weights: path }, { onEvent });
    expect(warnings).toEqual([
      expect.stringMatching(
        /^weights: fc keeps its initial values: the weights are for 1000 classes, the model has 10$/,
      ),
      expect.stringMatching(/^weights: conv1.weight is summed/),
    ]);
  });

  it("reads torch.save files, names what they look like if they do not fit, and never runs code in them", async () => {
    const torchFile = (name: string) => join(import.meta.dirname, "fixtures", "torch-files", name);
    await expect(train({ ...config, experiment: "pth", weights: torchFile("model.pth") })).rejects.toMatchObject({
      code: "E_CHECKPOINT",
      message: expect.stringMatching(/does not fit ResNet/),
    });
    await expect(
      train({ ...config, experiment: "evil", weights: torchFile("hostile-os-system.pth") }),
    ).rejects.toMatchObject({
      code: "E_DATA",
    });
  });

  it("names the options if the weights have another stem", async () => {
    const path = join(folder, "stem.safetensors");
    await saveSafetensors(path, make("resnet18", { width: 4, stem: "imagenet" }).stateDict());
    await expect(train({ ...config, experiment: "stem", weights: path })).rejects.toMatchObject({
      code: "E_CHECKPOINT",
      message: expect.stringMatching(
        /^weights: .*stem\.safetensors: the weights are those of another network: give \{ stem: "imagenet" \} to train that one\. The mismatch: .*conv1\.weight/,
      ),
    });
    const { test } = await train({ ...config, experiment: "stem", weights: path, stem: "imagenet", overwrite: true });
    expect(test?.images).toBe(20);
  });

  it("loads the best epoch of a run, and removes DataParallel's prefix", async () => {
    await train({ ...config, experiment: "first" });
    const warnings: string[] = [];
    const onEvent = (event: { type: string; message?: string }) =>
      event.message?.startsWith("weights:") && warnings.push(event.message);
    await train({ ...config, experiment: "second", weights: join(folder, "first") }, { onEvent });
    const path = join(folder, "parallel.safetensors");
    const state = make("resnet18", { width: 4, stem: "small", inChannels: 1, numClasses: 10 }).stateDict();
    await saveSafetensors(path, new Map(Array.from(state, ([name, tensor]) => [`module.${name}`, tensor])));
    await train({ ...config, experiment: "third", weights: path }, { onEvent });
    expect(warnings).toEqual([]);
  });

  it("refuses images that the model's stem reduces to size 0, before a run is made", async () => {
    const small = {
      ...config,
      width: undefined,
      model: "convnextv2_atto",
      patchSize: 4,
      experiment: "nothing",
    } as const;
    const { width: _, ...asked } = small;
    await expect(train(asked)).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringMatching(
        /28x28 are too small; it needs at least 32x32: choose a stem that reduces the image less/,
      ),
    });
  });

  it("refuses a file that is missing or half downloaded, and makes no run", async () => {
    const path = join(folder, "half.safetensors");
    await saveSafetensors(path, make("resnet18", { width: 4, stem: "small" }).stateDict());
    truncateSync(path, 20_000);
    const half = train({ ...config, experiment: "half", weights: path });
    await expect(half).rejects.toMatchObject({ code: "E_DATA", message: expect.stringContaining("half.safetensors") });
    const none = train({ ...config, experiment: "none", weights: join(folder, "none.safetensors") });
    await expect(none).rejects.toMatchObject({ code: "E_IO" });
  });
});
