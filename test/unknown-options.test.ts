import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import * as cam from "../src/cam/index.ts";
import * as config from "../src/config/index.ts";
import { parseConfig } from "../src/config/internal.ts";
import * as data from "../src/data/index.ts";
import * as losses from "../src/losses/index.ts";
import * as metrics from "../src/metrics/index.ts";
import * as models from "../src/models/index.ts";
import * as nn from "../src/nn/index.ts";
import * as optim from "../src/optim/index.ts";
import { ones, tensor, tidy, zeros } from "../src/tensor/index.ts";
import * as engine from "../src/tensor.ts";
import * as train from "../src/train.ts";

// Calls every function and constructor that takes options with one that does not exist. Otherwise a misspelt name would be ignored
// silently, and the call would do something else than intended.

// biome-ignore lint/suspicious/noExplicitAny: values that a JavaScript caller might pass.
type Unknown = any;

const x = ones([2, 1, 8, 8]);
const maps = ones([2, 8, 8]);
const labels = [0, 1];
const weight = ones([2, 3], { requiresGrad: true });
const named = new Map([["weight", weight]]);
const model = () => new models.SimpleCNN({ imageSize: 8, numClasses: 2, head: "gap" });
const split: data.Split = {
  name: "train",
  images: zeros([4, 1, 8, 8], { dtype: "uint8" }),
  labels: tensor([0n, 1n, 0n, 1n]),
  numClasses: 2,
  classNames: ["a", "b"],
  normalization: { mean: [0.1], std: [0.3] },
};
const indices = Int32Array.of(0, 1);
const predict = (images: engine.Tensor) => model().forward(images);
const evaluation = { camLayer: "pool2", prototypes: zeros([2, 8, 8]) };

