import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { TrainConfigInput } from "../src/config/index.ts";
import { loadSafetensors, readSafetensorsMetadata, saveSafetensors } from "../src/io/index.ts";
import { memory, type Tensor } from "../src/tensor/index.ts";
import { evaluate, evaluateSamples, type TrainEvent, train } from "../src/train.ts";
import { once } from "./support/once.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const output = temporaryFolder("train");

/** A small config that uses every part of the state: optimizer moments, batch norm, running prototypes. */
const SMALL: TrainConfigInput = {
  output,
  norm: "batch",
  statistic: "cam-ema",
  limitTrain: 192,
  valImages: 60,
  limitTest: 60,
  batchSize: 32,
  epochs: 2,
  lambdaWarmup: 5,
  sched: "onecycle",
  checkpointEvery: 4,
  logEvery: 1,
};

async function bitsOf(path: string): Promise<Map<string, string>> {
  const state = await loadSafetensors(path);
  const bits = new Map([...state].map(([name, tensor]) => [name, digest(tensor)]));
  for (const tensor of state.values()) tensor.dispose();
  return bits;
}

const digest = (tensor: Tensor) => Buffer.from(tensor.data().buffer as ArrayBuffer).toString("base64");
const rows = (run: string) =>
  readFileSync(join(output, run, "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
const numbersOf = (run: string) => rows(run).map(({ imagesPerSecond: _, secondsPerEpoch: __, ...row }) => row);

/** Trains, and aborts after `step` steps. */
function trainUntil(config: TrainConfigInput, step: number) {
  const stop = new AbortController();
  return train(config, {
    signal: stop.signal,
    onEvent: (event) => {
      if (event.type === "step" && event.step >= step) stop.abort();
    },
  });
}

/** The result of an uninterrupted run of SMALL, and its events. */
const whole = once(async () => {
  const events: TrainEvent[] = [];
  const result = await train({ ...SMALL, experiment: "whole" }, { onEvent: (event) => events.push(event) });
  return { ...result, events };
});

describe("train", () => {
  it("writes the run directory: config, environment, log, summary, prototypes and both checkpoints", async () => {
    const { events, ...result } = await whole();
    for (const name of [
      "config.json",
      "environment.json",
      "metrics.jsonl",
      "summary.csv",
      "prototypes.safetensors",
      "checkpoints/last.safetensors",
      "checkpoints/best.safetensors",
    ]) {
      expect(existsSync(join(output, "whole", name)), name).toBe(true);
    }
    expect(existsSync(join(output, "whole", "run.lock"))).toBe(false);
    expect(result).toMatchObject({ interrupted: false, step: 12, test: { images: 60, split: "test" } });
    expect(rows("whole").filter(({ kind }) => kind === "step")).toHaveLength(12);
    expect(
      readFileSync(join(output, "whole", "summary.csv"), "utf8")
        .trimEnd()
        .split("\n"),
    ).toHaveLength(3);
    expect(events.map(({ type }) => type)).toEqual(
      expect.arrayContaining(["start", "step", "epoch", "maps", "checkpoint", "end"]),
    );
  });

  it("gives the same weights, bit for bit, for the same seed, and different ones for another", async () => {
    const a = await whole();
    const b = await train({ ...SMALL, experiment: "same-seed" });
    const c = await train({ ...SMALL, experiment: "other-seed", seed: 1 });
    expect(await bitsOf(b.checkpoint)).toEqual(await bitsOf(a.checkpoint));
    expect(await bitsOf(c.checkpoint)).not.toEqual(await bitsOf(a.checkpoint));
    expect(numbersOf("same-seed")).toEqual(numbersOf("whole"));
  });

  it.each([3, 6, 9])(
    "stopped by the signal at step %i, continues to the same weights and the same log as an uninterrupted run",
    async (step) => {
      const unbroken = await whole();
      const part = await trainUntil({ ...SMALL, experiment: `part-${step}` }, step);
      expect(part).toMatchObject({ interrupted: true, step, test: null });
      const rest = await train({ ...SMALL, experiment: `part-${step}`, resume: true });
      expect(rest.interrupted).toBe(false);
      expect(await bitsOf(rest.checkpoint)).toEqual(await bitsOf(unbroken.checkpoint));
      expect(rest.test).toEqual(unbroken.test);
      expect(numbersOf(`part-${step}`)).toEqual(numbersOf("whole"));
    },
  );

  it.each([
    ["at the last step of all", "step", 12, (abort: () => void) => abort()],
    ["in the first epoch's validation", "step", 6, setImmediate],
    ["in the last epoch's validation", "step", 12, setImmediate],
    ["in the final test", "checkpoint", 12, setImmediate],
  ] as const)("stopped %s, ends at once, and is resumed to the same results", async (_, type, step, soon) => {
    const experiment = `stopped-${type}-${step}-${soon.name}`;
    const unbroken = await whole();
    const stop = new AbortController();
    const part = await train(
      { ...SMALL, experiment, checkpointEvery: 100 },
      {
        signal: stop.signal,
        onEvent: (event) => {
          if (event.type === type && event.step === step) soon(() => stop.abort());
        },
      },
    );
    expect(part).toMatchObject({ interrupted: true, step, test: null });
    const rest = await train({ ...SMALL, experiment, resume: true });
    expect(rest).toMatchObject({ interrupted: false, test: unbroken.test, bestEpoch: unbroken.bestEpoch });
    expect(await bitsOf(rest.checkpoint)).toEqual(await bitsOf(unbroken.checkpoint));
    expect(numbersOf(experiment)).toEqual(numbersOf("whole"));
  });

  it("removes rows of the log after the checkpoint, and an incomplete one, when it resumes", async () => {
    await trainUntil({ ...SMALL, experiment: "torn" }, 5);
    const log = join(output, "torn", "metrics.jsonl");
    writeFileSync(log, `${readFileSync(log, "utf8")}{"kind":"step","epoch":1,"step":99}\n{"kind":"st`);
    await train({ ...SMALL, experiment: "torn", resume: true });
    expect(rows("torn").map(({ step }) => step)).not.toContain(99);
    expect(rows("torn").filter(({ kind }) => kind === "step")).toHaveLength(12);
  });

  it("ended early by maxSteps, continues on a later resume to the same weights as an uninterrupted run", async () => {
    const unbroken = await whole();
    await train({ ...SMALL, experiment: "short", maxSteps: 4 });
    const rest = await train({ ...SMALL, experiment: "short", resume: true, maxSteps: 1000 });
    expect(await bitsOf(rest.checkpoint)).toEqual(await bitsOf(unbroken.checkpoint));
    expect(numbersOf("short")).toEqual(numbersOf("whole"));
  });

  it("has as many live tensors at the end as before", async () => {
    await whole(); // caches matrices that are computed on first use
    const { liveTensors } = memory();
    await train({ ...SMALL, experiment: "live" });
    expect(memory().liveTensors).toBe(liveTensors);
  });

  it("has as many live tensors at the end of every epoch", async () => {
    const live: number[] = [];
    const onEvent = (event: TrainEvent) => {
      if (event.type === "epoch") live.push(memory().liveTensors);
    };
    await train({ ...SMALL, experiment: "epochs", epochs: 4 }, { onEvent });
    expect(new Set(live).size).toBe(1);
  });

  it("stops at a loss that is not finite, naming the step, the term and the last good checkpoint", async () => {
    const bad = {
      ...SMALL,
      experiment: "nan",
      norm: "none",
      opt: "sgd",
      sched: "constant",
      lr: 1e12,
      checkpointEvery: 1,
    } as const;
    await expect(train(bad)).rejects.toMatchObject({
      code: "E_NUMERIC",
      message: expect.stringMatching(
        /^step \d+: (crossEntropy|prototypeLoss|gradient) is (NaN|-?Infinity); the last good checkpoint is .*last\.safetensors \(step \d+\)/,
      ),
    });
    const state = await loadSafetensors(join(output, "nan", "checkpoints", "last.safetensors"));
    expect(state.size).toBeGreaterThan(0);
  });

  it("evaluates a finished run with the same results as its own test", async () => {
    const result = await train({ ...SMALL, experiment: "evaluated", statistic: "mean" });
    const { liveTensors } = memory();
    const { test, samples } = await evaluate(result.runDirectory);
    expect(test).toEqual(result.test);
    const { samples: alone } = await evaluateSamples(result.runDirectory);
    expect(alone).toEqual(samples);
    expect(memory().liveTensors).toBe(liveTensors);
  });
});

describe("a run directory that cannot be used", () => {
  it("is refused if a run exists, which is not changed", async () => {
    await train({ ...SMALL, experiment: "taken", epochs: 1 });
    const before = await bitsOf(join(output, "taken", "checkpoints", "last.safetensors"));
    await expect(train({ ...SMALL, experiment: "taken" })).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringMatching(/\{ resume: true \} .*\{ overwrite: true \} /),
    });
    expect(await bitsOf(join(output, "taken", "checkpoints", "last.safetensors"))).toEqual(before);
  });

  it("is refused if there is no run to resume", async () => {
    await expect(train({ ...SMALL, experiment: "none", resume: true })).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringContaining("no run"),
    });
  });

  it("is refused while another process has locked it", async () => {
    await train({ ...SMALL, experiment: "held", epochs: 1 });
    // Only Linux reports the start time of a process, in /proc; on other systems a lock names only the process.
    const stat = process.platform === "linux" ? readFileSync(`/proc/${process.ppid}/stat`, "utf8") : "";
    const began = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
    const { hostname } = await import("node:os");
    writeFileSync(join(output, "held", "run.lock"), JSON.stringify({ host: hostname(), pid: process.ppid, began }));
    await expect(train({ ...SMALL, experiment: "held", resume: true })).rejects.toMatchObject({
      code: "E_CHECKPOINT",
      message: expect.stringContaining("in use by process"),
    });
  });

  it("is taken over from a process that has ended", async () => {
    await trainUntil({ ...SMALL, experiment: "stale" }, 2);
    writeFileSync(
      join(output, "stale", "run.lock"),
      JSON.stringify({ host: (await import("node:os")).hostname(), pid: 2 ** 22 + 1, began: "1" }),
    );
    await expect(train({ ...SMALL, experiment: "stale", resume: true })).resolves.toMatchObject({ step: 12 });
  });

  it.each([
    ["the weights", "checkpoints/last.safetensors"],
    ["the state", "checkpoints/last-4.state.safetensors"],
  ])("is refused with E_CHECKPOINT if %s are damaged, and nothing is lost", async (what, name) => {
    const experiment = `damaged-${what.split(" ")[1]}`;
    await trainUntil({ ...SMALL, experiment }, 4);
    const path = join(output, experiment, name);
    writeFileSync(path, readFileSync(path).subarray(0, 500));
    await expect(train({ ...SMALL, experiment, resume: true })).rejects.toMatchObject({
      code: "E_CHECKPOINT",
      message: expect.stringContaining("cannot resume"),
    });
    expect(existsSync(path)).toBe(true);
  });

  it("is refused if the weights name a state outside the run's folder, which is not read", async () => {
    await trainUntil({ ...SMALL, experiment: "led-out" }, 4);
    const folder = join(output, "led-out", "checkpoints");
    const path = join(folder, "last.safetensors");
    renameSync(join(folder, "last-4.state.safetensors"), join(output, "led-out", "last-4.state.safetensors"));
    const weights = await loadSafetensors(path);
    const metadata = await readSafetensorsMetadata(path);
    await saveSafetensors(path, weights, { ...metadata, state: "../last-4.state.safetensors" });
    for (const weight of weights.values()) weight.dispose();
    await expect(train({ ...SMALL, experiment: "led-out", resume: true })).rejects.toMatchObject({
      code: "E_CHECKPOINT",
      message: expect.stringContaining("which is not a name that a run writes"),
    });
  });

  it("is refused if the folder cannot be made", async () => {
    const file = join(output, "a-file");
    writeFileSync(file, "");
    await expect(train({ ...SMALL, output: file, experiment: "x" })).rejects.toMatchObject({ code: "E_IO" });
  });

  it("is refused for a resume with another objective, naming every difference", async () => {
    await trainUntil({ ...SMALL, experiment: "other" }, 2);
    await expect(train({ ...SMALL, experiment: "other", resume: true, lr: 0.5, distance: "l1" })).rejects.toMatchObject(
      { code: "E_CONFIG", message: expect.stringMatching(/lr.*distance|distance.*lr/) },
    );
  });
});

