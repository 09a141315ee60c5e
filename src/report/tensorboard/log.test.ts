import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { type Decoded, readEvents } from "../../../test/support/event-reader.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { parseTrainConfig } from "../../config/index.ts";
import type { MapSamples, TrainEvent } from "../../train/run/events.ts";
import { createTensorBoardLog } from "./log.ts";

let folder = "";
beforeEach(() => {
  folder = temporaryFolder("board");
});

const pixels = (value: number) => new Float32Array(16).fill(value);
const SAMPLES: MapSamples = {
  ...{ classNames: ["zero"], height: 4, width: 4, images: [pixels(0.1)], labels: [0], predictions: [0] },
  ...{ maps: [pixels(0.5)], dead: [false], prototypes: [pixels(0.6)] },
};
const METRICS = { loss: 1.5, crossEntropy: 1.25, prototypeLoss: null, gradNorm: 3 };
const start = (resumedFromStep = 0) =>
  ({
    type: "start",
    runDirectory: folder,
    epochs: 2,
    resumedFromStep,
    voidFromStep: resumedFromStep + 1,
    config: parseTrainConfig({}),
  }) as TrainEvent;
const step = (at: number) =>
  ({
    type: "step",
    epoch: 1,
    step: at,
    imagesPerSecond: 100,
    metrics: { ...METRICS, loss: at },
  }) as unknown as TrainEvent;
const epoch = (at: number) =>
  ({
    ...{ type: "epoch", epoch: 1, epochs: 2 },
    record: { step: at, train: METRICS, val: { split: "val", accuracy: 0.75 } },
  }) as unknown as TrainEvent;

async function logged(...events: TrainEvent[]): Promise<{ files: Decoded[][]; warnings: string[] }> {
  const warnings: string[] = [];
  const log = createTensorBoardLog((message) => warnings.push(message));
  for (const event of events) log.onEvent(event);
  await log.written();
  const names = readdirSync(join(folder, "tensorboard")).sort();
  return { files: names.map((name) => readEvents(readFileSync(join(folder, "tensorboard", name)))), warnings };
}

const scalarsIn = (events: Decoded[]) =>
  events.flatMap(({ step: at, values }) =>
    values.flatMap(({ tag, scalar }) => (scalar === undefined ? [] : [[at, tag, scalar]])),
  );

describe("a run logged for TensorBoard", () => {
  it("opens with the version and the config, then has each number of each step and epoch under its step", async () => {
    const {
      files: [events = []],
    } = await logged(start(), step(20), step(40), epoch(55));
    expect(events[0]).toMatchObject({ fileVersion: "brain.Event:2" });
    expect(events[1]?.values).toMatchObject([{ tag: "config", plugin: "text" }]);
    expect(events[1]?.values[0]?.text).toMatch(/\| lambdaPrototype \| 0.5 \|/);
    expect(scalarsIn(events)).toEqual([
      ...[20, 40].flatMap((at) => [
        [at, "step/loss", at],
        [at, "step/crossEntropy", 1.25],
        [at, "step/gradNorm", 3],
        [at, "step/imagesPerSecond", 100],
      ]),
      [55, "train/loss", 1.5],
      [55, "train/crossEntropy", 1.25],
      [55, "train/gradNorm", 3],
      [55, "val/accuracy", 0.75],
    ]);
    expect(events.every(({ wallTime }) => Math.abs(wallTime - Date.now() / 1000) < 60)).toBe(true);
  });

  it("has the maps of an epoch as a picture", async () => {
    const {
      files: [events = []],
    } = await logged(start(), epoch(7), { type: "maps", epoch: 1, samples: SAMPLES });
    const [image] = events.flatMap(({ values, step: at }) =>
      values.flatMap((v) => (v.image ? [{ at, ...v.image }] : [])),
    );
    expect(image?.at).toBe(7);
    expect(image?.png.subarray(1, 4).toString()).toBe("PNG");
    expect(image?.width).toBeGreaterThan(100);
  });

  it("continues in a new file, which invalidates the entries after the checkpoint", async () => {
    await logged(start(), step(20), step(40));
    const { files } = await logged(start(30), step(40));
    expect(files).toHaveLength(2);
    expect(files[1]?.slice(0, 2)).toMatchObject([{ fileVersion: "brain.Event:2" }, { step: 31, sessionStart: true }]);
    expect(scalarsIn(files[1] ?? [])).toContainEqual([40, "step/loss", 40]);
  });

  it("that cannot be written is one warning, whatever follows", async () => {
    rmSync(folder, { recursive: true });
    writeFileSync(folder, "in the way");
    const warnings: string[] = [];
    const log = createTensorBoardLog((message) => warnings.push(message));
    for (const event of [start(), step(1), step(2), epoch(2)]) log.onEvent(event);
    await log.written();
    expect(warnings).toEqual([
      expect.stringMatching(/^no more TensorBoard events are written: cannot make the folder/),
    ]);
    rmSync(folder);
    mkdirSync(folder);
  });

  it("hears of nothing before the run has begun", async () => {
    const log = createTensorBoardLog();
    log.onEvent(step(1));
    await log.written();
    expect(readdirSync(folder)).toEqual([]);
  });
});
