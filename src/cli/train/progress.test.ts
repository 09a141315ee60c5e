import { describe, expect, it } from "vitest";
import { parseTrainConfig } from "../../config/index.ts";
import type {
  EpochRecord,
  SplitRecord,
  StartEvent,
  StepEvent,
  StepMetrics,
  TrainEvent,
  TrainResult,
} from "../../train/run/events.ts";
import { createProgress } from "./progress.ts";
import { endLines } from "./progress-lines.ts";

const START: StartEvent = {
  type: "start",
  runDirectory: "runs/a",
  modelOptions: { imageSize: 28, head: "gap" },
  resumedFromStep: 0,
  voidFromStep: 0,
  classNames: ["a", "b"],
  parameters: 900_000,
  mapSize: [7, 7],
  camLayer: "features.7",
  stepsPerEpoch: 100,
  epochs: 2,
  trainImages: 12_800,
  valImages: 500,
  testImages: 1000,
  threads: 2,
  precision: "float32",
  config: parseTrainConfig({}),
};
const METRICS: StepMetrics = {
  loss: 0.521,
  crossEntropy: 0.412,
  prototypeLoss: 0.218,
  batchCamLoss: null,
  baselineLoss: null,
  lambdaPrototype: 0.5,
  lambdaBatch: 0,
  deadMaps: 0.031,
  rawMapMax: 2,
  gradNorm: 1,
  lr: 1e-3,
};
const SPLIT: SplitRecord = {
  split: "val",
  images: 500,
  accuracy: 0.9731,
  crossEntropy: 0.1,
  mapL1: 0.07,
  mapL2: 0.02,
  mapSsim: 0.61,
  coherence: 0.9,
  deadMaps: 0.002,
  energyInForeground: 0.6,
};
const RECORD: EpochRecord = {
  epoch: 1,
  step: 100,
  train: { ...METRICS, accuracy: 0.9 },
  val: SPLIT,
  secondsPerEpoch: 41,
  bestSoFar: true,
};
const RESULT: TrainResult = {
  runDirectory: "runs/a",
  interrupted: false,
  endedBy: "epochs",
  step: 200,
  history: [RECORD],
  test: { ...SPLIT, split: "test", accuracy: 0.9871 },
  bestEpoch: 2,
  checkpoint: "runs/a/checkpoints/last.safetensors",
  best: "runs/a/checkpoints/best.safetensors",
  seconds: 84,
};
const step = (stepInEpoch: number, more: Partial<StepEvent> = {}): StepEvent => ({
  type: "step",
  epoch: 1,
  step: stepInEpoch,
  stepInEpoch,
  stepsPerEpoch: 100,
  metrics: METRICS,
  imagesPerSecond: 1280,
  ...more,
});

function terminal({ columns = 120, isTTY = true, env = {} as Record<string, string> } = {}) {
  const out: string[] = [];
  const errors: string[] = [];
  const clock = { ms: 0 };
  let resize = () => {};
  const stdout = {
    write: (text: string) => out.push(text),
    isTTY,
    columns,
    on: (_: "resize", listener: () => void) => (resize = listener),
    off: () => (resize = () => {}),
  };
  const stderr = { write: (text: string) => errors.push(text), isTTY };
  const progress = createProgress({ stdout, stderr, env, now: () => clock.ms });
  const send = (...events: TrainEvent[]) => {
    for (const event of events) progress.onEvent(event);
  };
  return {
    send,
    stop: () => progress.stop(),
    out: () => out.join(""),
    errors: () => errors.join(""),
    clock,
    stdout,
    resize: () => resize(),
  };
}