/** A call of each with `bad`, which contains an option that does not exist, and otherwise valid arguments. */
const CALLS: Record<string, (bad: Unknown) => unknown> = {
  arange: (bad) => engine.arange(0, 3, bad),
  autocast: (bad) => engine.autocast(bad, () => 1),
  avgPool2d: (bad) => engine.avgPool2d(x, 2, bad),
  backward: (bad) => engine.backward(weight.sum(), bad),
  batchNorm: (bad) => engine.batchNorm(x, { training: true, ...bad }),
  conv2d: (bad) => engine.conv2d(x, ones([1, 1, 3, 3]), null, bad),
  empty: (bad) => engine.empty([2], bad),
  eye: (bad) => engine.eye(2, bad),
  full: (bad) => engine.full([2], 1, bad),
  gelu: (bad) => engine.gelu(x, bad),
  grad: (bad) => engine.grad(weight.sum(), weight, bad),
  interpolate: (bad) => engine.interpolate(x, { size: [4, 4], ...bad }),
  layerNorm: (bad) => engine.layerNorm(x, [8], bad),
  loadTorchFile: (bad) => engine.loadTorchFile("nowhere.pth", bad),
  maxPool2d: (bad) => engine.maxPool2d(x, 2, bad),
  ones: (bad) => engine.ones([2], bad),
  rand: (bad) => engine.rand([2], bad),
  randn: (bad) => engine.randn([2], bad),
  tensor: (bad) => engine.tensor([1], bad),
  zeros: (bad) => engine.zeros([2], bad),

  AvgPool2d: (bad) => new nn.AvgPool2d(2, bad),
  BatchNorm2d: (bad) => new nn.BatchNorm2d(2, bad),
  Conv2d: (bad) => new nn.Conv2d(1, 1, 1, bad),
  GELU: (bad) => new nn.GELU(bad),
  GRN: (bad) => new nn.GRN(2, bad),
  LayerNorm: (bad) => new nn.LayerNorm(2, bad),
  LayerNorm2d: (bad) => new nn.LayerNorm2d(2, bad),
  Linear: (bad) => new nn.Linear(1, 1, bad),
  MaxPool2d: (bad) => new nn.MaxPool2d(2, bad),
  convNorm: (bad) => nn.convNorm(new nn.Conv2d(1, 1, 1), new nn.BatchNorm2d(1), x, bad),
  kaimingNormal_: (bad) => nn.kaimingNormal_(ones([2, 3]), bad),
  kaimingUniform_: (bad) => nn.kaimingUniform_(ones([2, 3]), bad),
  parameter: (bad) => nn.parameter(ones([2]), bad),
  truncatedNormal_: (bad) => nn.truncatedNormal_(ones([2]), bad),

  Adam: (bad) => new optim.Adam([weight], bad),
  AdamW: (bad) => new optim.AdamW([weight], bad),
  "a parameter group": (bad) => new optim.AdamW([{ params: [weight], ...bad }]),
  SGD: (bad) => new optim.SGD([weight], { lr: 1, ...bad }),
  WeightEma: (bad) => new optim.WeightEma(named, bad),
  cosine: (bad) => optim.cosine({ lr: 1, steps: 2, ...bad }),
  linearWarmup: (bad) => optim.linearWarmup({ lr: 1, steps: 2, ...bad }),
  oneCycle: (bad) => optim.oneCycle({ maxLr: 1, steps: 2, ...bad }),
  oneCycleMomentum: (bad) => optim.oneCycleMomentum({ steps: 2, ...bad }),
  parameterGroups: (bad) => optim.parameterGroups(named, { lr: 1, weightDecay: 0, ...bad }),
  timmCosine: (bad) => optim.timmCosine({ lr: 1, steps: 2, ...bad }),

  CamEma: (bad) => new losses.CamEma(2, [8, 8], bad),
  batchCamLoss: (bad) => losses.batchCamLoss(maps, labels, { target: "batch-mean", ...bad }),
  crossEntropy: (bad) => losses.crossEntropy(ones([2, 2]), labels, bad),
  prototypeLoss: (bad) => losses.prototypeLoss(maps, labels, maps, bad),
  ssim: (bad) => losses.ssim(maps, maps, bad),
  ssimDistance: (bad) => losses.ssimDistance(maps, maps, bad),

  activationMaps: (bad) => cam.activationMaps(ones([2, 2]), x, labels, bad),
  batchCam: (bad) => cam.batchCam(ones([2, 2]), ones([2, 3, 4, 4]), labels, bad),
  explain: (bad) => cam.explain(model(), x, bad),
  normalizeMaps: (bad) => cam.normalizeMaps(maps, bad),

  confidence: (bad) => metrics.confidence(predict, x, maps, labels, bad),
  deletionCurve: (bad) => metrics.deletionCurve(predict, x, maps, labels, bad),
  insertionCurve: (bad) => metrics.insertionCurve(predict, x, maps, labels, bad),
  foregroundMask: (bad) => metrics.foregroundMask(x, bad),
  imputeLinearly: (bad) => metrics.imputeLinearly(x, maps, bad),
  maskIou: (bad) => metrics.maskIou(maps, maps, bad),
  maxSensitivity: (bad) => metrics.maxSensitivity((images: engine.Tensor) => images.select(1, 0), x, bad),
  parameterRandomisation: (bad) => metrics.parameterRandomisation(model(), () => maps, bad),
  pointingGame: (bad) => metrics.pointingGame(maps, maps, bad),
  road: (bad) => metrics.road(predict, x, maps, labels, bad),

  parseConfig: (bad) => parseConfig(config.TrainConfig, {}, { what: "x", ...bad }),
  parseTrainConfig: (bad) => config.parseTrainConfig({}, bad),
  "parseTrainConfig's input": (bad) => config.parseTrainConfig(bad),

  ConvNextV2: (bad) => new models.ConvNextV2("convnextv2_atto", bad),
  ResNet: (bad) => new models.ResNet("resnet18", bad),
  SimpleCNN: (bad) => new models.SimpleCNN(bad),
  createModel: (bad) => models.createModel("resnet18", bad),
  loadWeights: (bad) => models.loadWeights("nowhere", bad),
  loadExportedModel: (bad) => models.loadExportedModel("nowhere.pt2", bad),

  augment: (bad) => data.augment(x, indices, { seed: 0, epoch: 0, ...bad }),
  balancedIndices: (bad) => data.balancedIndices(split, { batchSize: 2, ...bad }),
  batchCount: (bad) => data.batchCount(4, { batchSize: 2, ...bad }),
  batchIndices: (bad) => data.batchIndices(4, { batchSize: 2, ...bad }),
  batches: (bad) => data.batches(split, { batchSize: 2, ...bad }).next(),
  gatherBatch: (bad) => data.gatherBatch(split, indices, bad),
  listImages: (bad) => data.listImages("nowhere", bad),
  loadDataset: (bad) => data.loadDataset("mnist", bad),
  prototypes: (bad) => data.prototypes(split, bad),
  readImage: (bad) => data.readImage("nowhere.png", { channels: 1, ...bad }),
  readImages: (bad) => data.readImages(["nowhere.png"], { channels: 1, ...bad }),
  selectImages: (bad) => data.selectImages(split, { indices, name: "train", ...bad }),
  splitOf: (bad) => data.splitOf(split.images, split.labels, bad),
  splitValidation: (bad) => data.splitValidation(split, { images: 1, seed: 0, ...bad }),

  evaluate: (bad) => train.evaluate("nowhere", bad),
  evaluateSamples: (bad) => train.evaluateSamples("nowhere", bad),
  writeReport: (bad) => train.writeReport("nowhere", bad),
  evaluateSpurious: (bad) => train.evaluateSpurious("nowhere", bad),
  evaluateSplit: (bad) => train.evaluateSplit(model(), split, { ...evaluation, ...bad }),
  sampleMaps: (bad) => train.sampleMaps(model(), split, { ...evaluation, ...bad }),
  findLearningRate: (bad) => train.findLearningRate({}, bad),
  objective: (bad) => train.objective(model(), x, tensor([0n, 1n]), bad),
  profile: (bad) => train.profile(() => 1, bad),
  train: (bad) => train.train({}, bad),
  "train's config": (bad) => train.train(bad),

  ...Object.fromEntries(
    ["sum", "mean", "amax", "amin", "norm", "var", "std"].map((method) => [
      `Tensor.${method}`,
      (bad: Unknown) => (ones([2, 2]) as Unknown)[method]([0], bad),
    ]),
  ),
  ...Object.fromEntries(
    ["argmax", "argmin", "sort", "argsort"].map((method) => [
      `Tensor.${method}`,
      (bad: Unknown) => (ones([2, 2]) as Unknown)[method](0, bad),
    ]),
  ),
  "Module.forwardWith": (bad) => model().forwardWith(x, { taps: [], ...bad }),
  "Module.loadStateDict": (bad) => model().loadStateDict(model().stateDict(), bad),
};

