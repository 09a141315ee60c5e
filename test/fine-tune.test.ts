import { describe, expect, it } from "vitest";
import type { TrainConfigInput } from "../src/config/index.ts";
import { loadSafetensors } from "../src/io/index.ts";
import { evaluate, type StepMetrics, type TrainEvent, train } from "../src/train.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const output = temporaryFolder("fine-tune");

const SMALL: TrainConfigInput = {
  output,
  limitTrain: 128,
  valImages: 40,
  limitTest: 40,
  batchSize: 32,
  epochs: 2,
  lambdaWarmup: 5,
  figures: false,
  amp: "off",
};

async function weightsOf(path: string): Promise<Map<string, number[]>> {
  const state = await loadSafetensors(path);
  const values = new Map(
    Array.from(state, ([name, tensor]) => [name, Array.from(tensor.to("float64").data() as Float64Array)]),
  );
  for (const tensor of state.values()) tensor.dispose();
  return values;
}

function largestDifference(a: Map<string, number[]>, b: Map<string, number[]>): number {
  let largest = 0;
  for (const [name, values] of a) {
    values.forEach((value, i) => {
      largest = Math.max(largest, Math.abs(value - (b.get(name)?.[i] ?? Number.NaN)));
    });
  }
  return largest;
}

describe("gradAccumSteps", () => {
  it("is the gradient of one large batch, even with class weights", async () => {
    const rows = async (config: TrainConfigInput) => {
      const metrics: StepMetrics[] = [];
      const onEvent = (event: TrainEvent) => void (event.type === "step" && metrics.push(event.metrics));
      await train({ ...SMALL, ...config, classWeights: "balanced", plain: true, logEvery: 1, amp: "off" }, { onEvent });
      return metrics[0] as StepMetrics;
    };
    const whole = await rows({ experiment: "whole-weighted", batchSize: 64, maxSteps: 1 });
    const parts = await rows({ experiment: "parts-weighted", batchSize: 16, gradAccumSteps: 4, maxSteps: 1 });
    expect(parts.crossEntropy).toBeCloseTo(whole.crossEntropy, 5);
    expect(parts.gradNorm / whole.gradNorm).toBeCloseTo(1, 4);
  });

  it("takes the step of one large batch", async () => {
    const one = await train({ ...SMALL, experiment: "large", batchSize: 64, plain: true });
    const two = await train({ ...SMALL, experiment: "added", batchSize: 32, gradAccumSteps: 2, plain: true });
    expect(two.step).toBe(one.step);
    expect(largestDifference(await weightsOf(one.checkpoint), await weightsOf(two.checkpoint))).toBeLessThan(1e-4);
    const [a, b] = [one, two].map(({ history }) => history[0]?.train);
    expect(b?.crossEntropy).toBeCloseTo(a?.crossEntropy as number, 5);
    expect(b?.gradNorm).toBeCloseTo(a?.gradNorm as number, 4);
    expect(b?.accuracy).toBeCloseTo(a?.accuracy as number, 8);
  });

  it("resumes bit for bit, averages of the weights included", async () => {
    const config = { ...SMALL, gradAccumSteps: 2, modelEma: true, norm: "batch", checkpointEvery: 1 } as const;
    const whole = await train({ ...config, experiment: "whole" });
    const stop = new AbortController();
    const onEvent = (event: { type: string }) => event.type === "checkpoint" && stop.abort();
    await train({ ...config, experiment: "part" }, { signal: stop.signal, onEvent });
    const rest = await train({ ...config, experiment: "part", resume: true });
    expect(await weightsOf(rest.checkpoint)).toEqual(await weightsOf(whole.checkpoint));
    expect(await weightsOf(rest.best as string)).toEqual(await weightsOf(whole.best as string));
    expect(rest.test).toEqual(whole.test);
  });
});

/** Rounds to 12 decimals, so that the step of 1e-30 that the first run took has no effect. */
const rounded = (values: readonly number[] | undefined) => values?.map((value) => Math.round(value * 1e12) + 0);

describe("freeze", () => {
  it("does not change the weights and running statistics of the frozen modules, and trains the others", async () => {
    const config = { ...SMALL, norm: "batch", checkpointEvery: 1 } as const;
    const start = await train({ ...config, experiment: "start", maxSteps: 1, lr: 1e-30 });
    const before = await weightsOf(start.checkpoint);
    const frozen = await train({ ...config, experiment: "frozen", freeze: "conv1, bn1,conv2,bn2" });
    const after = await weightsOf(frozen.checkpoint);
    for (const name of before.keys()) {
      const kept = /^(conv|bn)[12]\./.test(name);
      if (kept && /weight|bias/.test(name)) expect(rounded(after.get(name)), name).toEqual(rounded(before.get(name)));
      if (!kept && name.endsWith("weight")) expect(after.get(name), name).not.toEqual(before.get(name));
    }
    expect(new Set(after.get("bn1.running_mean"))).toEqual(new Set([0]));
    expect(after.get("bn3.num_batches_tracked")).toEqual([frozen.step]);
  });

  it("refuses an unknown module, suggesting the most similar one, and refuses to freeze everything", async () => {
    await expect(train({ ...SMALL, experiment: "typo", freeze: "cnov1" })).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringMatching(/freeze: the model has no layer "cnov1"; the nearest are conv1/),
    });
    await expect(train({ ...SMALL, experiment: "all", freeze: "conv1,conv2,conv3,fc1,fc2" })).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringMatching(/no parameter is left to train/),
    });
  });
});

describe("modelEma", () => {
  it("validates, saves and tests the average, while the last checkpoint contains the trained weights", async () => {
    const config = { ...SMALL, modelEmaDecay: 0.5, modelEmaWarmup: false } as const;
    const plain = await train({ ...config, experiment: "trained" });
    const result = await train({ ...config, experiment: "averaged", modelEma: true });
    expect(await weightsOf(result.checkpoint)).toEqual(await weightsOf(plain.checkpoint));
    expect(await weightsOf(result.best as string)).not.toEqual(await weightsOf(plain.best as string));
    expect((await evaluate(result.runDirectory)).test).toEqual(result.test);
  });
});

describe("layerDecay and weightDecay", () => {
  it("slow down the early layers, and leave biases out of the weight decay by default", async () => {
    const config = { ...SMALL, epochs: 1, plain: true, opt: "sgd", momentum: 0, lr: 1e-3 } as const;
    const start = await weightsOf((await train({ ...config, experiment: "s", lr: 1e-30 })).checkpoint);
    const moved = async (experiment: string, extra: TrainConfigInput) => {
      const end = await weightsOf((await train({ ...config, ...extra, experiment })).checkpoint);
      return (name: string) => largestDifference(new Map([[name, start.get(name) as number[]]]), end);
    };
    const even = await moved("even", {});
    const slow = await moved("slow", { layerDecay: 0.1 });
    expect(slow("conv1.weight")).toBeLessThan(even("conv1.weight") / 100);
    expect(slow("fc2.weight")).toBeGreaterThan(even("fc2.weight") / 3);
    const decayed = await moved("decayed", { weightDecay: 100 });
    const all = await moved("all-decayed", { weightDecay: 100, decayNormAndBias: true });
    expect(decayed("conv1.weight")).toBeGreaterThan(10 * even("conv1.weight"));
    expect(decayed("conv1.bias")).toBeLessThan(3 * even("conv1.bias"));
    expect(all("conv1.bias")).toBeGreaterThan(10 * even("conv1.bias"));
  });
});