/** The last line that a terminal shows after all output. */
function lastLine(text: string): string {
  const line = text.split("\n").at(-1) ?? "";
  return visible(line.split("\r\u001b[2K").at(-1) ?? "");
}
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is removed
const visible = (text: string) => text.replace(/\u001b\[\d*m/g, "");

describe("progress on a terminal", () => {
  it("shows epoch, bar, step, every term of the loss, dead maps, rate and time left in one live line", () => {
    const { send, out } = terminal();
    send(START, step(50));
    const line = lastLine(out());
    expect(line).toMatch(
      /^epoch 1\/2 {2}\[=+> +\] {3}50\/100 {2}loss 0.521 {2}ce 0.412 {2}proto 0.218 {2}dead 3.1% {2}1280 images\/s {2}15 s left$/,
    );
    expect(out().match(/\n/g)).toHaveLength(1);
  });

  it.each([200, 120, 100, 80, 60, 40, 20, 10, 1])("never fills a terminal of %d columns", (columns) => {
    const { send, out } = terminal({ columns });
    send(START, step(50));
    expect(lastLine(out()).length).toBeLessThan(columns);
  });

  it("averages the rate and the time left over the last steps", () => {
    const { send, out } = terminal();
    send(START, step(50), step(100, { imagesPerSecond: 640 }));
    expect(lastLine(out())).toMatch(/1067 images\/s {2}12 s left$/);
  });

  it("keeps the position and the terms of the loss on 80 columns", () => {
    const { send, out } = terminal({ columns: 80 });
    send(START, step(50));
    expect(lastLine(out())).toMatch(/epoch 1\/2 {2}\[=.*\] {3}50\/100 {2}ce 0.412 {2}proto 0.218/);
  });

  it("redraws at the new width when the terminal is resized, and stops doing so when it is stopped", () => {
    const { send, out, stdout, resize, stop } = terminal({ columns: 120 });
    send(START, step(50));
    stdout.columns = 30;
    resize();
    expect(lastLine(out()).length).toBeLessThan(30);
    stop();
    const length = out().length;
    resize();
    expect(out()).toHaveLength(length);
  });

  it("draws at most ten times a second, and always draws the last step of an epoch", () => {
    const { send, out, clock } = terminal();
    send(START, step(10));
    clock.ms = 50;
    send(step(20));
    expect(lastLine(out())).toContain("10/100");
    clock.ms = 101;
    send(step(30));
    expect(lastLine(out())).toContain("30/100");
    send(step(100));
    expect(lastLine(out())).toContain("100/100");
  });

  it("puts an epoch's line above the live line", () => {
    const { send, out } = terminal();
    send(START, step(100), { type: "epoch", epoch: 1, epochs: 2, record: RECORD });
    expect(out().replaceAll("\r\u001b[2K", "|")).toMatch(
      /\|epoch 1\/2 {2}loss 0.521 .*accuracy 90.0%.*accuracy 97.31%.*best\n/,
    );
    expect(lastLine(out())).toContain("100/100");
  });

  it("removes the live line for a warning, which is written to stderr", () => {
    const { send, out, errors } = terminal();
    send(START, step(50), { type: "warning", message: "22% of the maps are dead" });
    expect(errors()).toBe("\u001b[33mwarning:\u001b[39m 22% of the maps are dead\n");
    expect(lastLine(out())).toContain("50/100");
  });

  it("removes the live line at the end", () => {
    const { send, out } = terminal();
    send(START, step(50), { type: "end", result: RESULT });
    expect(lastLine(out())).toBe("");
    expect(visible(out())).toContain("test: accuracy 98.71%");
  });

  it("writes no colours with NO_COLOR, and colours without", () => {
    const coloured = terminal();
    coloured.send(START, step(50));
    expect(visible(coloured.out())).not.toBe(coloured.out());
    const bare = terminal({ env: { NO_COLOR: "1" } });
    bare.send(START, step(50), { type: "warning", message: "w" });
    expect(visible(bare.out() + bare.errors())).toBe(bare.out() + bare.errors());
  });

  it("is plain on a dumb terminal", () => {
    const { send, out } = terminal({ env: { TERM: "dumb" } });
    send(START, step(50));
    expect(out()).not.toContain("\u001b");
    expect(out().endsWith("\n")).toBe(true);
  });
});

describe("progress in a file or a pipe", () => {
  const plain = () => terminal({ isTTY: false });

  it("consists of lines without control characters", () => {
    const { send, out, errors } = plain();
    send(
      START,
      step(50),
      { type: "epoch", epoch: 1, epochs: 2, record: RECORD },
      { type: "warning", message: "w" },
      { type: "end", result: RESULT },
    );
    // biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is the point
    expect(out()).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
    expect(out().split("\n")).toHaveLength(6);
    expect(errors()).toBe("warning: w\n");
  });

  it("has a line for each quarter of an epoch, and at least one every half minute", () => {
    const { send, out, clock } = plain();
    send(START);
    for (let i = 1; i <= 100; i++) send(step(i));
    expect([...out().matchAll(/step (\d+)\//g)].map(([, at]) => Number(at))).toEqual([1, 25, 50, 75]);
    clock.ms = 30_001;
    send(step(2, { epoch: 2 }), step(3, { epoch: 2 }));
    clock.ms = 60_002;
    send(step(4, { epoch: 2 }));
    expect(out()).toContain("epoch 2/2  step 4/100");
    expect(out()).not.toContain("epoch 2/2  step 3/100");
  });

  it("starts with the model, the data and the run directory, and the step at which a resumed run continues", () => {
    const { send, out } = plain();
    send({ ...START, resumedFromStep: 40 });
    expect(out()).toBe(
      "runs/a, resumed at step 40: simple-cnn, head gap of 900000 parameters; maps of 7x7 from features.7; 12800 training, 500 validation and 1000 test images; 2 threads, float32\n",
    );
  });

  it("does not mention maps if the objective needs none", () => {
    const metrics = { ...METRICS, prototypeLoss: null, deadMaps: null, rawMapMax: null };
    for (const isTTY of [true, false]) {
      const { send, out } = terminal({ isTTY });
      send(START, step(50, { metrics }));
      expect(out()).toMatch(/loss 0.521 {2}ce 0.412 {2}1280 images\/s/);
    }
  });

  it("leaves out terms that the objective does not have, and shows numbers that are not finite", () => {
    const { send, out } = plain();
    send(START, step(50, { metrics: { ...METRICS, prototypeLoss: null, loss: Number.NaN }, imagesPerSecond: 0 }));
    expect(out()).toContain("loss NaN  ce 0.412  dead maps 3.1%  0 images/s  an unknown time left");
  });

  it("names the checkpoint when the run is stopped", () => {
    const { send, out } = plain();
    send(START, { type: "end", result: { ...RESULT, interrupted: true, step: 123, test: null } });
    expect(out()).toContain("stopped at step 123 after 1 min 24 s; checkpoint runs/a/checkpoints/last.safetensors\n");
  });
});

describe("the end of a run", () => {
  const end = (result: Partial<TrainResult>) => endLines({ ...RESULT, ...result }).join("\n");

  it("is explained if the run did not end after its number of epochs", () => {
    const judged = [0.7, 0.9, 0.9, 0.8].map((accuracy, i) => ({
      ...RECORD,
      epoch: i + 1,
      val: { ...SPLIT, accuracy },
    }));
    // Patience compares only accuracies: the third epoch is the best by cross-entropy, but not by accuracy.
    expect(end({ endedBy: "patience", history: judged, bestEpoch: 3 })).toContain(
      "stopped early: no better validation accuracy from epoch 2 to 4 (--patience)",
    );
    expect(end({ endedBy: "maxSteps" })).toContain("stopped at step 200 (--max-steps)");
    expect(end({ endedBy: "maxSeconds" })).toContain(
      "stopped at step 200, because the time limit was reached (--max-seconds)",
    );
    expect(end({})).not.toContain("stopped");
  });
});
