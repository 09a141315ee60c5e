import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { saveSafetensors } from "../io/index.ts";
import { getRngState, memory, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import { createModel, describeWeights, loadPretrained, loadWeights, type Model, type ModelOptions } from "./index.ts";

const folder = temporaryFolder("load-weights");
const fixture = (name: string) => fileURLToPath(new URL(`../../test/fixtures/torch-files/${name}`, import.meta.url));

let live: number;
beforeEach(() => {
  live = memory().liveTensors;
});
afterEach(() => expect(memory().liveTensors).toBe(live));

let files = 0;
const newPath = (name = "weights.safetensors") => {
  const place = join(folder, String(files++));
  mkdirSync(place);
  return join(place, name);
};

/** Saves tensors of one element, numbered in turn. */
async function saved(names: readonly string[], path = newPath()): Promise<string> {
  const tensors = new Map(names.map((name, i) => [name, tensor([i])]));
  await saveSafetensors(path, tensors);
  free(tensors);
  return path;
}

const free = (tensors: ReadonlyMap<string, Tensor>) => {
  for (const value of tensors.values()) value.dispose();
};

/** The result of loading a file: its names and its notes. */
async function read(path: string, key?: string): Promise<{ names: string[]; notes: string[] }> {
  const { weights, notes } = await loadWeights(path, { key });
  const names = [...weights.keys()];
  free(weights);
  return { names, notes };
}

const RESNET = ["conv1.weight", "layer1.0.conv1.weight", "fc.weight"];

describe("loadWeights, on names", () => {
  it.each<[string, RegExp | null]>([
    ["", null],
    ["module.", null],
    ["_orig_mod.", null],
    ["module._orig_mod.", null],
    ["_orig_mod.module.", null],
    ["model.", /^the prefix "model\." was removed from every name$/],
    ["module.model.", /prefix "model\."/],
    ["model.backbone.", /prefix "model\.backbone\."/],
    ["encoder.", /prefix "encoder\."/],
    ["student.", /prefix "student\."/],
  ])("takes the prefix %j off where all names have it", async (prefix, note) => {
    const { names, notes } = await read(await saved(RESNET.map((name) => prefix + name)));
    expect(names.toSorted()).toEqual(RESNET.toSorted());
    expect(notes).toEqual(note === null ? [] : [expect.stringMatching(note)]);
  });

  it("leaves a prefix that not all names have, or that hides no known network", async () => {
    const mixed = ["model.conv1.weight", "criterion.weight"];
    expect((await read(await saved(mixed))).names.toSorted()).toEqual(mixed.toSorted());
    expect((await read(await saved(["a.weight", "a.bias"]))).names.toSorted()).toEqual(["a.bias", "a.weight"]);
  });

  it("reads only those that start with the key", async () => {
    const path = await saved([...RESNET.map((name) => `model.${name}`), "criterion.weight"]);
    expect((await read(path, "model")).names.toSorted()).toEqual(RESNET.toSorted());
    await expect(loadWeights(path, { key: "net" })).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/begin with "net\.", got (?:criterion, model|model, criterion); .*\(weightsKey\)/),
    });
  });

  it("refuses a file without tensors", async () => {
    await expect(loadWeights(await saved([]))).rejects.toMatchObject({ code: "E_DATA" });
  });

  it("reads the one linear layer of a sequence as the head", async () => {
    const { names, notes } = await read(await saved([...RESNET.slice(0, 2), "fc.1.weight", "fc.1.bias"]));
    expect(names.toSorted()).toEqual([...RESNET, "fc.bias"].toSorted());
    expect(notes).toEqual([expect.stringMatching(/the one linear layer of a sequence/)]);
    const two = ["conv1.weight", "fc.0.weight", "fc.2.weight"];
    expect((await read(await saved(two))).names.toSorted()).toEqual(two.toSorted());
  });
});

/** The weights of a model under the names that another library gives them. */
const renamed = (model: Model, rules: readonly [RegExp, string | ((...groups: string[]) => string)][]) =>
  new Map(
    Array.from(model.stateDict(), ([name, own]) => {
      const value = own.clone();
      own.dispose();
      const [pattern, to] = rules.find(([one]) => one.test(name)) ?? [/$^/, ""];
      const shape = /grn/.test(name)
        ? [1, 1, 1, value.numel]
        : /mlp\.fc\d\.weight/.test(name)
          ? value.sizes.slice(0, 2)
          : null;
      const shaped = shape === null ? value : value.reshape(shape);
      if (shaped !== value) value.dispose();
      return [name.replace(pattern, to as string), shaped] as const;
    }),
  );

