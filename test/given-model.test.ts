import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { TrainConfigInput } from "../src/config/index.ts";
import { disposeSplit, gatherBatch, splitOf } from "../src/data/index.ts";
import { loadSafetensors } from "../src/io/index.ts";
import { crossEntropy } from "../src/losses/index.ts";
import { createModel, defaultCamLayer, loadExportedModel, SimpleCNN } from "../src/models/index.ts";
import { Conv2d, Linear, Module } from "../src/nn/index.ts";
import { emptyCache, grad, memory, type Tensor, tensor, tidy, zeros } from "../src/tensor/index.ts";
import {
  evaluate,
  findLearningRate,
  type LossBatch,
  type LossOption,
  type TrainEvent,
  type TrainOptions,
  type TrainResult,
  train,
  writeReport,
} from "../src/train.ts";
import { cli } from "./support/cli.ts";
import { noiseSplit, rowsOf } from "./support/noise-split.ts";
import { once } from "./support/once.ts";
import { OwnNetwork } from "./support/own-network.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const output = temporaryFolder("given-model");
const at = (experiment: string, ...path: string[]) => join(output, experiment, ...path);

const SMALL: TrainConfigInput = {
  output,
  figures: false,
  threads: 1,
  amp: "off",
  batchSize: 32,
  epochs: 2,
  logEvery: 1,
};
const DATA = { train: noiseSplit(1, 64), validation: noiseSplit(2, 20), test: noiseSplit(3, 20) };

async function run(
  config: TrainConfigInput,
  options: TrainOptions,
): Promise<{ result: TrainResult; events: TrainEvent[] }> {
  const events: TrainEvent[] = [];
  const onEvent = (event: TrainEvent) => {
    events.push(event);
    options.onEvent?.(event);
  };
  return { result: await train({ ...SMALL, ...config }, { data: DATA, ...options, onEvent }), events };
}

const jsonOf = (experiment: string, name: string) => JSON.parse(readFileSync(at(experiment, name), "utf8"));
const weightsOf = (model: Module) =>
  tidy(() => Array.from(model.stateDict(), ([name, value]) => [name, [...(value.data() as Float32Array)]] as const));

/** A loss term that keeps the logits small: 0.1 · mean(logits²). */
const calm = ({ logits }: LossBatch) => logits.square().mean().mul(0.1);
/** The mean of the maps. */
const bright = ({ maps }: LossBatch) => (maps as Tensor).mean();

const guided = once(async () => {
  const model = new OwnNetwork();
  model.head.eval();
  model.stem.requiresGrad_(false);
  const found = await run({ experiment: "guided", lossBalanceEvery: 2 }, { model, loss: { calm, bright } });
  return { model, ...found };
});

