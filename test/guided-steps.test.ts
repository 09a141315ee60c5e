import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseTrainConfig, resumeTrainConfig, type TrainConfigInput } from "../src/config/index.ts";
import { loadSafetensors } from "../src/io/index.ts";
import { type EpochRecord, findLearningRate, type StepMetrics, type TrainEvent, train } from "../src/train.ts";
import { cli } from "./support/cli.ts";
import { once } from "./support/once.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const output = temporaryFolder("guided-steps");

/** Twelve steps with everything that has a state: running prototypes, batch norm, a schedule, augmentation. */
const SMALL: TrainConfigInput = {
  ...{ output, limitTrain: 192, valImages: 40, limitTest: 40, batchSize: 32, epochs: 2, lambdaWarmup: 4 },
  ...{ figures: false, logEvery: 1, amp: "off", threads: 1 },
};

async function stepsOf(config: TrainConfigInput) {
  const steps: StepMetrics[] = [];
  const onEvent = (event: TrainEvent) => void (event.type === "step" && steps.push(event.metrics));
  const result = await train({ ...SMALL, ...config }, { onEvent });
  return { result, steps };
}

async function weightsOf(path: string): Promise<Record<string, string>> {
  const state = await loadSafetensors(path);
  const bits = [...state].map(([name, t]) => [name, Buffer.from(t.data().buffer as ArrayBuffer).toString("base64")]);
  for (const tensor of state.values()) tensor.dispose();
  return Object.fromEntries(bits);
}

const saved = (run: string) => JSON.parse(readFileSync(join(output, run, "config.json"), "utf8"));
const places = (steps: readonly StepMetrics[], has: (step: StepMetrics) => boolean) =>
  steps.flatMap((step, i) => (has(step) ? [i + 1] : []));

const inThree = once(() => stepsOf({ experiment: "three", guideEvery: 3, lambdaBatch: 0.5 }));

describe("a run that guides one step in three", () => {
  it("has the terms of the guidance at these steps, with three times their weights, and null at the others", async () => {
    const { steps } = await inThree();
    for (const key of ["prototypeLoss", "batchCamLoss", "deadMaps", "rawMapMax"] as const)
      expect(places(steps, (step) => step[key] !== null)).toEqual([3, 6, 9, 12]);
    for (const { loss, crossEntropy, prototypeLoss, batchCamLoss, lambdaPrototype, lambdaBatch } of steps) {
      const guidance = lambdaPrototype * (prototypeLoss ?? 0) + lambdaBatch * (batchCamLoss ?? 0);
      expect(loss).toBeCloseTo(crossEntropy + guidance, 5);
    }
    expect(steps.map(({ lambdaPrototype }) => lambdaPrototype)).toEqual([
      ...[0, 0, 3 * 0.5 * (3 / 4), 0, 0, 1.5, 0, 0, 1.5, 0, 0, 1.5],
    ]);
  });

  it("has the means of the guided steps in an epoch's terms, and those of all steps in its loss", async () => {
    const { result, steps } = await inThree();
    const { train: means } = result.history[0] as EpochRecord;
    const first = steps.slice(0, 6);
    const mean = (list: readonly number[]) => list.reduce((sum, value) => sum + value, 0) / list.length;
    expect(means.loss).toBeCloseTo(mean(first.map(({ loss }) => loss)), 9);
    expect(means.prototypeLoss).toBeCloseTo(mean(first.flatMap(({ prototypeLoss }) => prototypeLoss ?? [])), 9);
    expect(means.deadMaps).toBeCloseTo(mean(first.flatMap(({ deadMaps }) => deadMaps ?? [])), 9);
    const table = readFileSync(join(output, "three", "summary.csv"), "utf8");
    expect(table).toContain(String(means.prototypeLoss));
  });

  it("is resumed bit for bit at any step, with its parts, running maps, averages and accumulated batches", async () => {
    const config = {
      ...({ guideEvery: 3, guideShare: 0.5, statistic: "cam-ema", norm: "batch", sched: "onecycle" } as const),
      ...({ gradAccumSteps: 2, limitTrain: 384, augShift: 0.1, modelEma: true, sampler: "balanced" } as const),
    };
    const whole = await stepsOf({ ...config, experiment: "whole" });
    expect(places(whole.steps, ({ deadMaps }) => deadMaps !== null)).toEqual([3, 6, 9, 12]);
    const stop = new AbortController();
    const onEvent = (event: TrainEvent) => void (event.type === "step" && event.step >= 4 && stop.abort());
    await train({ ...SMALL, ...config, experiment: "parts" }, { signal: stop.signal, onEvent });
    const rest = await train({ ...SMALL, ...config, experiment: "parts", resume: true });
    expect(await weightsOf(rest.checkpoint)).toEqual(await weightsOf(whole.result.checkpoint));
    expect(rest.history.map(({ train: means }) => means)).toEqual(
      whole.result.history.map(({ train: means }) => means),
    );
  });

  it("compares the gradients of its terms at guided steps, by their mean weights", async () => {
    const events: Extract<TrainEvent, { type: "balance" }>[] = [];
    const onEvent = (event: TrainEvent) => void (event.type === "balance" && events.push(event));
    await train({ ...SMALL, experiment: "compared", guideEvery: 3, lossBalanceEvery: 4 }, { onEvent });
    expect(events.map(({ step }) => step)).toEqual([6, 9, 12]);
    expect(events[0]?.terms.map(({ term, weight }) => [term, weight])).toEqual([
      ["crossEntropy", 1],
      ["prototypeLoss", 0.5],
    ]);
  });

  it("is a plain run if it ends before the first guided step, and says so", async () => {
    const warnings: string[] = [];
    const onEvent = (event: TrainEvent) => void (event.type === "warning" && warnings.push(event.message));
    const result = await train({ ...SMALL, experiment: "unguided", guideEvery: 20, epochs: 1 }, { onEvent });
    expect(warnings.join()).toContain("guideEvery 20 is more than the run's 6 steps, so that no map is guided");
    expect(result.history[0]?.train).toMatchObject({ prototypeLoss: null, deadMaps: null, lambdaPrototype: 0 });
    const plain = await train({ ...SMALL, experiment: "plain", plain: true, epochs: 1 });
    expect(await weightsOf(result.checkpoint)).toEqual(await weightsOf(plain.checkpoint));
  });
});

