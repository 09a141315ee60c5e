import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { explain } from "../src/cam/index.ts";
import type { TrainConfigInput } from "../src/config/index.ts";
import { gatherPixels, normalize } from "../src/data/index.ts";
import { inEvaluation } from "../src/nn/index.ts";
import { memory, type Tensor, tensor, tidy } from "../src/tensor/index.ts";
import { evaluate, type TrainEvent } from "../src/train.ts";
import { type LoadedRun, openRun } from "../src/workflows/loaded-model.ts";
import type { DoneRun, GridRun } from "../src/workflows/study/records.ts";
import { type TrainGridRunOptions, trainGridRun } from "../src/workflows/study/train-grid-run.ts";
import { gridRuns } from "./support/grid-runs.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const folder = temporaryFolder("run");

const SMALL = {
  ...{ limitTrain: 96, valImages: 40, limitTest: 40, batchSize: 32, epochs: 2, lambdaWarmup: 3, amp: "off" },
  checkpointEvery: 2,
} as const satisfies TrainConfigInput;

function runOf(options: TrainConfigInput = {}, dataset = "mnist"): GridRun {
  const [run] = gridRuns({ base: { ...SMALL, ...options }, datasets: dataset, objectives: "prototype", seeds: [3] });
  return run as GridRun;
}

const directoryOf = (name: string) => join(folder, name);
const trained = (run: GridRun, name: string, options: Partial<TrainGridRunOptions> = {}) =>
  trainGridRun(run, { directory: directoryOf(name), threads: 1, explanations: 10, ...options });

/** A record without the values that depend on time. */
function numbersOf(record: DoneRun | null) {
  const { seconds: _, secondsPerStep: _step, environment: _environment, history = [], ...rest } = record as DoneRun;
  return { ...rest, history: history.map(({ secondsPerEpoch: _epoch, ...epoch }) => epoch) };
}

const bytesOf = (text: string) => Uint8Array.from(Buffer.from(text, "base64"));
const asBytes = (picture: Tensor) => Array.from(picture.data() as Float32Array, (value) => Math.round(255 * value));