describe("a network that a program gives to train", () => {
  it("is trained with guidance, on the last layer with a map of 7x7 or more", async () => {
    const { result, events, model } = await guided();
    expect(result).toMatchObject({ interrupted: false, endedBy: "epochs", step: 4 });
    expect(result.test?.images).toBe(20);
    const start = events.find(({ type }) => type === "start");
    expect(start).toMatchObject({ camLayer: "body", mapSize: [8, 8], losses: ["calm", "bright"] });
    expect(start).toMatchObject({ config: { model: "given", dataset: "given" }, modelOptions: {} });
    expect(result.history[0]?.train.prototypeLoss).toBeGreaterThan(0);
    expect(result.history[0]?.train.deadMaps).toBeLessThan(1);
    const balance = events.find((event) => event.type === "balance");
    expect(balance?.terms.map(({ term, weight }) => [term, weight])).toEqual(
      expect.arrayContaining([
        ["calm", 1],
        ["bright", 1],
      ]),
    );
    expect(defaultCamLayer(model, [1, 16, 16])).toBe("body");
  });

  it("has the weights of the best epoch in the end, and its own mode and frozen layers", async () => {
    const { result, model } = await guided();
    const best = await loadSafetensors(result.best as string);
    for (const [name, value] of weightsOf(model))
      expect([...(best.get(name) as Tensor).data()].map(Number), name).toEqual(value.map(Number));
    for (const value of best.values()) value.dispose();
    expect([model.training, model.head.training]).toEqual([true, false]);
    expect(model.stem.weight.requiresGrad).toBe(false);
    expect(model.parameters().every((parameter) => parameter.grad === null)).toBe(true);
  });

  it("is described in the run directory", async () => {
    await guided();
    expect(jsonOf("guided", "config.json")).toMatchObject({ model: "given", dataset: "given" });
    const record = jsonOf("guided", "given.json");
    expect(record).toMatchObject({ schemaVersion: 1, losses: ["calm", "bright"], model: { type: "OwnNetwork" } });
    expect(record.model.parameters).toContainEqual({ name: "scale", shape: [1], trained: true });
    expect(record.model.parameters).toContainEqual({ name: "stem.weight", shape: [6, 1, 3, 3], trained: false });
    expect(record.model.buffers).toContainEqual({ name: "norm.running_mean", shape: [6] });
    expect(jsonOf("guided", "data.json").splits.train.digest).toMatch(/^[0-9a-f]{64}$/);
  });

  it("is evaluated if it is given again, with the same result", async () => {
    const { result } = await guided();
    const model = new OwnNetwork({ seed: 9 });
    const again = await evaluate(at("guided"), { model, data: DATA });
    expect(again.test).toEqual(result.test);
    await expect(evaluate(at("guided"), { data: DATA })).rejects.toMatchObject({
      code: "E_CONFIG",
      message: `evaluate: a program gave the run ${at("guided")} its model (a OwnNetwork), which cannot be rebuilt from the run directory. In TypeScript, give the same network: evaluate("${at("guided")}", { model, data }) of batch-cam/train`,
    });
    await expect(evaluate(at("guided"), { model, data: { ...DATA, test: DATA.validation } })).rejects.toMatchObject({
      code: "E_DATA",
    });
    await expect(evaluate(at("guided"), { model: new OwnNetwork({ width: 4 }), data: DATA })).rejects.toMatchObject({
      code: "E_CHECKPOINT",
      message: expect.stringMatching(/stem\.weight is \[4, 1, 3, 3\], in the run \[6, 1, 3, 3\].*and \d+ more/),
    });
  });

  it("has a report with the terms that the program added", async () => {
    await guided();
    const page = await writeReport(at("guided"), { model: new OwnNetwork(), data: DATA });
    expect(page).toBe(at("guided", "report.html"));
    const html = readFileSync(page, "utf8");
    expect(html).toMatch(/<th scope="col" class="number">calm<\/th><th scope="col" class="number">bright<\/th>/);
    expect(html).toContain("Batch-CAM: OwnNetwork on images of a program, guided");
    expect(html).toContain("Calm, a term of the program");
    expect(html).toContain("train(config, { model, data, loss: { calm, bright } }) of batch-cam/train");
  });

  it.each<[string, string[], string]>([
    ["evaluated", ["evaluate", "RUN"], 'evaluate("RUN", { model, data }) of batch-cam/train'],
    ["reported on", ["report", "RUN"], 'writeReport("RUN", { model, data }) of batch-cam/train'],
    [
      "resumed",
      ["train", "--resume", "RUN"],
      'train({ "resume": "RUN" }, { model, data, loss: { calm, bright } }) of batch-cam/train',
    ],
    [
      "explained",
      ["explain", "--run", "RUN", "a.png"],
      'model.loadStateDict(await loadSafetensors("RUN/checkpoints/best.safetensors"))',
    ],
    [
      "explained by its own images",
      ["explain", "--run", "RUN", "--split", "test"],
      "then explain(model, images) of batch-cam",
    ],
    [
      "trained again",
      ["train", "--config", "RUN/config.json", "--experiment", "again"],
      "by train(config, { model }) of batch-cam/train",
    ],
  ])("cannot be %s from the command line, which shows the call that does it", async (_, args, call) => {
    await guided();
    writeFileSync(join(output, "a.png"), "");
    const named = (text: string) => text.replace("RUN", at("guided")).replace("a.png", join(output, "a.png"));
    const { code, out, err } = await cli(...args.map(named));
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(named(call));
    expect(err.trim().split("\n")).toHaveLength(1);
  });

  it("has a learning rate found for it, and keeps its weights", async () => {
    const model = new OwnNetwork();
    const before = weightsOf(model);
    const { points } = await findLearningRate(
      { ...SMALL, batchSize: 16 },
      { model, data: DATA, loss: { calm }, steps: 20, from: 1e-4, to: 1e-2 },
    );
    expect(points).toHaveLength(20);
    expect(weightsOf(model)).toEqual(before);
    expect(model.parameters().every((parameter) => parameter.grad === null)).toBe(true);
  });

  it("may come from torch.export", async () => {
    const model = await loadExportedModel(join(import.meta.dirname, "fixtures", "exported", "own_branches.pt2"));
    const [channels, height, width] = model.imageSize as [number, number, number];
    const split = (count: number, seed: number) =>
      splitOf(
        Uint8Array.from({ length: count * channels * height * width }, (_, i) => (i * seed) % 251),
        Array.from({ length: count }, (_, i) => i % model.numClasses),
        { channels, size: [height, width], numClasses: model.numClasses },
      );
    const data = { train: split(16, 7), validation: split(8, 11), test: split(8, 13) };
    emptyCache();
    const before = memory().liveTensors;
    const { result } = await run({ experiment: "exported", epochs: 1, batchSize: 8 }, { model, data, loss: { calm } });
    expect(result.history[0]?.train.prototypeLoss).toBeGreaterThan(0);
    emptyCache();
    expect(memory().liveTensors).toBe(before);
    expect(jsonOf("exported", "given.json").model.type).toBe("ExportedModel");
    expect((await evaluate(at("exported"), { model, data })).test).toEqual(result.test);
    model.dispose();
    for (const one of Object.values(data)) disposeSplit(one);
  });

  it("takes the data set that a config names, and every option of a run", async () => {
    const model = new SimpleCNN({ numClasses: 10 });
    const { result, events } = await run(
      {
        ...{ experiment: "options", limitTrain: 96, limitVal: 40, limitTest: 40, epochs: 1, gradAccumSteps: 2 },
        ...{ batchSize: 16, modelEma: true, amp: "on", patience: 1, keepEpochs: 1, clipGrad: 1, freeze: "conv1" },
        ...{ layerDecay: 0.5, baseline: "saliency-guided", lambdaPrototype: 0.5 },
      } as TrainConfigInput,
      { model, data: undefined, loss: { calm } },
    );
    expect(events.find(({ type }) => type === "start")).toMatchObject({ config: { model: "given", dataset: "mnist" } });
    expect(result.history[0]?.train.calm).toBeGreaterThan(0);
    expect(existsSync(at("options", "checkpoints", "epoch-1.safetensors"))).toBe(true);
    model.dispose();
  });
});

