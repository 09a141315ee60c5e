import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { explain } from "../src/cam/index.ts";
import { gatherBatch } from "../src/data/index.ts";
import { confidence, deletionCurve, sparseness } from "../src/metrics/index.ts";
import { noGrad, type Tensor, tidy } from "../src/tensor/index.ts";
import { train } from "../src/train.ts";
import { METRIC_DEFINITIONS } from "../src/workflows/evaluate/explanation-metrics.ts";
import { openRun } from "../src/workflows/loaded-model.ts";
import { cli } from "./support/cli.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const folder = temporaryFolder("evaluate");
const run = join(folder, "run");

const evaluate = (...argv: string[]) => cli("evaluate", ...argv);

beforeAll(async () => {
  await train({
    ...{ limitTrain: 1024, limitTest: 80, valImages: 60, epochs: 1, figures: false, threads: 1, amp: "off" },
    ...{ channelsLast: "off", output: folder, experiment: "run" },
  });
}, 120_000);

describe("batch-cam evaluate", () => {
  it("prints and saves every metric of several methods, each with its definition", async () => {
    const { code, out, err } = await evaluate(run, "--method", "GradCAM,layer-cam", "--limit", "40", "--steps", "5");
    expect([code, err]).toEqual([0, ""]);
    const record = JSON.parse(readFileSync(join(run, "evaluation.json"), "utf8"));
    expect(record.classification).toMatchObject({ split: "test", images: 80 });
    expect(
      record.explanations.map(({ method, images }: { method: string; images: number }) => [method, images]),
    ).toEqual([
      ["GradCAM", 40],
      ["LayerCAM", 40],
    ]);
    expect(Object.keys(record.definitions)).toEqual(Object.keys(METRIC_DEFINITIONS));
    const names = Object.keys(METRIC_DEFINITIONS).filter((name) => name !== "energyInMask"); // MNIST has no masks
    for (const { values, randomisation } of record.explanations) {
      expect(Object.keys(values)).toEqual(names);
      for (const [name, { mean }] of Object.entries(values) as [string, { mean: number }][])
        expect(mean, name).toEqual(expect.any(Number));
      expect(randomisation.map(({ layer }: { layer: string }) => layer)).toEqual([
        "fc2",
        "fc1",
        "conv3",
        "conv2",
        "conv1",
      ]);
    }
    for (const name of names) expect(out).toMatch(new RegExp(`^${name}(?: [↑↓])?(?: \\([a-z ]+\\))? +-?\\d`, "m"));
    expect(out).toMatch(/test, 80 images: accuracy \d+/);
  });

  it("gives the means of the metric functions over the split, whatever the batch size", async () => {
    await evaluate(run, "--limit", "30", "--steps", "4", "--no-randomise", "--batch-size", "7");
    const record = JSON.parse(readFileSync(join(run, "evaluation.json"), "utf8"));
    expect(record.explanations[0].randomisation).toBeNull();
    const { values } = record.explanations[0];
    const subject = await openRun(run, "test");
    tidy(() => {
      const { model, data, camLayer } = subject;
      model.eval();
      const { images, labels } = gatherBatch(
        data.test,
        Int32Array.from({ length: 30 }, (_, i) => i),
      );
      const { maps } = explain(model, images, { targets: labels, layer: camLayer, normalize: { eps: 1e-6 } });
      const predict = (x: Tensor) => noGrad(() => model.forward(x));
      const drop = confidence(predict, images, maps, labels);
      expect(values.averageDrop.mean).toBeCloseTo(drop.averageDrop, 4);
      expect(values.increaseInConfidence.mean).toBeCloseTo(drop.increaseInConfidence, 6);
      const deletion = deletionCurve(predict, images, maps, labels, { steps: 4 });
      expect(values.deletionAuc.mean).toBeCloseTo(deletion.auc.mean().item(), 4);
      const even = sparseness(maps).data() as Float64Array;
      const defined = even.filter((value) => !Number.isNaN(value));
      expect(values.sparseness.mean).toBeCloseTo(defined.reduce((a, b) => a + b, 0) / defined.length, 4);
      expect(values.sparseness.undefined).toBe(30 - defined.length);
    });
    subject.dispose();
  });

  it("gives equal numbers at every batch size, even for methods and metrics that use random numbers", async () => {
    const values: Record<string, number>[] = [];
    for (const batchSize of ["1", "2"]) {
      const limits = ["--limit", "3", "--steps", "2", "--no-randomise", "--batch-size", batchSize];
      const { code, out } = await evaluate(run, ...limits, "--method", "GradCAM,SmoothGrad", "--json");
      expect(code).toBe(0);
      const { explanations } = JSON.parse(out) as { explanations: { method: string; values: Values }[] };
      const named = explanations.flatMap(({ method, values }) =>
        Object.entries(values).map(([name, { mean }]) => [`${method} ${name}`, mean] as const),
      );
      values.push(Object.fromEntries(named));
    }
    const [one, ...others] = values as [Record<string, number>, ...Record<string, number>[]];
    // In float32, a network rounds differently for batches of different sizes, by about 1e-6 in a gradient.
    const near = (name: string, value: number) => (name.startsWith("SmoothGrad") ? 5e-6 : 1e-6) * Math.max(1, value);
    for (const other of others)
      for (const [name, value] of Object.entries(other))
        expect(Math.abs(value - (one[name] as number)), name).toBeLessThanOrEqual(near(name, Math.abs(value)));
  });
  type Values = Record<string, { mean: number }>;

  it("keeps results of earlier calls with other methods, and replaces those of the same method", async () => {
    const found = async (...argv: string[]) => {
      await evaluate(run, "--no-randomise", "--steps", "2", ...argv);
      const { explanations } = JSON.parse(readFileSync(join(run, "evaluation.json"), "utf8"));
      return explanations.map(({ method, images }: { method: string; images: number }) => `${method} ${images}`);
    };
    writeFileSync(join(run, "evaluation.json"), "damaged");
    expect(await found("--limit", "10")).toEqual(["GradCAM 10"]);
    expect(await found("--limit", "10", "--method", "LayerCAM")).toEqual(["LayerCAM 10", "GradCAM 10"]);
    expect(await found("--limit", "10")).toEqual(["GradCAM 10", "LayerCAM 10"]);
    expect(await found("--limit", "10", "--batch-size", "7", "--method", "XGradCAM")).toHaveLength(3);
    const val = await evaluate(run, "--limit", "10", "--steps", "2", "--no-randomise", "--split", "val");
    expect(val.out).toMatch(/evaluation-val\.json/);
    expect(await found("--limit", "10", "--seed", "3")).toHaveLength(4);
  });

  it("evaluates a split in which classes are missing", async () => {
    const { code, out } = await evaluate(run, "--limit", "3", "--steps", "2", "--no-randomise");
    expect([code, out]).toEqual([0, expect.stringMatching(/^deadMaps ↓ +0\./m)]);
  });

  it("names the runs in a folder that is not a run itself", async () => {
    const { code, err } = await evaluate(folder);
    expect([code, err]).toEqual([2, expect.stringMatching(/is not a finished run: .*it contains the runs .*run$/m)]);
  });

  it("does not change the run's weights, and prints only JSON if asked to", async () => {
    const weights = () => readFileSync(join(run, "checkpoints", "best.safetensors")).toString("base64");
    const before = weights();
    const { code, out } = await evaluate(
      run,
      "--limit",
      "10",
      "--steps",
      "2",
      "--split",
      "val",
      "--target",
      "prediction",
      "--json",
    );
    expect(code).toBe(0);
    expect(JSON.parse(out).classification.split).toBe("val");
    expect(weights()).toBe(before);
  });

  it.each([
    ["no run", [], /evaluate needs RUN, which is missing: run directory/],
    ["two runs", ["a", "b"], /RUN is given twice, the second time as "b": evaluate takes one at a time/],
    [
      "a missing run",
      [join(folder, "nowhere")],
      /is not a finished run: there is no such folder;.* name a run directory/,
    ],
    ["an unknown method", [run, "--method", "gradcm"], /did you mean GradCAM\?/],
    ["no method", [run, "--method", ","], /--method must name at least one method/],
    ["a split that runs do not have", [run, "--split", "train"], /--split must be one of "test", "val", got "train"/],
    ["no image", [run, "--limit", "0"], /--limit must be a whole number, above 0/],
  ])("refuses %s", async (_, argv, message) => {
    const { code, err } = await evaluate(...argv);
    expect(err).toMatch(message);
    expect([code, err.trim().split("\n").length]).toEqual([2, 1]);
  });

  it("refuses a run whose config is damaged, with the reason", async () => {
    const path = join(run, "config.json");
    const config = readFileSync(path, "utf8");
    writeFileSync(path, config.slice(0, 40));
    const { code, err } = await evaluate(run);
    writeFileSync(path, config);
    expect([code, err]).toEqual([2, expect.stringMatching(/config\.json/)]);
  });
});
