import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { parseTrainConfig, type TrainConfigInput } from "../src/config/index.ts";
import { normalizationForChannels } from "../src/data/splits/split.ts";
import { saveSafetensors } from "../src/io/index.ts";
import { createModel } from "../src/models/index.ts";
import { evaluate, type TrainEvent, type TrainResult, train } from "../src/train.ts";
import { openRun } from "../src/workflows/loaded-model.ts";
import { openWeights } from "../src/workflows/loaded-weights.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const folder = temporaryFolder("start");

const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/** Files of weights for images of 3 channels and of 1, and of nested weights. */
const [colour, grey, nested] = ["colour.safetensors", "grey.safetensors", "nested.safetensors"].map((name) =>
  join(folder, name),
) as [string, string, string];

beforeAll(async () => {
  for (const [path, inChannels] of [
    [colour, 3],
    [grey, 1],
  ] as const) {
    const model = createModel("resnet18", { width: 4, stem: "small", inChannels });
    await saveSafetensors(path, model.stateDict());
    if (inChannels === 3) {
      const named = Array.from(model.stateDict(), ([name, tensor]) => [`ema.module.${name}`, tensor] as const);
      await saveSafetensors(nested, new Map([...named, ...[...model.stateDict()].slice(0, 2)]));
    }
    model.dispose();
  }
});

const SMALL: TrainConfigInput = {
  ...{ output: folder, model: "resnet18", width: 4, limitTrain: 32, valImages: 10, limitTest: 10, batchSize: 16 },
  ...{ epochs: 1, figures: false, plain: true, amp: "off" },
};

let runs = 0;
async function run(config: TrainConfigInput): Promise<TrainResult & { said: string[]; kept: Record<string, unknown> }> {
  const said: string[] = [];
  const onEvent = (event: TrainEvent) => void (event.type === "note" && said.push(event.message));
  const result = await train({ ...SMALL, experiment: `run${runs++}`, ...config }, { onEvent });
  const kept = JSON.parse(readFileSync(join(result.runDirectory, "config.json"), "utf8")) as Record<string, unknown>;
  return { ...result, said: said.filter((line) => line.startsWith("normalization:")), kept };
}

/** The normalisation that a run uses, as an evaluation reads it. */
async function inForce(directory: string) {
  const subject = await openRun(directory, "test");
  try {
    return subject.data.train.normalization;
  } finally {
    subject.dispose();
  }
}

describe("the normalisation of a run that starts from weights", () => {
  it("is ImageNet's for weights of three channels, averaged for grey images; it is reported, saved and used by evaluate", async () => {
    const result = await run({ weights: colour });
    expect(result.said).toEqual([
      "normalization: pixels are normalised by mean 0.449 and deviation 0.226, ImageNet's, as weights of torchvision and timm expect; see --normalization for others",
    ]);
    expect(result.kept).toMatchObject({ normalization: "imagenet" });
    expect(await inForce(result.runDirectory)).toEqual({ mean: [0.449], std: [0.226] });
    expect((await evaluate(result.runDirectory)).test).toEqual(result.test);
  });

  it.each<[string, TrainConfigInput, number[], number]>([
    ["the training images' own without weights", {}, [0.1307], 0],
    ["the training images' own if that is asked for", { weights: "colour", normalization: "data" }, [0.1307], 0],
    ["the training images' own for weights of one channel", { weights: "grey" }, [0.1307], 0],
    ["ImageNet's if that is asked for without weights", { normalization: "imagenet" }, [0.449], 1],
    ["none if that is asked for", { normalization: "none" }, [0], 1],
    ["the given one, as a list", { mean: [0.25], std: [0.5] }, [0.25], 1],
    ["the given one, as a text, rather than the weights'", { weights: "colour", mean: "0.25", std: "0.5" }, [0.25], 1],
    ["the average of three figures for grey images", { mean: "0.1,0.2,0.3", std: "1,1,1" }, [0.2], 1],
  ])("is %s", async (_, config, mean, lines) => {
    const weights = { colour, grey }[config.weights ?? ""];
    const result = await run({ ...config, ...(weights === undefined ? {} : { weights }) });
    const found = await inForce(result.runDirectory);
    expect(found.mean.map((figure) => Number(figure.toFixed(4)))).toEqual(mean);
    expect(result.said).toHaveLength(lines);
  });

  it("is that of their run if the weights are a run or its checkpoint, and stays on resuming", async () => {
    const first = await run({ mean: [0.25], std: [0.5] });
    for (const weights of [first.runDirectory, first.best as string]) {
      const second = await run({ weights, maxSteps: 1 });
      expect(second.kept).toMatchObject({ mean: "0.25", std: "0.5" });
      expect(second.said).toEqual([
        expect.stringMatching(/mean 0\.25 and deviation 0\.5, as recorded in the run of the weights/),
      ]);
      const rest = await train({ ...SMALL, experiment: String(second.kept.experiment), weights, resume: true });
      expect(await inForce(rest.runDirectory)).toEqual({ mean: [0.25], std: [0.5] });
    }
  });

  it.each<[TrainConfigInput, RegExp]>([
    [{ mean: "0.5" }, /std must be given together with mean/],
    [{ std: "0.5" }, /mean must be given together with std/],
    [{ mean: "0.5", std: "0" }, /std must be a number above 0 for each channel/],
    [{ mean: "half", std: "0.5" }, /mean must be a number for each channel, such as/],
    [{ mean: [], std: [] }, /mean must be a number for each channel/],
    [{ mean: "0.5,0.5,0.5", std: "1" }, /std must be 3 numbers, as many as mean/],
    [{ mean: "0.5", std: "1", normalization: "imagenet" }, /normalization must be left out with mean and std/],
  ])("refuses %j", (config, message) => {
    expect(() => parseTrainConfig(config)).toThrow(message);
  });

  it("refuses a list that does not have one number per channel", async () => {
    const three = normalizationForChannels({ mean: [0.5, 0.5], std: [1, 1] }, 3);
    expect(three).toBeNull();
    expect(normalizationForChannels({ mean: [0.5], std: [1] }, 3)).toEqual({ mean: [0.5, 0.5, 0.5], std: [1, 1, 1] });
    expect(normalizationForChannels(IMAGENET, 1)).toEqual({ mean: [0.449], std: [0.226] });
  });
});