describe("the default", () => {
  it("is decided when a run begins, kept in its config, and kept when it is resumed with more epochs", async () => {
    const { result } = await stepsOf({ experiment: "decided" });
    expect(saved("decided").guideEvery).toBe(1);
    await train({ resume: result.runDirectory, epochs: 3 });
    expect(saved("decided")).toMatchObject({ guideEvery: 1, epochs: 3 });
  });

  it("is every step for a run of an earlier version, whose config does not have the option", async () => {
    const { result } = await stepsOf({ experiment: "earlier", maxSteps: 2 });
    const { guideEvery: _, guideShare: __, ...earlier } = saved("earlier");
    writeFileSync(join(output, "earlier", "config.json"), JSON.stringify(earlier));
    expect(resumeTrainConfig(earlier, {})).toMatchObject({ guideEvery: 1, guideShare: 1 });
    expect(() => resumeTrainConfig(earlier, { guideEvery: 4 })).toThrow(/guideEvery \(the run has 1, got 4\)/);
    const starts: unknown[] = [];
    const onEvent = (event: TrainEvent) => void (event.type === "start" && starts.push(event.config.guideEvery));
    const rest = await train({ resume: result.runDirectory, maxSteps: 1000 }, { onEvent });
    expect([starts, rest.step]).toEqual([[1], 12]);
  });

  it("is every step when a learning rate is searched, so that the losses can be compared", async () => {
    const losses: number[] = [];
    const config = { ...SMALL, output: undefined, guideEvery: 4, epochs: undefined, experiment: undefined };
    await findLearningRate(config, { steps: 20, from: 1e-9, to: 1e-8, onStep: ({ loss }) => losses.push(loss) });
    const [least, most] = [Math.min(...losses), Math.max(...losses)];
    expect(most - least).toBeLessThan(0.25); // a step without guidance would be lower by 0.4
  });

  it("does not change how a short development run works", async () => {
    const { steps } = await stepsOf({ guideEvery: 10, fastDevRun: true });
    expect(places(steps, ({ prototypeLoss }) => prototypeLoss !== null)).toEqual([2]);
  });
});

describe("the command line", () => {
  it.each([
    [["--guide-every", "0"], '--guide-every must be "auto", or a whole number, above 0, got 0'],
    [["--guide-every", "2.5"], '--guide-every must be "auto", or a whole number, above 0, got 2.5'],
    [["--guide-every", "often"], '--guide-every must be "auto", or a whole number, above 0, got "often"'],
    [["--guide-share", "0"], "--guide-share must be a number, above 0 and at most 1, got 0"],
    [["--guide-share", "1.1"], "--guide-share must be a number, above 0 and at most 1, got 1.1"],
  ])("refuses %j", async (flags, message) => {
    const { code, err } = await cli("train", ...flags);
    expect([code, err]).toEqual([2, expect.stringContaining(message)]);
  });

  it("says which steps and images are guided, in its first line and in the model card", async () => {
    const flags = [
      "--limit-train",
      "96",
      "--limit-val",
      "20",
      "--limit-test",
      "20",
      "--batch-size",
      "32",
      "--epochs",
      "1",
    ];
    const guided = ["--guide-every", "2", "--guide-share", "0.25", "--output", output, "--experiment", "told"];
    const { out } = await cli("train", ...flags, ...guided, "--no-figures");
    expect(out).toContain("maps of 7x7 from pool2 guided at one step in 2, on 25% of each batch;");
    expect(readFileSync(join(output, "told", "README.md"), "utf8")).toContain(
      "Maps were guided at one step in 2, with 2 times these weights, on 25 % of each batch.",
    );
  });

  it("takes auto", () => {
    expect(parseTrainConfig({ guideEvery: "auto" }).guideEvery).toBe("auto");
  });
});