const less = (n: string) => String(Number(n) - 1);
const TRANSFORMERS_RESNET: [RegExp, string | ((...groups: string[]) => string)][] = [
  [/^conv1/, "resnet.embedder.embedder.convolution"],
  [/^bn1/, "resnet.embedder.embedder.normalization"],
  [
    /^layer(\d)\.(\d)\.downsample\.0/,
    (_, s = "", b = "") => `resnet.encoder.stages.${less(s)}.layers.${b}.shortcut.convolution`,
  ],
  [
    /^layer(\d)\.(\d)\.downsample\.1/,
    (_, s = "", b = "") => `resnet.encoder.stages.${less(s)}.layers.${b}.shortcut.normalization`,
  ],
  [
    /^layer(\d)\.(\d)\.conv(\d)/,
    (_, s = "", b = "", i = "") => `resnet.encoder.stages.${less(s)}.layers.${b}.layer.${less(i)}.convolution`,
  ],
  [
    /^layer(\d)\.(\d)\.bn(\d)/,
    (_, s = "", b = "", i = "") => `resnet.encoder.stages.${less(s)}.layers.${b}.layer.${less(i)}.normalization`,
  ],
  [/^fc/, "classifier.1"],
];
const TRANSFORMERS_CONVNEXT: [RegExp, string][] = [
  [/^stem\.0/, "convnextv2.embeddings.patch_embeddings"],
  [/^stem\.1/, "convnextv2.embeddings.layernorm"],
  [/^stages\.(\d)\.downsample\.(\d)/, "convnextv2.encoder.stages.$1.downsampling_layer.$2"],
  [/^stages\.(\d)\.blocks\.(\d)\.conv_dw/, "convnextv2.encoder.stages.$1.layers.$2.dwconv"],
  [/^stages\.(\d)\.blocks\.(\d)\.norm/, "convnextv2.encoder.stages.$1.layers.$2.layernorm"],
  [/^stages\.(\d)\.blocks\.(\d)\.mlp\.grn/, "convnextv2.encoder.stages.$1.layers.$2.grn"],
  [/^stages\.(\d)\.blocks\.(\d)\.mlp\.fc(\d)/, "convnextv2.encoder.stages.$1.layers.$2.pwconv$3"],
  [/^head\.norm/, "convnextv2.layernorm"],
  [/^head\.fc/, "classifier"],
];
const AUTHORS_CONVNEXT: [RegExp, string][] = [
  [/^stem/, "downsample_layers.0"],
  [/^stages\.(\d)\.downsample\.(\d)/, "downsample_layers.$1.$2"],
  [/^stages\.(\d)\.blocks\.(\d)\.conv_dw/, "stages.$1.$2.dwconv"],
  [/^stages\.(\d)\.blocks\.(\d)\.norm/, "stages.$1.$2.norm"],
  [/^stages\.(\d)\.blocks\.(\d)\.mlp\.grn\.weight/, "stages.$1.$2.grn.gamma"],
  [/^stages\.(\d)\.blocks\.(\d)\.mlp\.grn\.bias/, "stages.$1.$2.grn.beta"],
  [/^stages\.(\d)\.blocks\.(\d)\.mlp\.fc(\d)/, "stages.$1.$2.pwconv$3"],
  [/^head\.norm/, "norm"],
  [/^head\.fc/, "head"],
];

describe("loadWeights, on the names of other libraries", () => {
  const ATTO: ModelOptions = { numClasses: 3, dims: [4, 8, 12, 16], depths: [1, 1, 2, 1] };
  it.each([
    ["transformers' ResNet", "resnet18", { width: 4, numClasses: 3 }, TRANSFORMERS_RESNET],
    ["transformers' ConvNeXt-V2", "convnextv2_atto", ATTO, TRANSFORMERS_CONVNEXT],
    ["the authors' ConvNeXt-V2", "convnextv2_atto", ATTO, AUTHORS_CONVNEXT],
  ] as const)("gives %s the names and shapes of this project", async (_, name, options, rules) => {
    using model = createModel(name, options);
    using other = createModel(name, options);
    const path = newPath();
    const theirs = renamed(model, rules as never);
    await saveSafetensors(path, theirs);
    free(theirs);
    const { weights, notes } = await loadWeights(path);
    expect(notes).toEqual([expect.stringMatching(/names of .* are read as (?:torchvision|timm)'s/)]);
    expect(loadPretrained(other, weights).notes).toEqual([]);
    tidy(() => {
      for (const [key, value] of model.stateDict()) expect(other.stateDict().get(key)?.equal(value), key).toBe(true);
    });
    free(weights);
  });
});

describe("loadWeights, on checkpoints of torch.save", () => {
  it("says what was chosen and ignored, and what else the file has", async () => {
    const { names, notes } = await read(fixture("nested.pth"));
    expect(names).toContain("0.weight");
    expect(notes).toEqual([
      expect.stringMatching(
        /^read from "state_dict", .*; it also has weights at "state_dict_ema", which can be chosen by weightsKey$/,
      ),
    ]);
    expect((await read(fixture("beside-protocol2.pth.tar"))).notes).toEqual([
      expect.stringMatching(/^read from "state_dict"/),
      expect.stringMatching(/^1 entry of the file is not a tensor and was ignored: "_extra_state"$/),
    ]);
    expect((await read(fixture("keyed.ckpt"))).notes).toEqual([
      expect.stringMatching(/^read from "net.module", .*; it also has weights at "ema"/),
    ]);
    expect((await read(fixture("keyed.ckpt"), "ema")).notes).toEqual([]);
  });

  it("names the option where the key is wrong", async () => {
    await expect(loadWeights(fixture("nested.pth"), { key: "model" })).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/^weights: .*nested\.pth: .*at the key "model".*by weightsKey$/),
    });
    await expect(loadWeights(fixture("nested.pth"), { key: 3 as never })).rejects.toThrow(
      /key: expected a string, got 3/,
    );
  });
});

