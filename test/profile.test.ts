import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runCommand } from "../src/cli/main.ts";
import { createTrainCommand } from "../src/cli/train/command.ts";
import type { TrainConfigInput } from "../src/config/index.ts";
import { type ProfileReport, type TrainEvent, train } from "../src/train.ts";
import { cli } from "./support/cli.ts";
import { fakeIo } from "./support/fake-terminal.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const output = temporaryFolder("profile");

/** Two epochs of six steps that use every part of a step. */
const SMALL: TrainConfigInput = {
  output,
  ...{ norm: "batch", statistic: "cam-ema", lambdaBatch: 0.1, modelEma: true, clipGrad: 1 },
  ...{ limitTrain: 192, valImages: 60, limitTest: 60, batchSize: 32, epochs: 2, lambdaWarmup: 5, figures: false },
  logEvery: 1,
};

const PHASES = ["data", "forward", "maps", "loss", "backward", "optimizer", "other"];
const pathOf = (run: string, ...names: string[]) => join(output, run, ...names);
const json = (run: string, name: string) => JSON.parse(readFileSync(pathOf(run, name), "utf8"));

async function eventsOf(config: TrainConfigInput): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  await train(config, { onEvent: (event) => events.push(event) });
  return events;
}

/** The results of a run without the times. */
const numbersOf = (run: string) =>
  readFileSync(pathOf(run, "metrics.jsonl"), "utf8").replace(/"(imagesPerSecond|secondsPerEpoch)":[^,}]+/g, "");
const weightsOf = (run: string) => readFileSync(pathOf(run, "checkpoints", "last.safetensors"), "base64");

describe("train with a profile", () => {
  it.each([
    ["guided", {}],
    ["plain", { plain: true, lambdaBatch: 0 }],
    ["bfloat16", { amp: "on", channelsLast: "on" }],
    ["accumulated", { gradAccumSteps: 2 }],
  ] as const)("%s computes the same bits as without it", async (name, how) => {
    const config = { ...SMALL, ...how };
    await train({ ...config, experiment: `${name}-without` });
    // The profiled steps extend from the first epoch into the second, so validation and a checkpoint are between them.
    await train({ ...config, experiment: `${name}-with`, profile: true, profileSteps: 3 });
    expect(weightsOf(`${name}-with`)).toBe(weightsOf(`${name}-without`));
    expect(numbersOf(`${name}-with`)).toBe(numbersOf(`${name}-without`));
    expect(json(`${name}-with`, "profile.json").steps).toBeGreaterThan(0);
    expect(existsSync(pathOf(`${name}-without`, "profile.json"))).toBe(false);
  });

  it("reports the window after its last step, and writes the report and the trace", async () => {
    const events = await eventsOf({ ...SMALL, experiment: "window", profile: true, profileSteps: 4 });
    const index = events.findIndex(({ type }) => type === "profile");
    expect(events[index + 1]).toMatchObject({ type: "step", step: 9 });
    const event = events[index] as Extract<TrainEvent, { type: "profile" }>;
    expect(event).toMatchObject({ path: pathOf("window", "profile.json"), report: { steps: 4, skipped: 5 } });
    const { report } = event;
    expect(json("window", "profile.json")).toEqual(report);
    expect(report.phases.map(({ name }) => name)).toEqual(PHASES);
    expect(Math.min(...report.phases.map(({ milliseconds }) => milliseconds))).toBeGreaterThan(0);
    expect(report.operators.find(({ name }) => name === "aten::convolution_backward")).toBeDefined();
    const conv = report.modules.find(({ path }) => path === "conv2");
    expect(conv).toMatchObject({ type: "Conv2d", callsPerStep: 1 });
    expect(conv?.backwardMilliseconds).toBeGreaterThan(0);
    const bars = json("window", "profile-trace.json").traceEvents.filter(({ ph }: { ph: string }) => ph === "X");
    const named = new Set(bars.map(({ name }: { name: string }) => name));
    for (const name of [...PHASES.slice(0, -1), "step 6", "step 9", "conv2", "conv2 backward", "aten::conv2d"])
      expect(named).toContain(name);
    expect(named).not.toContain("step 10");
  });

  it("records no step of validation: every operator belongs to a step", async () => {
    await train({ ...SMALL, experiment: "steps-alone", profile: true, profileSteps: 3 });
    const { traceEvents } = json("steps-alone", "profile-trace.json");
    const bars: { name: string; ts: number; dur: number }[] = traceEvents.filter(
      ({ ph }: { ph: string }) => ph === "X",
    );
    const steps = bars.filter(({ name }) => name.startsWith("step "));
    expect(steps).toHaveLength(3);
    const stray = bars.filter(({ ts }) => !steps.some((step) => ts >= step.ts && ts <= step.ts + step.dur));
    expect(stray).toEqual([]);
  });

  it("reports a window that the end of the run shortens", async () => {
    const events = await eventsOf({ ...SMALL, experiment: "short", profile: true, maxSteps: 7 });
    expect(events.find(({ type }) => type === "profile")).toMatchObject({ report: { steps: 2 } });
  });

  it("reports a window that the signal shortens", async () => {
    const [stop, reports] = [new AbortController(), [] as ProfileReport[]];
    const onEvent = (event: TrainEvent) => {
      if (event.type === "step" && event.step === 7) stop.abort();
      if (event.type === "profile") reports.push(event.report);
    };
    const config = { ...SMALL, experiment: "stopped", profile: true };
    expect(await train(config, { onEvent, signal: stop.signal })).toMatchObject({ interrupted: true });
    expect(reports).toEqual([expect.objectContaining({ steps: 2 })]);
  });

  it("warns if the run ends before the window begins", async () => {
    const events = await eventsOf({ ...SMALL, experiment: "warm-up", profile: true, maxSteps: 5 });
    expect(events).toContainEqual({
      type: "warning",
      message: expect.stringMatching(/^profile: nothing was recorded/),
    });
    expect(events.find(({ type }) => type === "profile")).toBeUndefined();
    expect(existsSync(pathOf("warm-up", "profile.json"))).toBe(false);
  });

  it("must be requested again on resuming, and does not make it another run", async () => {
    await train({ ...SMALL, experiment: "resumed", profile: true, maxSteps: 6 });
    expect(json("resumed", "config.json")).toMatchObject({ profile: false });
    const plain = await eventsOf({ ...SMALL, experiment: "resumed", resume: true, maxSteps: 7 });
    expect(plain.find(({ type }) => type === "profile")).toBeUndefined();
    const again = await eventsOf({
      ...SMALL,
      experiment: "resumed",
      resume: true,
      profile: true,
      epochs: 3,
      maxSteps: 18,
    });
    expect(again.find(({ type }) => type === "profile")).toMatchObject({ report: { steps: 6 } });
  });

  it("removes an old profile from a run that starts again", async () => {
    await train({ ...SMALL, experiment: "anew", profile: true, maxSteps: 6 });
    await train({ ...SMALL, experiment: "anew", overwrite: true, maxSteps: 6 });
    expect(["profile.json", "profile-trace.json"].filter((name) => existsSync(pathOf("anew", name)))).toEqual([]);
  });
});

