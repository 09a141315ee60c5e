import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { DemoConfig, parseTrainConfig, type TrainConfigInput } from "../../config/index.ts";
import { BatchCamError } from "../../errors.ts";
import type { EpochRecord, SplitRecord, TrainEvent, TrainResult } from "../../train/run/events.ts";
import type { RunReportOptions } from "../report/run-report.ts";
import type { Train } from "../train/training.ts";
import { runDemo } from "./demo.ts";
import { closingLines, formatDecoyTable, formatDemoTable } from "./lines.ts";
import { DEMO_RUNS } from "./runs.ts";

let folder = "";
beforeEach(() => {
  folder = temporaryFolder("demo");
});

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

/** A trainer that writes a checkpoint as the real one does, and that can be interrupted or fail at a given call. */
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
  const renderReport = async (results: readonly TrainResult[], { decoy }: RunReportOptions = {}) =>
    `<html>${[...results, ...Object.values(decoy ?? {})].map(({ runDirectory }) => basename(runDirectory)).join(" ")}</html>`;
  const outcome = await runDemo({ train, renderReport }, call);
  return { outcome, ...text };
}

describe("the demo", () => {
  it("trains on MNIST, and on its decoy set with a control whose prototype is the same for all classes, all with one seed", async () => {
    const { train, calls } = trainer();
    const { outcome } = await demo(train, { seed: 7, threads: 2, epochs: 1, limitTrain: 640 });
    const shared = { seed: 7, threads: 2, output: join(folder, "demo"), overwrite: true };
    const mnist = { ...shared, epochs: 1, limitTrain: 640, limitVal: 2000 };
    const decoy = {
      ...{ ...shared, dataset: "decoy-mnist", epochs: 3, limitTrain: 5120 },
      ...{ valImages: 1000, limitVal: 500, limitTest: 2000, lambdaWarmup: 0, distance: "ssim" },
    };
    expect(calls).toEqual([
      { ...mnist, plain: true, experiment: "plain" },
      { ...mnist, plain: false, experiment: "guided" },
      { ...decoy, plain: true, experiment: "decoy-plain" },
      { ...decoy, lambdaPrototype: 5, lambdaBatch: 5, experiment: "decoy-guided" },
      { ...decoy, lambdaPrototype: 5, prototypes: "global", experiment: "decoy-control" },
    ]);
    for (const call of calls) expect(() => parseTrainConfig(call)).not.toThrow();
    expect(outcome).toBe("done");
  });

  it("prints both tables and writes the report of all runs", async () => {
    const { out } = await demo(trainer().train);
    const results = Object.fromEntries(
      DEMO_RUNS.map((experiment) => [experiment, resultOf({ output: join(folder, "demo"), experiment })]),
    );
    expect(out).toContain(closingLines(results as Parameters<typeof closingLines>[0]));
    const report = join(folder, "demo", "report.html");
    expect(readFileSync(report, "utf8")).toBe(`<html>${DEMO_RUNS.join(" ")}</html>`);
    expect(out.endsWith(`\nmaps side by side: ${report}\n`)).toBe(true);
  });

  it("starts from the beginning if it is run again, and replaces its own old runs", async () => {
    await demo(trainer().train);
    const { train, calls } = trainer();
    expect((await demo(train)).outcome).toBe("done");
    expect(calls).toMatchObject(DEMO_RUNS.map((experiment) => ({ experiment, overwrite: true })));
  });

  it.each(DEMO_RUNS.map((name, index) => ({ name, index })))(
    "continues where $name was interrupted",
    async ({ index }) => {
      const first = trainer({ [index + 1]: "interrupt" });
      const stopped = await demo(first.train);
      expect(stopped.outcome).toBe("interrupted");
      expect(stopped.err).toBe("to continue: give the same command again\n");
      expect(existsSync(join(folder, "demo", "report.html"))).toBe(false);
      const second = trainer();
      expect((await demo(second.train)).outcome).toBe("done");
      expect(second.calls).toMatchObject(
        DEMO_RUNS.slice(index).map((experiment, later) => ({
          experiment,
          [later === 0 ? "resume" : "overwrite"]: true,
        })),
      );
      expect(second.calls[0]).not.toHaveProperty("overwrite");
    },
  );

  it("continues an interrupted demo of a version without the decoy set", async () => {
    await demo(trainer({ 2: "interrupt" }).train);
    const file = join(folder, "demo", "demo.json");
    const { runs, ...older } = JSON.parse(readFileSync(file, "utf8"));
    expect(runs).toEqual(DEMO_RUNS);
    writeFileSync(file, JSON.stringify(older));
    const { train, calls } = trainer();
    expect((await demo(train)).outcome).toBe("done");
    expect(calls.map(({ experiment }) => experiment)).toEqual(DEMO_RUNS.slice(1));
    expect(calls[0]).toMatchObject({ resume: true });
  });

  it("overwrites an earlier finished demo, but no folder that it did not reserve", async () => {
    await demo(trainer().train);
    const file = join(folder, "demo", "demo.json");
    const { runs, ...older } = JSON.parse(readFileSync(file, "utf8"));
    writeFileSync(file, JSON.stringify(older));
    await expect(demo(trainer().train)).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringMatching(/decoy-plain" exists and was not made by a demo: move it away/),
    });
    for (const name of runs.slice(2)) rmSync(join(folder, "demo", name), { recursive: true });
    expect((await demo(trainer().train)).outcome).toBe("done");
  });

  it("trains a run again that was killed before its first checkpoint", async () => {
    await expect(demo(trainer({ 1: "die" }).train)).rejects.toThrow("NaN");
    const { train, calls } = trainer();
    await demo(train);
    expect(calls).toMatchObject(DEMO_RUNS.map((experiment) => ({ experiment, overwrite: true })));
  });

  it("trains a run again whose checkpoint is damaged, with a warning", async () => {
    await demo(trainer({ 1: "interrupt" }).train);
    const { train, calls } = trainer({ 1: new BatchCamError("E_CHECKPOINT", "last.safetensors is damaged") });
    const { outcome, err } = await demo(train);
    expect(outcome).toBe("done");
    expect(err).toBe("warning: last.safetensors is damaged; starting plain again\n");
    expect(calls).toMatchObject([
      { resume: true },
      ...DEMO_RUNS.map((experiment) => ({ experiment, overwrite: true })),
    ]);
  });

  it("does not train again after an error that would occur again", async () => {
    await demo(trainer({ 1: "interrupt" }).train);
    await expect(demo(trainer({ 1: new BatchCamError("E_IO", "disk full") }).train)).rejects.toThrow("disk full");
  });

  it("does not continue from the checkpoint of an older demo", async () => {
    await demo(trainer().train);
    await expect(demo(trainer({ 1: new BatchCamError("E_DATA", "before the start") }).train)).rejects.toThrow(
      "before the start",
    );
    const { train, calls } = trainer();
    await demo(train);
    expect(calls).toMatchObject(DEMO_RUNS.map((experiment) => ({ experiment, overwrite: true })));
  });

  it("starts from the beginning if the options differ from the interrupted demo's", async () => {
    await demo(trainer({ 2: "interrupt" }).train);
    const { train, calls } = trainer();
    await demo(train, { seed: 1 });
    expect(calls).toMatchObject(DEMO_RUNS.map((experiment) => ({ experiment, seed: 1, overwrite: true })));
  });

  it("starts from the beginning if its demo.json is damaged and its runs are gone", async () => {
    mkdirSync(join(folder, "demo"));
    writeFileSync(join(folder, "demo", "demo.json"), '{ "config": ');
    expect((await demo(trainer().train)).outcome).toBe("done");
  });

  it("does not change runs that it did not make", async () => {
    mkdirSync(join(folder, "demo", "guided"), { recursive: true });
    writeFileSync(join(folder, "demo", "guided", "precious"), "");
    const { train, calls } = trainer();
    await expect(demo(train)).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringMatching(/guided" exists and was not made by a demo/),
    });
    expect(calls).toEqual([]);
    expect(existsSync(join(folder, "demo", "guided", "precious"))).toBe(true);
  });

  it("reports that its folder cannot be made", async () => {
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

describe("the demo's closing lines", () => {
  const results = Object.fromEntries(DEMO_RUNS.map((name) => [name, resultOf({})])) as Parameters<
    typeof closingLines
  >[0];

  it("describe both parts, in lines that fit a terminal", () => {
    const lines = closingLines(results).split("\n");
    expect(lines[0]).toBe("MNIST");
    expect(lines).toContain("MNIST with a decoy patch");
    expect(lines.join(" ")).toContain("the plain network is right for 98.1 % and the guided one for 98.1 %");
    expect(lines.join(" ")).toContain("the control, which is guided to one mean image for all classes, reaches 98.1 %");
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(100);
  });
});

describe("the demo's table of the decoy set", () => {
  const history = (accuracy: number) => [{ epoch: 1, secondsPerEpoch: 1, val: { accuracy } }] as EpochRecord[];
  const result = (told: number, random: number | null) => ({
    ...resultOf({}),
    history: history(told),
    test: random === null ? null : { ...TEST, accuracy: random },
  });

  it("has the accuracy with patches that reveal the class and with random ones", () => {
    const table = formatDecoyTable({
      ...{ plain: result(0.984, 0.783), guided: result(0.974, 0.936), control: result(0.949, 0.94) },
    });
    const cells = table.split("\n").map((line) => line.split(/ {2,}/));
    expect(cells[0]).toEqual(["accuracy if the patch", "reveals the class", "is drawn at random"]);
    expect(cells.slice(2, 5)).toEqual([
      ["plain", "98.4%", "78.3%"],
      ["guided", "97.4%", "93.6%"],
      ["control", "94.9%", "94.0%"],
    ]);
  });

  it("has an empty cell for a run without a test", () => {
    const unfinished = { plain: result(0.9, null), guided: result(0.9, null), control: result(0.9, null) };
    expect(formatDecoyTable(unfinished)).toMatch(/^control +90\.0%$/m);
  });
});