/** The bytes of the last checkpoint's weights and of its state. */
async function bitsOf(experiment: string): Promise<unknown[]> {
  const bits: unknown[] = [];
  const last = at(experiment, "checkpoints", "last.safetensors");
  for (const [name, value] of await loadSafetensors(last)) {
    bits.push([name, Buffer.from(value.data().buffer).toString("base64")]);
    value.dispose();
  }
  return bits;
}

const rowsWithoutTimes = (experiment: string) =>
  readFileSync(at(experiment, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
    .map(({ imagesPerSecond: _, secondsPerEpoch: __, ...row }) => row);

describe("a run with a model and terms of a program that is resumed", () => {
  const CONFIG: TrainConfigInput = {
    ...{ modelEma: true, gradAccumSteps: 2, batchSize: 8, epochs: 3, augShift: 0.1, opt: "adamw" },
    ...{ checkpointEvery: 100, lambdaWarmup: 4, deterministic: true },
  };
  const losses = { calm, bright };

  const whole = once(() => run({ ...CONFIG, experiment: "whole" }, { model: new OwnNetwork(), loss: losses }));

  it("has the weights, the state and the log of an uninterrupted one, bit for bit", async () => {
    const { result } = await whole();
    for (const step of [2, 5]) {
      const experiment = `cut-${step}`;
      const stop = new AbortController();
      const onEvent = (event: TrainEvent) => void (event.type === "step" && event.step === step && stop.abort());
      const first = new OwnNetwork();
      const part = await run({ ...CONFIG, experiment }, { model: first, loss: losses, onEvent, signal: stop.signal });
      expect(part.result).toMatchObject({ interrupted: true, step });
      // Another network of the same architecture, with other weights.
      const rest = await run(
        { experiment, resume: true, batchSize: 8, epochs: 3 },
        { model: new OwnNetwork({ seed: 8 }), loss: losses },
      );
      expect(rest.result.test).toEqual(result.test);
      expect(await bitsOf(experiment)).toEqual(await bitsOf("whole"));
      expect(rowsWithoutTimes(experiment)).toEqual(rowsWithoutTimes("whole"));
    }
  });

  it("starts again if it has no checkpoint", async () => {
    const stop = new AbortController();
    const failing = { calm: () => zeros([2]) };
    await expect(
      run({ experiment: "no-checkpoint" }, { model: new OwnNetwork(), loss: failing }),
    ).rejects.toMatchObject({
      code: "E_SHAPE",
    });
    const { result, events } = await run(
      { experiment: "no-checkpoint", resume: true },
      { model: new OwnNetwork(), loss: { calm }, signal: stop.signal },
    );
    expect(result.interrupted).toBe(false);
    expect(events).toContainEqual({ type: "warning", message: expect.stringMatching(/has no checkpoint/) });
  });

  const wider = () => new OwnNetwork({ width: 7 });
  const frozen = () => {
    const model = new OwnNetwork();
    model.stem.requiresGrad_(false);
    return model;
  };
  class Reordered extends Module {
    readonly inner = new OwnNetwork();
    override forward(x: Tensor): Tensor {
      return this.inner.run(x);
    }
  }
  it.each<[string, TrainOptions, string, RegExp]>([
    [
      "no model",
      { loss: losses },
      "E_CONFIG",
      /its model \(a OwnNetwork\).*train\(\{ "resume": ".*whole" \}, \{ model, data, loss: \{ calm, bright \} \}\)/,
    ],
    [
      "no images",
      { model: new OwnNetwork(), loss: losses, data: undefined },
      "E_DATA",
      /gave the run .* its images.*\{ model, data, loss/,
    ],
    ["no terms", { model: new OwnNetwork() }, "E_CONFIG", /the terms "calm", "bright" are missing: give them again/],
    [
      "one term more",
      { model: new OwnNetwork(), loss: { ...losses, more: calm } },
      "E_CONFIG",
      /the term "more" is new/,
    ],
    [
      "a wider network",
      { model: wider(), loss: losses },
      "E_CHECKPOINT",
      /stem\.weight is \[7, 1, 3, 3\], in the run \[6, 1, 3, 3\]/,
    ],
    [
      "a frozen network",
      { model: frozen(), loss: losses },
      "E_CHECKPOINT",
      /stem\.weight is frozen, in the run it is trained/,
    ],
    [
      "other names",
      { model: new Reordered(), loss: losses },
      "E_CHECKPOINT",
      /scale is missing; stem\.weight is missing/,
    ],
    [
      "other images",
      { model: new OwnNetwork(), loss: losses, data: { ...DATA, train: noiseSplit(7, 64) } },
      "E_DATA",
      /differ from those of the run/,
    ],
    [
      "fewer images",
      { model: new OwnNetwork(), loss: losses, data: { ...DATA, train: rowsOf(DATA.train, 0, 60) } },
      "E_DATA",
      /60 images, in the run 64/,
    ],
  ])("is refused with %s", async (_, options, code, message) => {
    await whole();
    await expect(run({ experiment: "whole", resume: true, batchSize: 8, epochs: 3 }, options)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it("is refused with a model if its config names one", async () => {
    await run({ experiment: "named", epochs: 1, width: 8, model: "resnet18", maxSteps: 1 }, {});
    await expect(run({ experiment: "named", resume: true }, { model: new OwnNetwork() })).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringMatching(/names its model: leave the option model out/),
    });
  });
});

/** Takes one step of gradient descent on all training images, and computes the same step directly. */
describe("a term that a program adds to the loss", () => {
  const LR = 0.5;
  const SGD: TrainConfigInput = {
    ...{ plain: true, opt: "sgd", momentum: 0, weightDecay: 0, lr: LR, sched: "constant", warmupSteps: 0 },
    ...{ batchSize: 64, epochs: 1, maxSteps: 1, camLayer: "body", channelsLast: "off" },
    freeze: "norm", // the term would be computed for each part of a step separately
  };
  /** Without dropout, whose draws a second pass would not repeat. */
  const network = () => {
    const model = new OwnNetwork();
    (model.drop as { p: number }).p = 0;
    return model;
  };
  const stepped = async (experiment: string, loss: LossOption | undefined, config: TrainConfigInput = {}) => {
    const model = network();
    const found = await run({ ...SGD, ...config, experiment }, { model, loss });
    const last = await loadSafetensors(found.result.checkpoint);
    const weights = new Map(Array.from(last, ([name, value]) => [name, value.data() as Float32Array]));
    for (const value of last.values()) value.dispose();
    return { ...found, weights };
  };
  /** Computes the gradient of cross-entropy plus the term directly, in the network's training mode. */
  const byHand = (term: (logits: Tensor) => Tensor) =>
    tidy(() => {
      const model = network().train();
      model.norm.requiresGrad_(false).eval();
      const { images, labels } = gatherBatch(
        DATA.train,
        Int32Array.from({ length: 64 }, (_, i) => i),
      );
      const logits = model.forward(images);
      const trained = [...model.namedParameters()].filter(([, { requiresGrad }]) => requiresGrad);
      const names = trained.map(([name]) => name);
      const before = trained.map(([, parameter]) => parameter.data() as Float32Array);
      const slopes = grad(
        crossEntropy(logits, labels).add(term(logits)),
        trained.map(([, parameter]) => parameter),
      );
      return names.map((name, i) => {
        const slope = slopes[i]?.data() as Float32Array;
        return [name, before[i]?.map((weight, at) => weight - LR * (slope[at] as number)) as Float32Array] as const;
      });
    });
  const calmed = (logits: Tensor) => logits.square().mean().mul(0.1);

  it.each([1, 4])("changes the weights by its gradient, in %i parts of a step", async (parts) => {
    const { weights } = await stepped(`sum-${parts}`, { calm }, { gradAccumSteps: parts, batchSize: 64 / parts });
    for (const [name, wanted] of byHand(calmed))
      for (const [i, weight] of (weights.get(name) as Float32Array).entries())
        expect(Math.abs(weight - (wanted[i] as number)), `${name}[${i}]`).toBeLessThan(2e-6);
  });

  it("is what the loss grows by, in the log, the events and the epoch's means", async () => {
    const { events, result } = await stepped("logged", calm);
    const step = events.find((event) => event.type === "step");
    const { loss, crossEntropy: own, calm: added } = step?.metrics ?? ({} as never);
    expect(added).toBeGreaterThan(0);
    expect(loss).toBeCloseTo((own as number) + (added as number), 6);
    expect(result.history[0]?.train.calm).toBe(added);
    expect(rowsWithoutTimes("logged").find(({ kind }) => kind === "step").calm).toBe(added);
    expect(readFileSync(at("logged", "summary.csv"), "utf8").split("\n")[0]).toContain("train.calm");
  });

  it("sees the batch, in a plain run without maps and in a guided one with them", async () => {
    const seen: LossBatch[] = [];
    const shapes: unknown[] = [];
    const look = (batch: LossBatch) => {
      seen.push(batch);
      const { images, labels, logits, maps, taps } = batch;
      shapes.push(
        [images, labels, logits, maps, taps.body].map((one) => one?.shape ?? null),
        logits.dtype,
      );
      return logits.mean();
    };
    await stepped("plain-batch", look);
    await stepped("guided-batch", look, { plain: false });
    const [images, labels, logits] = [[64, 1, 16, 16], [64], [64, 2]];
    expect(shapes).toEqual([
      [images, labels, logits, null, null],
      "float32",
      [images, labels, logits, [64, 16, 16], [64, 6, 8, 8]],
      "float32",
    ]);
    expect(seen.map(({ step, epoch }) => [step, epoch])).toEqual([
      [1, 1],
      [1, 1],
    ]);
    expect(seen[0]?.model).toBeInstanceOf(OwnNetwork);
    expect(seen[0]?.logits.isDisposed).toBe(true);
  });

  it("is called extraLoss if it has no name of its own", async () => {
    for (const [experiment, loss] of [
      ["inline", { loss: (b: LossBatch) => b.logits.mean() }.loss],
      [
        "anonymous",
        (
          () => (b: LossBatch) =>
            b.logits.mean()
        )(),
      ],
    ] as const)
      expect((await stepped(experiment, loss)).result.history[0]?.train.extraLoss, experiment).toBeTypeOf("number");
  });

  it("ends the run if it is not finite, with its name, before a weight changes", async () => {
    const model = network();
    const before = weightsOf(model);
    const infinite = ({ logits }: LossBatch) => logits.sum().div(0);
    await expect(run({ ...SGD, experiment: "infinite" }, { model, loss: { infinite } })).rejects.toMatchObject({
      code: "E_NUMERIC",
      message: expect.stringMatching(/^step 1: infinite is (NaN|-?Infinity); there is no checkpoint yet/),
    });
    expect(weightsOf(model)).toEqual(
      before.map(([name, value]) => [
        name,
        name.startsWith("norm.running") || name.startsWith("norm.num") ? expect.anything() : value,
      ]),
    );
    expect(model.training).toBe(true);
  });

  it.each<[string, unknown, string, RegExp]>([
    [
      "a vector",
      ({ logits }: LossBatch) => logits.mean([1]),
      "E_SHAPE",
      /train: loss: bad: .*got one of shape \[64\]: take its mean/,
    ],
    ["one value in a list", ({ logits }: LossBatch) => logits.mean().reshape([1]), "E_SHAPE", /shape \[1\]/],
    ["a number", () => 1, "E_ARGUMENT", /expected a scalar Tensor, got 1/],
    ["nothing", () => {}, "E_ARGUMENT", /expected a scalar Tensor, got undefined/],
    ["a promise", async () => zeros([]), "E_ARGUMENT", /got a promise: the function must be synchronous/],
    ["a rejected promise", async () => Promise.reject(new Error("late")), "E_ARGUMENT", /got a promise/],
    ["a constant", () => zeros([]), "E_ARGUMENT", /got a constant, whose gradient is zero.*\(step 1\)/],
    ["a detached term", ({ logits }: LossBatch) => logits.mean().detach(), "E_ARGUMENT", /got a constant/],
    ["a whole number", ({ labels }: LossBatch) => labels.sum(), "E_DTYPE", /dtype int64/],
    [
      "a disposed tensor",
      ({ logits }: LossBatch) => {
        const term = logits.mean();
        term.dispose();
        return term;
      },
      "E_DISPOSED",
      /got a disposed one/,
    ],
  ])("is refused if it gives %s", async (_, bad, code, message) => {
    await expect(
      run({ ...SGD, experiment: "bad-term", overwrite: true }, { model: network(), loss: { bad } as never }),
    ).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it.each<[string, unknown, RegExp]>([
    ["a number", 3, /loss: expected a function of the batch, or \{ name: function \}, got 3/],
    ["a list", [calm], /loss: expected a function/],
    ["null", null, /loss: expected a function/],
    ["a tensor", tensor([1]), /loss: expected a function/],
    ["a name without a function", { calm: 0.1 }, /loss: calm: expected a function of the batch, got 0.1/],
    [
      "the name of a logged number",
      { crossEntropy: calm },
      /"crossEntropy" is the name of a number that every run logs/,
    ],
    [
      "a function of such a name",
      function accuracy() {
        return zeros([]);
      },
      /"accuracy" is the name of a number/,
    ],
    ["a name with a comma", { "a,b": calm }, /"a,b" cannot be the name of a column/],
    ["an empty name", { "": calm }, /cannot be the name of a column/],
    ["a name of every object", { constructor: calm }, /"constructor" cannot be the name/],
  ])("is refused as %s before anything is loaded", async (_, loss, message) => {
    await expect(run({ experiment: "bad-loss" }, { model: network(), loss: loss as never })).rejects.toMatchObject({
      code: "E_ARGUMENT",
      message: expect.stringMatching(message),
    });
    expect(existsSync(at("bad-loss"))).toBe(false);
  });
});

class Flat extends Module {
  readonly fc = new Linear(256, 2);
  override forward(x: Tensor): Tensor {
    return this.fc.run(x.flatten(1));
  }
}
class Hidden extends Module {
  readonly conv = new Conv2d(1, 2, 3);
  override forward(x: Tensor): Tensor {
    return this.conv.forward(x).mean([2, 3]); // calls forward instead of run, so that its maps cannot be observed
  }
}
class Wordy extends Module {
  readonly conv = new Conv2d(1, 2, 3);
  override forward(): Tensor {
    return "logits" as never;
  }
}

describe("a model that cannot be trained", () => {
  const double = new OwnNetwork().to("float64");
  const frozen = new OwnNetwork().requiresGrad_(false);
  const disposed = new OwnNetwork();
  disposed.dispose();
  it.each<[string, TrainConfigInput, unknown, string, RegExp]>([
    ["is none", {}, { forward: () => 1 }, "E_ARGUMENT", /train: model: expected a Module of batch-cam\/nn, got Object/],
    ["is a name", {}, "resnet18", "E_ARGUMENT", /train: model: expected a Module .* got "resnet18"/],
    ["is float64", {}, double, "E_DTYPE", /model: scale must be float32, got float64; convert the model/],
    ["is frozen", {}, frozen, "E_ARGUMENT", /no parameter requires a gradient \(it has 9 parameters\)/],
    ["is disposed", {}, disposed, "E_DISPOSED", /./],
    [
      "has other classes",
      {},
      new OwnNetwork({ classes: 5 }),
      "E_SHAPE",
      /must be \[1, 2\], one for each class .*got \[1, 5\]/,
    ],
    [
      "takes other images",
      {},
      new OwnNetwork({ channels: 3 }),
      "E_SHAPE",
      /does not take an image of the data, \[1, 1, 16, 16\]/,
    ],
    ["gives no logits", {}, new Wordy(), "E_CONFIG", /model: it does not take an image.*must return the logits/],
    ["has no maps", {}, new Flat(), "E_CONFIG", /no layer of the model, a Flat, gives maps.*call the layers by run/],
    ["hides its maps", {}, new Hidden(), "E_CONFIG", /no layer of the model, a Hidden, gives maps/],
    [
      "lacks the layer",
      { camLayer: "boddy" },
      new OwnNetwork(),
      "E_CONFIG",
      /camLayer: .*"boddy"; the nearest are body/,
    ],
    [
      "has one beside it in the config",
      { model: "resnet18" },
      new OwnNetwork(),
      "E_CONFIG",
      /model and the option model of train contradict/,
    ],
    [
      "is told its width",
      { width: 8 },
      new OwnNetwork(),
      "E_CONFIG",
      /width is for .*, and the model was given: leave it out/,
    ],
    [
      "has no order of layers",
      { layerDecay: 0.5 },
      new OwnNetwork(),
      "E_CONFIG",
      /layerDecay: .*OwnNetwork.*layerPatterns/,
    ],
  ])("because it %s", async (_, config, model, code, message) => {
    await expect(run({ ...config, experiment: "bad-model" }, { model: model as never })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    expect(existsSync(at("bad-model"))).toBe(false);
  });

  it("while another call trains it", async () => {
    using model = new OwnNetwork();
    const runs = ["first", "second"].map((name) => run({ experiment: `at-once-${name}`, epochs: 1 }, { model }));
    const [first, second] = await Promise.allSettled(runs);
    const [done, refused] = first?.status === "fulfilled" ? [first, second] : [second, first];
    expect(done).toMatchObject({ status: "fulfilled" });
    const message = expect.stringMatching(/model: another call is training it now/);
    expect(refused).toMatchObject({ status: "rejected", reason: { code: "E_ARGUMENT", message } });
    await run({ experiment: "at-once-third", epochs: 1 }, { model });
  });

  it("leaves no tensor allocated", async () => {
    const live = memory().liveTensors;
    const model = createModel("simple-cnn", { numClasses: 3 });
    await expect(run({ experiment: "leak" }, { model })).rejects.toMatchObject({ code: "E_SHAPE" });
    model.dispose();
    expect(memory().liveTensors).toBe(live);
  });
});

afterAll(() => {
  for (const { images, labels } of Object.values(DATA)) for (const one of [images, labels]) one.dispose();
});