describe("a run directory with files in it", () => {
  const filesOf = (folder: string) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name)
      .sort();

  it("of a run is not overwritten through a link to another folder", async () => {
    await trainUntil({ ...SMALL, experiment: "linked" }, 2);
    const [inside, outside] = [join(output, "linked", "checkpoints"), join(output, "moved-away")];
    renameSync(inside, outside);
    symlinkSync(outside, inside);
    const before = readdirSync(outside);
    await expect(train({ ...SMALL, experiment: "linked", overwrite: true })).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringContaining("checkpoints is a link"),
    });
    expect(readdirSync(outside)).toEqual(before);
  });

  it("of somebody else is refused, even with overwrite, and nothing in it is changed", async () => {
    const folder = join(output, "project");
    mkdirSync(join(folder, "checkpoints"), { recursive: true });
    writeFileSync(join(folder, "checkpoints", "mymodel.pt"), "precious");
    writeFileSync(join(folder, "summary.csv"), "x");
    for (const overwrite of [false, true]) {
      await expect(train({ ...SMALL, experiment: "project", overwrite })).rejects.toMatchObject({
        code: "E_CONFIG",
        message: expect.stringMatching(/contains checkpoints, summary.csv but no run/),
      });
    }
    expect(filesOf(folder)).toEqual(["mymodel.pt", "summary.csv"]);
  });

  it("that a run replaces loses only files that a run writes", async () => {
    const folder = join(output, "shared-folder");
    await train({ ...SMALL, experiment: "shared-folder", epochs: 1 });
    for (const name of ["notes.txt", "checkpoints/mymodel.pt", "tensorboard/plan.md"]) {
      mkdirSync(join(folder, "tensorboard"), { recursive: true });
      writeFileSync(join(folder, name), "precious");
    }
    writeFileSync(join(folder, "tensorboard", "events.out.tfevents.1.host.1.0"), "stale");
    await train({ ...SMALL, experiment: "shared-folder", epochs: 1, overwrite: true });
    expect(filesOf(folder)).toEqual(expect.arrayContaining(["mymodel.pt", "notes.txt", "plan.md", "best.safetensors"]));
    expect(filesOf(folder)).not.toContain("events.out.tfevents.1.host.1.0");
  });

  it.each(['{"compilerOptions": {}}', "[]", "not JSON"])(
    "is refused if its config.json is not a run's: %s",
    async (text) => {
      const folder = join(output, "foreign");
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, "config.json"), text);
      await expect(train({ ...SMALL, experiment: "foreign", overwrite: true })).rejects.toMatchObject({
        code: "E_CONFIG",
        message: expect.stringContaining("config.json that was not written by batch-cam"),
      });
      expect(readFileSync(join(folder, "config.json"), "utf8")).toBe(text);
    },
  );

  it.each([
    ["a folder without the data", { dataDir: "/nonexistent" }, "E_DATA"],
    ["an unknown layer", { camLayer: "conv9" }, "E_CONFIG"],
    ["no parameter left to train", { freeze: "conv1,bn1,conv2,bn2,conv3,bn3,fc1,fc2" }, "E_CONFIG"],
  ])("keeps the old run if --overwrite fails because of %s", async (what, mistake, code) => {
    const experiment = `kept-${code}-${what.length}`;
    await train({ ...SMALL, experiment, epochs: 1 });
    const before = filesOf(join(output, experiment));
    await expect(train({ ...SMALL, ...mistake, experiment, overwrite: true })).rejects.toMatchObject({ code });
    expect(filesOf(join(output, experiment))).toEqual(before);
    expect((await evaluateSamples(join(output, experiment))).samples.maps).toHaveLength(10);
  });

  it("leaves no folder if the new run cannot start", async () => {
    await expect(train({ ...SMALL, experiment: "never", camLayer: "conv9" })).rejects.toMatchObject({
      code: "E_CONFIG",
    });
    expect(existsSync(join(output, "never"))).toBe(false);
  });

  it("is free again after a resume that was refused", async () => {
    await train({ ...SMALL, experiment: "refused", epochs: 1, sched: "constant" });
    const resume = join(output, "refused");
    await expect(train({ resume, lr: 0.5 })).rejects.toMatchObject({ code: "E_CONFIG" });
    expect((await train({ resume })).interrupted).toBe(false);
  });

  it("without a checkpoint starts from the beginning on resume, with a warning and a new log", async () => {
    await train({ ...SMALL, experiment: "lost", epochs: 1, sched: "constant" });
    rmSync(join(output, "lost", "checkpoints", "last.safetensors"));
    const warnings: string[] = [];
    const result = await train(
      { resume: join(output, "lost") },
      { onEvent: (event) => event.type === "warning" && warnings.push(event.message) },
    );
    expect(warnings).toContainEqual(expect.stringMatching(/lost has no checkpoint: the run starts from the beginning/));
    expect(rows("lost").filter(({ kind }) => kind === "epoch")).toHaveLength(1);
    expect(result.step).toBe(6);
  });

  it.each(["{}", "null", '{"step":"x"}', "[1]", "not json"])(
    "whose state claims %s for its progress is refused on resume",
    async (progress) => {
      const experiment = `progress-${progress.length}`;
      await train({ ...SMALL, experiment, epochs: 1 });
      const folder = join(output, experiment, "checkpoints");
      const [name = ""] = readdirSync(folder).filter((file) => file.endsWith(".state.safetensors"));
      const state = await loadSafetensors(join(folder, name));
      await saveSafetensors(join(folder, name), state, { progress });
      for (const tensor of state.values()) tensor.dispose();
      await expect(train({ resume: join(output, experiment) })).rejects.toMatchObject({ code: "E_CHECKPOINT" });
    },
  );
});

describe("weights that are not finite", () => {
  it("are never saved, validated or named as the best", async () => {
    const bad = { ...SMALL, norm: "none", lr: 1e300, checkpointEvery: 1, sched: "constant" } as const;
    await expect(train({ ...bad, experiment: "poisoned" })).rejects.toMatchObject({
      code: "E_NUMERIC",
      message: expect.stringMatching(/^step 1: the norm of conv1.weight is (NaN|Infinity); there is no checkpoint yet/),
    });
    await expect(train({ ...bad, experiment: "poisoned-last", maxSteps: 1 })).rejects.toMatchObject({
      code: "E_NUMERIC",
    });
    for (const run of ["poisoned", "poisoned-last"]) expect(existsSync(join(output, run, "checkpoints"))).toBe(false);
  });
});
