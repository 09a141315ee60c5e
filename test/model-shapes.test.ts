import { afterEach, describe, expect, it } from "vitest";
import { MODEL_NAMES } from "../src/config/index.ts";
import { createModel, type Model, type ModelOptions } from "../src/models/index.ts";
import { networkShapes } from "./support/fixtures.ts";
import { hashedState } from "./support/hashed-weights.ts";

const models: Model[] = [];
const create = (name: string, options: ModelOptions = {}): Model => {
  const model = createModel(name, options);
  models.push(model);
  return model;
};
afterEach(() => {
  for (const model of models.splice(0)) model.dispose();
});

const GREY = { inChannels: 1, numClasses: 10 };
const NETWORKS: Record<string, [string, ModelOptions]> = {
  "resnet18 (standard stem)": ["resnet18", { numClasses: 10 }],
  "resnet18 (3x3 stem, 1 channel)": ["resnet18", { ...GREY, stem: "small" }],
  "convnextv2_atto (in_chans=1)": ["convnextv2_atto", GREY],
  "convnextv2_femto (in_chans=1)": ["convnextv2_femto", GREY],
  "convnextv2_pico (in_chans=1)": ["convnextv2_pico", GREY],
  "convnextv2_nano (in_chans=1)": ["convnextv2_nano", GREY],
  "convnextv2_tiny (in_chans=1)": ["convnextv2_tiny", GREY],
  "convnextv2_atto (in_chans=1, stem conv replaced by k2 s2)": ["convnextv2_atto", { ...GREY, stemStride: 2 }],
  "convnextv2_atto (in_chans=1, timm patch_size=2: has stages.0.downsample)": [
    "convnextv2_atto",
    { ...GREY, patchSize: 2 },
  ],
};

const shapesOf = (named: Iterable<[string, { shape: readonly number[] }]>) =>
  Array.from(named, ([name, { shape }]) => [name, shape]);

describe("model_shapes.json", () => {
  it("lists exactly the networks that are compared below", () => {
    expect(Object.keys(networkShapes())).toEqual(Object.keys(NETWORKS));
  });

  it.each(Object.entries(networkShapes()))("has the names, order and shapes of %s", (description, expected) => {
    const [name, options] = NETWORKS[description] as [string, ModelOptions];
    const model = create(name, options);
    expect(shapesOf(model.namedParameters())).toEqual(expected.parameters);
    expect(shapesOf(model.namedBuffers())).toEqual(expected.buffers);
    expect(model.numParameters()).toBe(expected.parameter_count);
    const names = [...expected.parameters, ...expected.buffers].map(([key]) => key);
    expect(new Set(model.stateDict().keys())).toEqual(new Set(names));
  });
});

/** Millions of parameters, from `num_params` of torchvision 0.26.0 and from timm's model cards. */
const SIZES: Record<string, number> = {
  resnet18: 11.689512,
  resnet34: 21.797672,
  convnextv2_atto: 3.71,
  convnextv2_femto: 5.23,
  convnextv2_pico: 9.07,
  convnextv2_nano: 15.62,
  convnextv2_tiny: 28.64,
  convnextv2_base: 88.72,
};

describe("the registry", () => {
  it("creates every model of the configuration", () => {
    expect(["simple-cnn", ...Object.keys(SIZES)]).toEqual([...MODEL_NAMES]);
  });

  it.each(Object.entries(SIZES))(
    "makes %s of the published size, for 1000 classes of colour images",
    (name, millions) => {
      const model = create(name);
      expect(model.numClasses).toBe(1000);
      const digits = String(millions).split(".")[1]?.length ?? 0;
      expect((model.numParameters() / 1e6).toFixed(digits)).toBe(String(millions));
    },
  );
});

describe("networks that the file does not list", () => {
  const blocksOf = (model: Model, pattern: RegExp) => {
    const found = [...model.namedModules().keys()].flatMap((path) => path.match(pattern)?.[1] ?? []);
    return [...new Set(found)].map((stage) => found.filter((other) => other === stage).length);
  };

  it("has 3, 4, 6 and 3 blocks in resnet34, each named as in resnet18", () => {
    const [small, large] = [create("resnet18"), create("resnet34")];
    expect(blocksOf(large, /^layer(\d)\.\d+$/)).toEqual([3, 4, 6, 3]);
    expect(generic(large)).toEqual(generic(small));
  });

  it("has 3, 3, 27 and 3 blocks in convnextv2_base, each named as in convnextv2_tiny", () => {
    const [small, large] = [create("convnextv2_tiny"), create("convnextv2_base")];
    expect(blocksOf(large, /^stages\.(\d)\.blocks\.\d+$/)).toEqual([3, 3, 27, 3]);
    expect(generic(large)).toEqual(generic(small));
    const state = large.stateDict();
    expect(state.get("stages.3.blocks.2.mlp.fc1.weight")?.shape).toEqual([4096, 1024]);
    expect(state.get("head.fc.weight")?.shape).toEqual([1000, 1024]);
  });

  /** State-dict names without the numbers of the blocks, each once. The second block represents all later ones. */
  function generic(model: Model): Set<string> {
    const names = [...model.stateDict().keys()];
    return new Set(names.map((name) => name.replace(/(blocks|layer\d)\.[1-9]\d*\./, "$1.n.")));
  }
});

describe("a state dict", () => {
  it.each([
    ["resnet18", { width: 4, numClasses: 3 }],
    ["convnextv2_atto", { dims: [4, 6, 8, 10], depths: [1, 1, 2, 1], numClasses: 3 }],
  ] as const)("is loaded completely by %s, and saved unchanged", (name, options) => {
    const model = create(name, options);
    const state = hashedState(model.stateDict());
    expect(model.loadStateDict(state)).toEqual({ missing: [], unexpected: [] });
    const back = model.stateDict();
    expect([...back.keys()]).toEqual([...state.keys()]);
    for (const [key, value] of state) expect(back.get(key)?.equal(value), key).toBe(true);
    for (const value of state.values()) value.dispose();
  });

  it("of another variant is refused, naming both shapes", () => {
    const [atto, tiny] = [create("convnextv2_atto"), create("convnextv2_femto")];
    expect(() => atto.loadStateDict(tiny.stateDict())).toThrow(
      /stem.0.weight is \[40, 3, 4, 4\] here and \[48, 3, 4, 4\] in the state/,
    );
  });

  it("of the other stem is refused, naming the weights that differ", () => {
    const [plain, patch] = [create("convnextv2_atto", { stemStride: 2 }), create("convnextv2_atto", { patchSize: 2 })];
    expect(() => plain.loadStateDict(patch.stateDict())).toThrow(/4 unexpected \(stages.0.downsample.0.weight, /);
  });
});