describe("train with weightsKey", () => {
  it("starts from the weights that the key names, in a run that records the key", async () => {
    await expect(run({ weights: nested })).rejects.toMatchObject({
      code: "E_CHECKPOINT",
      message: expect.stringMatching(
        /122 of the 124 names begin with "ema\.module\.": read those alone by weightsKey "ema\.module"/,
      ),
    });
    const { kept } = await run({ weights: nested, weightsKey: "ema.module", overwrite: true });
    expect(kept).toMatchObject({ weightsKey: "ema.module" });
  });
});

describe("train with weights of another network", () => {
  it("names the network that they belong to", async () => {
    const wrong = run({ weights: colour, model: "simple-cnn", width: undefined });
    await expect(wrong).rejects.toMatchObject({
      code: "E_CHECKPOINT",
      message: expect.stringMatching(
        /^weights: .*: the weights are those of another network: give \{ model: "resnet18", width: 4, stem: "small" \} to train that one\. The mismatch: .*the nearest is resnet18: 122 of its 122 names occur/,
      ),
    });
  });
});

describe("openWeights, on the normalisation", () => {
  const normalizationOf = async (path: string, options: Parameters<typeof openWeights>[1] = {}) => {
    const subject = await openWeights(path, options);
    subject.dispose();
    return { ...subject.normalization, notes: subject.notes };
  };

  it("uses the default of training from these weights, with a note", async () => {
    const { notes, ...found } = await normalizationOf(colour);
    expect(found).toEqual(IMAGENET);
    expect(notes).toEqual([expect.stringMatching(/^normalization: .* mean 0\.485, 0\.456, 0\.406 .*ImageNet's/)]);
    expect(await normalizationOf(grey)).toEqual({ mean: [0], std: [1], notes: [] });
    const { best } = await run({ mean: [0.25], std: [0.5] });
    expect(await normalizationOf(best as string)).toMatchObject({ mean: [0.25], std: [0.5] });
  });

  it("uses the given one, fitted to the channels", async () => {
    expect(await normalizationOf(grey, { normalization: "imagenet" })).toMatchObject({ mean: [0.449], std: [0.226] });
    expect(await normalizationOf(colour, { normalization: "none" })).toMatchObject({ mean: [0, 0, 0], std: [1, 1, 1] });
    expect(await normalizationOf(colour, { mean: "0.5", std: [0.25] })).toMatchObject({ mean: [0.5, 0.5, 0.5] });
    await expect(openWeights(colour, { mean: [0.5, 0.5], std: [1, 1] })).rejects.toThrow(
      /2 numbers for weights of 3 channels/,
    );
    await expect(openWeights(colour, { mean: [0.5] })).rejects.toThrow(/std must be given together with mean/);
  });

  it.each<[string, object]>([
    ["preprocessor_config.json", { image_mean: [0.5, 0.5, 0.5], image_std: [0.1, 0.1, 0.1] }],
    ["config.json", { pretrained_cfg: { mean: [0.5, 0.5, 0.5], std: [0.1, 0.1, 0.1] } }],
  ])("uses what %s states in a folder of transformers or timm", async (name, content) => {
    const place = join(folder, name.replace(/\..*/, ""));
    mkdirSync(place);
    writeFileSync(join(place, "model.safetensors"), readFileSync(colour));
    writeFileSync(join(place, "config.json"), "{}");
    writeFileSync(join(place, name), JSON.stringify(content));
    for (const path of [place, join(place, "model.safetensors")])
      expect(await normalizationOf(path)).toMatchObject({
        ...{ mean: [0.5, 0.5, 0.5], std: [0.1, 0.1, 0.1] },
        notes: [expect.stringMatching(/as recorded in the folder of the weights$/)],
      });
    writeFileSync(join(place, name), "{");
    expect(await normalizationOf(place)).toMatchObject(IMAGENET);
  });
});
