import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DemoConfig, type TrainConfigInput } from "../config/index.ts";
import { BatchCamError } from "../errors.ts";
import type { EpochRecord, SplitRecord, TrainEvent, TrainResult } from "../train/events.ts";
import { formatDemoTable, runDemo } from "./demo.ts";
import type { Train } from "./training.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "batch-cam-demo-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const TEST: SplitRecord = {
  split: "test",
  images: 10,
  accuracy: 0.98125,
  crossEntropy: 0.1,
  mapL1: 0.155,
  mapL2: 0.05,
  mapSsim: 0.247,
  coherence: 0.76,
  deadMaps: 0.006,
  energyInForeground: 0.4,
};

function resultOf({ output, experiment }: TrainConfigInput): TrainResult {
  const runDirectory = `${output}/${experiment}`;
  const checkpoint = `${runDirectory}/checkpoints/last.safetensors`;
  const history = [{ secondsPerEpoch: 10 }, { secondsPerEpoch: 11 }] as EpochRecord[];
  return {
    runDirectory,
    interrupted: false,
    endedBy: "epochs",
    step: 5,
    history,
    test: TEST,
    bestEpoch: 1,
    checkpoint,
    best: null,
    seconds: 21,
  };
}

/** A trainer that leaves a checkpoint as the real one does, and may be interrupted or fail at a given call. */
function trainer(behaviour: Partial<Record<number, "interrupt" | "die" | BatchCamError>> = {}) {
  const calls: TrainConfigInput[] = [];
  const train: Train = async (config, { onEvent }) => {
    calls.push(config);
    const act = behaviour[calls.length];
    if (act instanceof BatchCamError) throw act;
    const result = resultOf(config);
    const { runDirectory } = result;
    const start = { type: "start", runDirectory, mapSize: [7, 7], modelOptions: {}, config: {} };
    onEvent?.(start as unknown as TrainEvent);
    mkdirSync(join(result.runDirectory, "checkpoints"), { recursive: true });
    if (act === "die") throw new BatchCamError("E_NUMERIC", "NaN");
    writeFileSync(result.checkpoint, "weights");
    return { ...result, interrupted: act === "interrupt" };
  };
  return { train, calls };
}

async function demo(train: Train, options: object = {}) {
  const text = { out: "", err: "" };
  const call = {
    config: DemoConfig.parse({ output: join(folder, "demo"), ...options }),
    stdout: { write: (part: string) => (text.out += part) },
    stderr: { write: (part: string) => (text.err += part) },
    env: {},
    signal: new AbortController().signal,
  };
  const renderReport = async (results: readonly TrainResult[]) =>
    `<html>${results.map(({ step }) => step).join(" ")}</html>`;
  const outcome = await runDemo({ train, renderReport }, call);
  return { outcome, ...text };
}