describe("loadWeights, on folders", () => {
  const index = (path: string, map: unknown) => {
    writeFileSync(path, JSON.stringify({ metadata: { total_size: 1 }, weight_map: map }));
    return path;
  };

  it("reads parts by their index, from the folder and from the index itself, of any format", async () => {
    const path = newPath("model.safetensors.index.json");
    const place = join(path, "..");
    await saved(["conv1.weight", "unused"], join(place, "model-1.safetensors"));
    await copyFile(fixture("parameters.pth"), join(place, "model-2.bin"));
    const map = { "conv1.weight": "model-1.safetensors", weight: "model-2.bin", marked: "model-2.bin" };
    index(path, map);
    const expected = ["conv1.weight", "weight", "marked"];
    expect(await read(place)).toEqual({ names: expected, notes: ["read from 2 parts by their index"] });
    expect((await read(path)).names).toEqual(expected);
  });

  it.each<[string, unknown, RegExp]>([
    [
      "names parts that are not there",
      { a: "one.bin", b: "two.bin" },
      /2 of its 2 parts are missing: one\.bin, two\.bin/,
    ],
    ["leads out of the folder", { a: "../one.bin" }, /the path "\.\.\/one\.bin" leads out of its folder/],
    ["leads out of the folder further in", { a: "x/../../one.bin" }, /leads out of its folder/],
    ["leads elsewhere", { a: "/etc/passwd" }, /the path "\/etc\/passwd" leads out/],
    ["leads to another drive", { a: "C:\\one.bin" }, /leads out/],
    ["has a path with a zero byte", { a: "a\0b" }, /leads out/],
    ["names no file", { a: 3 }, /expected a file's name for "a"/],
    ["has a list", ["a"], /expected an object weight_map, got none/],
    ["is empty", {}, /names no weights/],
  ])("refuses an index that %s", async (_, map, message) => {
    const path = index(newPath("model.safetensors.index.json"), map);
    await expect(loadWeights(path)).rejects.toMatchObject({ code: "E_DATA", message: expect.stringMatching(message) });
  });

  it("refuses an index that is not JSON, and a part without a name that the index has", async () => {
    const path = newPath("model.safetensors.index.json");
    writeFileSync(path, '{"weight_map": {');
    await expect(loadWeights(path)).rejects.toThrow(/it is not JSON/);
    await saved(["a"], join(path, "..", "one.safetensors"));
    index(path, { a: "one.safetensors", b: "one.safetensors" });
    await expect(loadWeights(path)).rejects.toThrow(/one\.safetensors: expected "b" in it, as the index says/);
  });

  it("follows links, as the cache of Hugging Face has them", async () => {
    const target = await saved(["conv1.weight"]);
    const link = newPath("model.safetensors");
    symlinkSync(target, link);
    expect((await read(join(link, ".."))).names).toEqual(["conv1.weight"]);
  });

  it.each<[string, RegExp]>([
    ["model.safetensors", /^conv1\.weight$/],
    ["pytorch_model.bin", /^conv1\.weight$/],
    ["checkpoint.pth.tar", /^conv1\.weight$/],
  ])("reads %s where it is the only file of weights", async (name, expected) => {
    const path = await saved(["conv1.weight"], newPath(name));
    writeFileSync(join(path, "..", "config.json"), "{}");
    expect((await read(join(path, ".."))).names).toEqual([expect.stringMatching(expected)]);
  });

  it("says what a folder holds instead of weights", async () => {
    const refused = async (...names: string[]) => {
      const place = join(newPath(), "..");
      for (const name of names) writeFileSync(join(place, name), "");
      const error = await loadWeights(place).then(
        ({ weights }) => free(weights),
        (reason: unknown) => reason,
      );
      expect(error).toMatchObject({ code: "E_CHECKPOINT" });
      return (error as Error).message;
    };
    expect(await refused()).toMatch(/is a folder without weights: expected .*, got nothing/);
    expect(await refused("a.txt")).toMatch(/got a\.txt/);
    expect(await refused("a.pth", "b.pth")).toMatch(/several files of weights: name one of a\.pth, b\.pth/);
    expect(await refused("config.json", "tf_model.h5")).toMatch(/contains only weights of TensorFlow/);
    expect(await refused("flax_model.msgpack")).toMatch(/contains only weights of Flax/);
  });
});

describe("weights that a model takes in part", () => {
  it.each([
    ["resnet18", { width: 4 }, /^fc\./, "fc"],
    ["convnextv2_atto", { dims: [4, 8, 12, 16] }, /^head\.fc\./, "head.fc"],
    ["convnextv2_atto", { dims: [4, 8, 12, 16] }, /^head\./, "head.fc"],
    ["simple-cnn", { head: "gap" }, /^fc\./, "fc"],
  ] as const)(
    "of %s %j without %s get a fresh head in training, and are refused for an explanation",
    (name, options, left, head) =>
      tidy(() => {
        using from = createModel(name, { ...options, numClasses: 3 } as ModelOptions);
        using to = createModel(name, { ...options, numClasses: 3 } as ModelOptions);
        const state = new Map([...from.stateDict()].filter(([key]) => !left.test(key)));
        const before = to.stateDict().get(`${head}.weight`)?.clone() as Tensor;
        expect(loadPretrained(to, state).notes).toEqual([`${head} keeps its initial values: the weights have no head`]);
        expect(to.stateDict().get(`${head}.weight`)?.equal(before)).toBe(true);
        const first = `${to.firstConv}.weight`;
        expect(
          to
            .stateDict()
            .get(first)
            ?.equal(from.stateDict().get(first) as Tensor),
        ).toBe(true);
        const full = new Map([...state].map(([key, value]) => [key, value]));
        const sized = name === "convnextv2_atto" ? null : full;
        if (sized !== null)
          expect(() => describeWeights(sized)).toThrow(
            /without a head, so that there are no classes: train one on them first/,
          );
      }),
  );

  it("leave out heads of other kinds", () =>
    tidy(() => {
      using model = createModel("resnet18", { width: 4, numClasses: 3 });
      const state = new Map([...model.stateDict()].filter(([key]) => !key.startsWith("fc.")));
      state.set("projector.0.weight", zeros([2, 2]));
      expect(loadPretrained(model, state).notes).toEqual([
        "fc keeps its initial values: the weights have no head of its kind (projector.0.weight are left out)",
      ]);
    }));

  it("convert other dtypes, and sum a first convolution in half precision without its rounding", () =>
    tidy(() => {
      using model = createModel("resnet18", { width: 4, numClasses: 3, inChannels: 1 });
      using source = createModel("resnet18", { width: 4, numClasses: 3 });
      const half = new Map(
        [...source.stateDict()].map(([key, value]) => [key, value.dtype === "int64" ? value : value.to("bfloat16")]),
      );
      loadPretrained(model, half);
      const wide = (half.get("conv1.weight") as Tensor).to("float32").sum([1], { keepDims: true });
      expect(model.stateDict().get("conv1.weight")?.equal(wide)).toBe(true);
    }));
});

describe("weights of no network here", () => {
  it("are told which there are, the nearest, how many names fit, and leave the engine's generator alone", () =>
    tidy(() => {
      using model = createModel("resnet18", { width: 4, numClasses: 3 });
      const names = [...model.stateDict().keys()].filter((name) => !name.startsWith("layer1.0.conv2"));
      const strange = new Map([...names.slice(0, 60), "se.weight", "sa.weight"].map((name) => [name, zeros([1])]));
      const before = getRngState();
      expect(() => loadPretrained(model, strange)).toThrow(
        /the known architectures are simple-cnn; resnet18 and resnet34 .*; the nearest is resnet18: 60 of its 122 names occur, with 2 others \("se\.weight", "sa\.weight"\)/,
      );
      expect(() => describeWeights(strange)).toThrow(/the nearest is resnet18/);
      expect(getRngState().equal(before)).toBe(true);
      expect(() => describeWeights(new Map([["vit.layer.0.weight", zeros([1])]]))).toThrow(/none of their names occur/);
    }));

  it("are told of the key if most of their names start alike", () =>
    tidy(() => {
      const names = [...RESNET.map((name) => `model.${name}`), "criterion.weight"];
      const weights = new Map(names.map((name) => [name, zeros([1])]));
      expect(() => describeWeights(weights)).toThrow(
        /3 of the 4 names begin with "model\.": read those alone by weightsKey "model"/,
      );
    }));
});