async function refusalOf(call: () => unknown): Promise<unknown> {
  try {
    await tidy(() => ({ result: call() })).result;
    return undefined;
  } catch (error) {
    return error;
  }
}

describe("an option that does not exist", () => {
  it.each(Object.entries(CALLS))("is refused by %s", async (_, call) => {
    expect(await refusalOf(() => call({ definitelyUnknown: 1 }))).toMatchObject({
      code: expect.stringMatching(/^E_(ARGUMENT|CONFIG)$/),
      message: expect.stringContaining("definitelyUnknown"),
    });
  });

  it.each<[string, () => unknown, string]>([
    ["ssim", () => losses.ssim(maps, maps, { dataRnage: 2 } as Unknown), "dataRange"],
    ["SGD", () => new optim.SGD([weight], { lr: 1, weight_decay: 1 } as Unknown), "weightDecay"],
    ["zeros", () => zeros([2], { requires_grad: true } as Unknown), "requiresGrad"],
    ["createModel", () => models.createModel("resnet18", { numclasses: 2 } as Unknown), "numClasses"],
  ])("is answered with the most similar one by %s", (_, call, nearest) => {
    expect(call).toThrow(new RegExp(`did you mean \\W?${nearest}`));
  });

  it("is tested for every function and class whose signature has options", () => {
    const source = filesOf(join(import.meta.dirname, "../src")).map((file) => readFileSync(file, "utf8"));
    const entries = { engine, nn, optim, cam, losses, metrics, data, models, config, train };
    const names = Object.values(entries).flatMap((entry) => Object.keys(entry));
    const withOptions = names.filter((name) => source.some((text) => takesOptions(text, name)));
    expect(withOptions.length).toBeGreaterThan(60);
    // The base class of optimizers is left out, because its subclasses read the options.
    expect(withOptions.filter((name) => !(name in CALLS) && name !== "Optimizer")).toEqual([]);
  });
});

const filesOf = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .map((file) => join(folder, file));

/** Whether a source exports a function, or a class with a constructor, of this name that has a parameter called options or plan. */
function takesOptions(source: string, name: string): boolean {
  const called = source.match(
    new RegExp(`^export (?:async )?function\\*? ${name}(?:<[^(]*>)?\\(([\\s\\S]*?)\\)(?:: | \\{)`, "m"),
  );
  const [, body = ""] = source.match(new RegExp(`^export (?:abstract )?class ${name}\\b([\\s\\S]*?)^\\}`, "m")) ?? [];
  const made = body.match(/constructor\(([\s\S]*?)\) \{/);
  return [called, made].some((found) => /\b(options|given|plan|selection)\??:/.test(found?.[1] ?? ""));
}