describe("the demo", () => {
  it("trains plain and guided with one seed, prints a row for each and writes the report", async () => {
    const { train, calls } = trainer();
    const { outcome, out } = await demo(train, { seed: 7, threads: 2 });
    const shared = {
      seed: 7,
      epochs: 2,
      limitTrain: 20_000,
      threads: 2,
      output: join(folder, "demo"),
      overwrite: true,
    };
    expect(calls).toEqual([
      { ...shared, plain: true, experiment: "plain" },
      { ...shared, plain: false, experiment: "guided" },
    ]);
    expect(outcome).toBe("done");
    expect(out).toContain(formatDemoTable({ plain: resultOf(calls[0] ?? {}), guided: resultOf(calls[1] ?? {}) }));
    expect(readFileSync(join(folder, "demo", "report.html"), "utf8")).toBe("<html>5 5</html>");
    expect(out).toContain(join(folder, "demo", "report.html"));
  });

  it("starts from the beginning when it is run again, over its own old runs", async () => {
    await demo(trainer().train);
    const { train, calls } = trainer();
    expect((await demo(train)).outcome).toBe("done");
    expect(calls).toMatchObject([{ overwrite: true }, { overwrite: true }]);
  });

  it("goes on where it was interrupted", async () => {
    const first = trainer({ 2: "interrupt" });
    const stopped = await demo(first.train);
    expect(stopped.outcome).toBe("interrupted");
    expect(stopped.err).toBe("to go on: give the same command again\n");
    expect(existsSync(join(folder, "demo", "report.html"))).toBe(false);
    const second = trainer();
    expect((await demo(second.train)).outcome).toBe("done");
    expect(second.calls).toMatchObject([{ experiment: "guided", resume: true }]);
    expect(second.calls[0]).not.toHaveProperty("overwrite");
  });

  it("begins a run again that was killed before its first checkpoint", async () => {
    await expect(demo(trainer({ 1: "die" }).train)).rejects.toThrow("NaN");
    const { train, calls } = trainer();
    await demo(train);
    expect(calls).toMatchObject([
      { experiment: "plain", overwrite: true },
      { experiment: "guided", overwrite: true },
    ]);
  });

  it("begins a run again whose checkpoint is damaged, and says so", async () => {
    await demo(trainer({ 1: "interrupt" }).train);
    const { train, calls } = trainer({ 1: new BatchCamError("E_CHECKPOINT", "last.safetensors is damaged") });
    const { outcome, err } = await demo(train);
    expect(outcome).toBe("done");
    expect(err).toBe("warning: last.safetensors is damaged; starting plain again\n");
    expect(calls).toMatchObject([{ resume: true }, { overwrite: true }, { experiment: "guided" }]);
  });

  it("does not begin again for a failure that would only come back", async () => {
    await demo(trainer({ 1: "interrupt" }).train);
    await expect(demo(trainer({ 1: new BatchCamError("E_IO", "disk full") }).train)).rejects.toThrow("disk full");
  });

  it("does not take the checkpoint of an older demo for its own", async () => {
    await demo(trainer().train);
    await expect(demo(trainer({ 1: new BatchCamError("E_DATA", "before the start") }).train)).rejects.toThrow(
      "before the start",
    );
    const { train, calls } = trainer();
    await demo(train);
    expect(calls).toMatchObject([{ overwrite: true }, { overwrite: true }]);
  });

  it("starts from the beginning when the options differ from the interrupted demo's", async () => {
    await demo(trainer({ 2: "interrupt" }).train);
    const { train, calls } = trainer();
    await demo(train, { seed: 1 });
    expect(calls).toMatchObject([
      { seed: 1, overwrite: true },
      { seed: 1, overwrite: true },
    ]);
  });

  it("starts from the beginning when its own notes are damaged but its runs are gone", async () => {
    mkdirSync(join(folder, "demo"));
    writeFileSync(join(folder, "demo", "demo.json"), '{ "config": ');
    expect((await demo(trainer().train)).outcome).toBe("done");
  });

  it("touches no run that it did not make", async () => {
    mkdirSync(join(folder, "demo", "guided"), { recursive: true });
    writeFileSync(join(folder, "demo", "guided", "precious"), "");
    const { train, calls } = trainer();
    await expect(demo(train)).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringMatching(/guided" is there and no demo made it/),
    });
    expect(calls).toEqual([]);
    expect(existsSync(join(folder, "demo", "guided", "precious"))).toBe(true);
  });

  it("says when its folder cannot be made", async () => {
    writeFileSync(join(folder, "file"), "");
    await expect(demo(trainer().train, { output: join(folder, "file", "demo") })).rejects.toMatchObject({
      code: "E_IO",
    });
  });
});

describe("the demo's table", () => {
  it("has accuracy, the maps' distances to their prototypes, coherence, dead maps and time", () => {
    const result = resultOf({ output: "o", experiment: "e" });
    const [head, , plain] = formatDemoTable({ plain: result, guided: result }).split("\n");
    expect(head?.trim().split(/ {2,}/)).toEqual([
      "test accuracy",
      "map L1",
      "map L2",
      "map SSIM",
      "coherence",
      "dead maps",
      "s/epoch",
    ]);
    expect(plain?.split(/ +/)).toEqual(["plain", "98.13%", "0.155", "0.050", "0.247", "0.760", "0.6%", "10.5"]);
  });

  it("has an empty row for a run without a test", () => {
    const result = { ...resultOf({}), test: null };
    expect(formatDemoTable({ plain: result, guided: result })).toMatch(/^plain$/m);
  });
});