describe("batch-cam train --profile", () => {
  it.each([
    [["--profile-steps", "0"], "--profile-steps must be a whole number, above 0, got 0"],
    [["--profile-steps", "1.5"], "--profile-steps must be a whole number, above 0, got 1.5"],
    [["--profile-steps", "ten"], '--profile-steps must be a whole number, above 0, got "ten"'],
    [["--profile", "20"], 'unexpected argument "20"'],
    [["--profile=yes"], '--profile must be true or false, got "yes"'],
    [["--profiel"], "unknown flag --profiel (did you mean --profile?)"],
  ])("answers %j with one line and 2", async (argv, message) => {
    const { code, out, err } = await cli("train", ...argv);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(message);
  });

  it("prints phases, operators, modules and the paths of the files", async () => {
    const fake = fakeIo();
    const command = createTrainCommand(async () => ({ train, renderReport: async () => "" }));
    const argv = ["--limit-train=192", "--val-images=60", "--limit-test=60", "-b", "32", "--epochs=2", "--no-figures"];
    const place = ["--output", output, "--experiment", "printed"];
    expect(await runCommand(command, [...argv, ...place, "--profile", "--profile-steps", "4"], fake.io)).toBe(0);
    const { out } = fake.text;
    expect(out).toMatch(/^profile of 4 steps after 5 of warm-up: [\d.]+ ms a step$/m);
    expect(out).toMatch(/^phase +ms\/step +share$/m);
    for (const name of PHASES) expect(out).toMatch(new RegExp(`^${name} +[\\d.]+ +[\\d.]+%$`, "m"));
    // The processor decides whether the backward pass of a convolution is one call or one for each of its two gradients.
    expect(out).toMatch(/^aten::convolution_backward +[\d.]+ +[\d.]+ +[\d.]+% +[1-6]$/m);
    expect(out).toMatch(/^\(in no operator\) +[\d.]+ +[\d.]+%$/m);
    expect(out).toMatch(/^conv2 Conv2d +([\d.]+ +){4}[\d.]+% +1$/m);
    expect(out).toContain(`profile: ${pathOf("printed", "profile.json")}; trace, for ui.perfetto.dev`);
    const { operators }: ProfileReport = json("printed", "profile.json");
    expect(out).toContain(`${operators.length - 20} others`);
  });
});
