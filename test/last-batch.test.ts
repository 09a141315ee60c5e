import { describe, expect, it } from "vitest";
import type { TrainConfigInput } from "../src/config/index.ts";
import { loadSafetensors } from "../src/io/index.ts";
import { findLearningRate, type TrainEvent, train } from "../src/train.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const output = temporaryFolder("last-batch");

/** With images of 28x28, the stem for 224x224 leaves maps of 1x1 in layer4, so a batch of one image has one value per channel there. */
const ONE_CELL: TrainConfigInput = {
  ...{ output, model: "resnet18", width: 4, stem: "imagenet" },
  ...{ limitTrain: 33, valImages: 10, limitTest: 10, batchSize: 16, epochs: 2 },
  ...{ lambdaWarmup: 0, figures: false, amp: "off", threads: 1 },
};

let runs = 0;
const named = (config: TrainConfigInput): TrainConfigInput => ({ ...ONE_CELL, experiment: `run${runs++}`, ...config });

async function valuesOf(path: string): Promise<Record<string, number[]>> {
  const state = await loadSafetensors(path);
  const values = Array.from(state, ([name, tensor]) => [name, Array.from(tensor.data() as Float32Array, Number)]);
  for (const tensor of state.values()) tensor.dispose();
  return Object.fromEntries(values);
}

describe("a last batch of one image, if a batch norm has maps of 1x1", () => {
  it.each<[string, TrainConfigInput, number]>([
    ["is joined to the one before it", {}, 2],
    ["is joined with the balanced sampler too", { sampler: "balanced" }, 2],
    ["is joined to the last step if gradients are accumulated", { batchSize: 8, gradAccumSteps: 2 }, 2],
    ["is joined within a step of accumulated gradients", { batchSize: 8, gradAccumSteps: 2, limitTrain: 25 }, 2],
    ["stays a batch of two if there are two images", { limitTrain: 34 }, 3],
    ["needs no other image if its norms are frozen", { freeze: "layer4", limitTrain: 33 }, 3],
    ["is joined in batches of two", { batchSize: 2, limitTrain: 5 }, 2],
  ])("%s", async (_, config, stepsPerEpoch) => {
    const { step, history } = await train(named(config));
    expect(step).toBe(2 * stepsPerEpoch);
    expect(history.every(({ train: { loss } }) => Number.isFinite(loss))).toBe(true);
  });

  it("gives the same bits if the run was stopped before the joined batch and continued", async () => {
    const whole = await train(named({ checkpointEvery: 1 }));
    const config = named({ checkpointEvery: 1 });
    const stop = new AbortController();
    const onEvent = ({ type }: TrainEvent) => type === "checkpoint" && stop.abort();
    expect((await train(config, { signal: stop.signal, onEvent })).step).toBe(1);
    const rest = await train({ ...config, resume: true });
    expect(await valuesOf(rest.checkpoint)).toEqual(await valuesOf(whole.checkpoint));
  });

  it("does not end a learning-rate sweep", async () => {
    const { output: _, epochs: __, lambdaWarmup: ___, figures: ____, ...config } = ONE_CELL;
    expect((await findLearningRate({ ...config, limitTrain: 17 }, { steps: 20, to: 1e-3 })).points).toHaveLength(20);
  });

  it("stays separate if the maps are larger", async () => {
    const { step } = await train(named({ model: "simple-cnn", norm: "batch", width: undefined, stem: undefined }));
    expect(step).toBe(6);
  });

  it.each<[TrainConfigInput, RegExp]>([
    [{ batchSize: 1 }, /^batchSize: the batch norm layer4\.0\.\S+ gets maps of 1x1 .* batches of 1: use batchSize 2/],
    [{ batchSize: 1, gradAccumSteps: 16 }, /^batchSize: the batch norm layer4/],
    [{ limitTrain: 1 }, /got 1 training image: train on more \(limitTrain\)/],
  ])("is refused before training if there is no other batch: %j", async (config, message) => {
    await expect(train(named(config))).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringMatching(message),
    });
  });

  it("can be trained alone if the maps are larger or the norms are frozen", async () => {
    const few = { batchSize: 1, limitTrain: 3, epochs: 1 };
    expect((await train(named({ ...few, stem: "small" }))).step).toBe(3);
    expect((await train(named({ ...few, freeze: "layer4" }))).step).toBe(3);
  });
});
