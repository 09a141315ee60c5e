import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parseTrainConfig, type TrainConfigInput } from "../src/config/index.ts";
import { loadSafetensors, memory, type Tensor } from "../src/tensor/index.ts";
import { type TrainEvent, train } from "../src/train.ts";

const output = mkdtempSync(join(tmpdir(), "batch-cam-options-"));
afterAll(() => rmSync(output, { recursive: true, force: true }));

const SMALL: TrainConfigInput = {
  ...{ output, limitTrain: 96, valImages: 40, limitTest: 40, batchSize: 32, epochs: 2, lambdaWarmup: 3 },
  ...{ figures: false, logEvery: 1 },
};

async function bitsOf(path: string): Promise<Record<string, string>> {
  const state = await loadSafetensors(path);
  const bits = [...state].map(([name, t]) => [name, Buffer.from(t.data().buffer as ArrayBuffer).toString("base64")]);
  for (const tensor of state.values()) tensor.dispose();
  return Object.fromEntries(bits);
}

async function stepsOf(config: TrainConfigInput) {
  const steps: Extract<TrainEvent, { type: "step" }>["metrics"][] = [];
  const result = await train(
    { ...SMALL, ...config },
    { onEvent: (e) => void (e.type === "step" && steps.push(e.metrics)) },
  );
  return { result, steps };
}

/** Trains until a step, and goes on from the checkpoint. */
async function inTwoParts(config: TrainConfigInput, step: number) {
  const stop = new AbortController();
  const onEvent = (event: TrainEvent) => void (event.type === "step" && event.step >= step && stop.abort());
  const first = await train({ ...SMALL, ...config }, { signal: stop.signal, onEvent });
  expect(first.interrupted).toBe(true);
  return train({ ...SMALL, ...config, resume: true });
}

describe("augmentation in training", () => {
  const CHANGED = {
    ...{ augShift: 0.1, augRotate: 15, augScale: 0.1, augFlip: true, augErase: 0.3, augBrightness: 0.2 },
    ...{ modelEma: true, sched: "cosine", sampler: "balanced", patience: 3 },
  } as const satisfies TrainConfigInput;

  it("is resumed bit for bit, with averaged weights, a schedule, balanced draws and early stopping on", async () => {
    const whole = await train({ ...SMALL, ...CHANGED, experiment: "augmented" });
    const parts = await inTwoParts({ ...CHANGED, experiment: "augmented-parts" }, 4);
    expect(await bitsOf(parts.checkpoint)).toEqual(await bitsOf(whole.checkpoint));
    expect(parts.test).toEqual(whole.test);
  });

  it("changes what is learned, and leaves validation and test alone", async () => {
    const [plain, changed] = [
      await stepsOf({ experiment: "as-is" }),
      await stepsOf({ experiment: "moved", augShift: 0.3 }),
    ];
    expect(changed.steps[0]?.crossEntropy).not.toBe(plain.steps[0]?.crossEntropy);
    expect(changed.steps.every(({ loss }) => Number.isFinite(loss))).toBe(true);
  });
});

describe("the end of a run", () => {
  it("comes early where validation no longer improves, and the best epoch is tested", async () => {
    const { result } = await stepsOf({ experiment: "patient", lr: 1e-9, epochs: 9, patience: 2 });
    expect(result.history).toHaveLength(3);
    expect(result.bestEpoch).toBe(1);
    expect(result.interrupted).toBe(false);
    expect(result.test).not.toBeNull();
  });

  it("comes after maxSeconds of training, behind a validated epoch", async () => {
    const { result, steps } = await stepsOf({ experiment: "timed", epochs: 50, maxSeconds: 1e-6 });
    expect(steps).toHaveLength(1);
    expect(result.history).toHaveLength(1);
  });
});

describe("kept epochs", () => {
  it("are the last few, beside best and last", async () => {
    const { result } = await stepsOf({ experiment: "kept", epochs: 4, keepEpochs: 2, limitTrain: 32 });
    const names = readdirSync(join(result.runDirectory, "checkpoints")).filter((name) => name.startsWith("epoch-"));
    expect(names.sort()).toEqual(["epoch-3.safetensors", "epoch-4.safetensors"]);
  });
});

describe("overfitBatches", () => {
  it("trains and validates on the same few images, and learns them", async () => {
    const { result } = await stepsOf({ experiment: "overfit", overfitBatches: 1, epochs: 30, plain: true });
    expect(result.history.at(-1)?.val.images).toBe(32);
    expect(result.history.at(-1)?.val.accuracy).toBeGreaterThan(0.95);
  });
});

describe("class imbalance", () => {
  it("can weigh in the loss, by the numbers of each class", async () => {
    const plain = await stepsOf({ experiment: "equal", plain: true });
    const weighted = await stepsOf({ experiment: "weighted", plain: true, classWeights: "balanced" });
    expect(weighted.steps[0]?.crossEntropy).not.toBe(plain.steps[0]?.crossEntropy);
    expect(Math.abs((weighted.steps[0]?.crossEntropy ?? 0) - (plain.steps[0]?.crossEntropy ?? 0))).toBeLessThan(0.2);
  });
});

describe("published baselines", () => {
  it.each(["rrr", "rrr-g", "hint", "saliency-guided"] as const)(
    "%s trains by itself on a decoy set",
    async (baseline) => {
      const before = memory().liveTensors;
      const { result, steps } = await stepsOf({ experiment: `base-${baseline}`, dataset: "decoy-mnist", baseline });
      expect(
        steps.every(({ baselineLoss, prototypeLoss }) => Number.isFinite(baselineLoss) && prototypeLoss === null),
      ).toBe(true);
      expect(steps.some(({ baselineLoss }) => Math.abs(baselineLoss ?? 0) > 0)).toBe(true);
      expect(result.test).not.toBeNull();
      expect(memory().liveTensors).toBe(before);
    },
  );

  it("name the run, and come beside the Prototype Loss where that is asked for", () => {
    expect(parseTrainConfig({ baseline: "rrr", lambdaBaseline: 10 })).toMatchObject({
      ...{ plain: true, lambdaPrototype: 0, experiment: "simple-cnn-mnist-rrr10-seed0" },
    });
    const both = parseTrainConfig({ baseline: "hint", lambdaPrototype: 0.5 });
    expect(both).toMatchObject({ plain: false, experiment: "simple-cnn-mnist-ssim-p0.5-hint1-seed0" });
    expect(parseTrainConfig({})).toMatchObject({ plain: false, lambdaPrototype: 0.5 });
  });

  it("that need masks refuse a data set without", async () => {
    const before = memory().liveTensors;
    await expect(train({ ...SMALL, experiment: "maskless", baseline: "rrr" })).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringMatching(/rrr needs masks, and mnist has none/),
    });
    expect(memory().liveTensors).toBe(before);
  });
});

describe("colour images", () => {
  it("of color-mnist are learned with guidance", async () => {
    const { result } = await stepsOf({ experiment: "color", dataset: "color-mnist" });
    expect(result.history.at(-1)?.train.prototypeLoss).toBeGreaterThan(0);
    const weights = await loadSafetensors(result.checkpoint);
    expect((weights.get("conv1.weight") as Tensor).shape).toEqual([32, 3, 3, 3]);
    for (const tensor of weights.values()) tensor.dispose();
  });
});