describe("a run", () => {
  const run = runOf();
  let record: DoneRun;
  let subject: LoadedRun;
  beforeAll(async () => {
    record = (await trained(run, "whole")) as DoneRun;
    subject = await openRun(directoryOf("whole"), "test");
  });
  afterAll(() => subject.dispose());

  it("contains its names, the config of its run, and the environment", () => {
    expect(record).toMatchObject({ ...run, schemaVersion: 1, status: "done", steps: 6, spurious: null });
    expect(record.history.map(({ epoch }) => epoch)).toEqual([1, 2]);
    expect(record.environment).toMatchObject({ threads: 1, seed: 3, precision: "float32" });
    expect(record.parameters).toBe(subject.model.parameters().reduce((sum, { numel }) => sum + numel, 0));
    expect(record.secondsPerStep).toBeGreaterThan(0);
    expect(record.seconds).toBeGreaterThan(record.secondsPerStep);
    expect(JSON.parse(JSON.stringify(record))).toEqual(record);
  });

  it("has the test results of its best epoch, as `evaluate` computes them", async () => {
    const { test } = await evaluate(directoryOf("whole"));
    expect(record.test).toEqual(test);
    expect(record.bestEpoch).toBe(record.history.findLast(({ bestSoFar }) => bestSoFar)?.epoch);
    expect(record.explanations).toMatchObject({ method: "GradCAM", images: 10, target: "label", randomisation: null });
  });

  it("contains the first test image of each class, unchanged, with its map", () => {
    const { samples } = record;
    const { test } = subject.data;
    const labels = Array.from(test.labels.data() as BigInt64Array, Number);
    expect(samples).toMatchObject({ height: 28, width: 28, channels: 1, classNames: test.classNames });
    for (const [i, label] of samples.labels.entries()) {
      const index = labels.indexOf(label);
      tidy(() => {
        expect(bytesOf(samples.images[i] as string)).toEqual(
          test.images.indexSelect(0, tensor(Int32Array.of(index))).data(),
        );
        const x = normalize(gatherPixels(test, Int32Array.of(index)), test.normalization);
        const { maps, logits } = inEvaluation(subject.model, () =>
          explain(subject.model, x, { targets: [label], layer: subject.camLayer, normalize: { eps: 1e-6 } }),
        );
        const shown = Array.from(bytesOf(samples.maps[i] as string));
        const expected = asBytes(maps);
        expect(Math.max(...expected.map((value, at) => Math.abs(value - (shown[at] as number))))).toBeLessThanOrEqual(
          1,
        );
        expect(samples.predictions[i]).toBe(logits.argmax(1).item());
      });
    }
    expect(samples.labels).toEqual([...new Set(labels)].sort((a, b) => a - b));
  });

  it("contains the mean map of each class over the test split, and the prototypes", () => {
    const { test } = subject.data;
    const labels = Array.from(test.labels.data() as BigInt64Array, Number);
    const shown = record.samples.meanMaps.map(bytesOf);
    expect(shown).toHaveLength(10);
    for (const [label, mean] of shown.entries()) {
      const own = Int32Array.from(labels.flatMap((other, index) => (other === label ? [index] : [])));
      if (own.length === 0) {
        expect(Math.max(...mean)).toBe(0);
        continue;
      }
      tidy(() => {
        const x = normalize(gatherPixels(test, own), test.normalization);
        const targets = Array.from(own, () => label);
        const { maps } = inEvaluation(subject.model, () =>
          explain(subject.model, x, { targets, layer: subject.camLayer, normalize: { eps: 1e-6 } }),
        );
        const expected = asBytes(maps.mean([0]));
        expect(Math.max(...expected.map((value, at) => Math.abs(value - (mean[at] as number))))).toBeLessThanOrEqual(1);
      });
    }
    tidy(() => {
      const prototypes = subject.prototypes.unbind(0).map(asBytes);
      expect(record.samples.prototypes.map((text) => Array.from(bytesOf(text)))).toEqual(prototypes);
    });
  });

  it("is the same, bit for bit, in another folder", async () => {
    expect(numbersOf(await trained(run, "again"))).toEqual(numbersOf(record));
  });

  it("is the same if it was stopped in training and in evaluation and continued each time", async () => {
    for (const at of [3, 6]) {
      const stop = new AbortController();
      const onEvent = (event: TrainEvent) => void (event.type === "step" && event.step === at && stop.abort());
      expect(await trained(run, "parts", { signal: stop.signal, onEvent })).toBeNull();
    }
    const stop = new AbortController();
    const onEvent = (event: TrainEvent) => void (event.type === "end" && setImmediate(() => stop.abort()));
    expect(await trained(run, "parts", { signal: stop.signal, onEvent })).toBeNull();
    const begun: number[] = [];
    const last = await trained(run, "parts", {
      onEvent: (e) => void (e.type === "start" && begun.push(e.resumedFromStep)),
    });
    expect(begun).toEqual([6]);
    expect(numbersOf(last)).toEqual(numbersOf(record));
  });

  it.each([
    ["of another number of threads", () => trained(run, "left", { threads: 2, signal: AbortSignal.abort() })],
    ["of another run", () => trained(runOf({ lr: 0.5 }), "left", { signal: AbortSignal.abort() })],
    ["with a torn config", () => writeFileSync(join(directoryOf("left"), "config.json"), "{")],
    ["without a config", () => rmSync(join(directoryOf("left"), "config.json"))],
    [
      "with a torn checkpoint",
      async () => {
        await trained(run, "left", { signal: AbortSignal.abort() });
        writeFileSync(join(directoryOf("left"), "checkpoints", "last.safetensors"), "torn");
      },
    ],
  ])("starts again in a directory that contains a run %s", async (_, leave) => {
    await leave();
    expect(existsSync(directoryOf("left"))).toBe(true);
    const begun: number[] = [];
    const onEvent = (event: TrainEvent) => void (event.type === "start" && begun.push(event.resumedFromStep));
    expect(numbersOf(await trained(run, "left", { onEvent }))).toEqual(numbersOf(record));
    expect(begun).toEqual([0]);
  });

  it("keeps colours, and has a mean map of zeros for a class without test images", async () => {
    const few = await trained(runOf({ limitTest: 6 }, "color-mnist"), "colours", { explanations: 0 });
    const { samples, explanations } = few as DoneRun;
    expect(explanations).toBeNull();
    expect(samples.channels).toBe(3);
    for (const image of samples.images) expect(bytesOf(image)).toHaveLength(3 * 28 * 28);
    const missing = samples.meanMaps.flatMap((map, label) => (samples.labels.includes(label) ? [] : [map]));
    expect(missing.length).toBe(10 - samples.labels.length);
    for (const map of missing) expect(bytesOf(map)).toEqual(new Uint8Array(28 * 28));
  });

  it("fails with the error of its training, and leaves no live tensor", async () => {
    const before = memory().liveTensors;
    await expect(trained(runOf({ lr: 1e30 }), "wild")).rejects.toMatchObject({ code: "E_NUMERIC" });
    await trained(run, "tidy");
    expect(memory().liveTensors).toBe(before);
    await expect(trained(runOf({ camLayer: "nowhere" }), "lost")).rejects.toThrow(/nowhere/);
  });

  it("logs every step of its run, and draws nothing", () => {
    const log = readFileSync(join(directoryOf("again"), "metrics.jsonl"), "utf8");
    expect(log.match(/"kind":"step"/g)).toHaveLength(6);
    expect(existsSync(join(directoryOf("again"), "figures"))).toBe(false);
  });
});
