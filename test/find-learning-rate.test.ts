import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { memory } from "../src/tensor/index.ts";
import { findLearningRate, type RatePoint } from "../src/train.ts";
import { cli } from "./support/cli.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const folder = temporaryFolder("rates");

const SMALL = { limitTrain: 320, valImages: 20, limitTest: 20, batchSize: 32 };

describe("findLearningRate", () => {
  it("finds a rate at which training works, between bounds that have no effect and that diverge", async () => {
    const seen: RatePoint[] = [];
    const found = await findLearningRate(SMALL, {
      from: 1e-6,
      to: 1e3,
      steps: 60,
      onStep: (point) => seen.push(point),
    });
    expect(found.suggestion).toBeGreaterThan(5e-5);
    expect(found.suggestion).toBeLessThan(5e-2);
    expect(found.suggestion).toBeLessThanOrEqual(found.lowest);
    expect(found.diverged).toBe(true);
    expect(found.points).toEqual(seen);
    const ratios = found.points.slice(1).map(({ lr }, i) => lr / (found.points[i] as RatePoint).lr);
    for (const ratio of ratios) expect(ratio).toBeCloseTo(1e9 ** (1 / 59), 6);
  });

  it("is repeatable, leaves no live tensor, and smooths without bias: the first mean is the first loss", async () => {
    const one = await findLearningRate(SMALL, { steps: 20 });
    const before = memory().liveTensors;
    const two = await findLearningRate(SMALL, { steps: 20 });
    expect(memory().liveTensors).toBe(before);
    expect(one).toEqual(two);
    expect(one.points[0]?.smoothed).toBeCloseTo(one.points[0]?.loss as number, 10);
  });

  it("suggests nothing if no rate changes the loss", async () => {
    const found = await findLearningRate({ ...SMALL, overfitBatches: 1 }, { from: 1e-30, to: 1e-29, steps: 20 });
    expect(found).toMatchObject({ diverged: false });
    expect(found.suggestion === null || found.suggestion <= 1e-29).toBe(true);
  });

  it.each([
    ["bounds that do not rise", { from: 1, to: 1 }, /to must be above from \(1\)/],
    ["a rate of zero", { from: 0 }, /from must be above 0/],
    ["too few steps", { steps: 3 }, /steps must be an integer >= 20/],
    ["options that are not an object", null, /options must be an object/],
  ])("refuses %s", async (_, options, message) => {
    await expect(findLearningRate(SMALL, options as never)).rejects.toThrow(message);
  });

  it("sweeps rates of any size, even if their ratio overflows", async () => {
    const found = await findLearningRate(SMALL, { from: 1e-300, to: 1e300, steps: 20 });
    expect(found.points[0]?.lr).toBeCloseTo(0, 12);
    expect(found.points.every(({ lr, loss }) => Number.isFinite(lr) && Number.isFinite(loss))).toBe(true);
    expect(found.diverged).toBe(true);
  });

  it("names the place where no temporary folder can be made", async () => {
    vi.stubEnv("TMPDIR", join(folder, "missing"));
    try {
      await expect(findLearningRate(SMALL)).rejects.toMatchObject({
        code: "E_IO",
        message: expect.stringContaining("TMPDIR"),
      });
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it("stops if its signal is aborted, and leaves no folder", async () => {
    const stop = new AbortController();
    const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith("batch-cam-find-lr-"));
    const before = folders();
    const sweep = findLearningRate(SMALL, { signal: stop.signal, onStep: () => stop.abort(new Error("enough")) });
    await expect(sweep).rejects.toThrow("enough");
    expect(folders()).toEqual(before);
  });
});

describe("batch-cam find-lr", () => {
  it("accepts a config file of `train`, and prints a rate to try", async () => {
    const file = join(folder, "train.yaml");
    writeFileSync(file, "limitTrain: 320\nlr: 0.5\nexperiment: mine\nvalImages: 20\nlimitTest: 20\nbatchSize: 32\n");
    const { code, out, err } = await cli("find-lr", "-c", file, "--lr-steps", "40", "--lr-to", "10");
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(/The loss falls fastest at \S+, and is lowest at \S+: try --lr \S+\.\n$/);
    expect(existsSync("runs/mine")).toBe(false);
  });

  it.each(["--tensorboard", "--patience=3", "--max-steps=9", "--loss-balance-every=1"])(
    "has no flag %s, which would have no effect",
    async (flag) => {
      const { code, err } = await cli("find-lr", flag);
      expect(code).toBe(2);
      expect(err).toContain("unknown flag");
    },
  );

  it("refuses rates that do not rise, by the flag's name", async () => {
    const { code, err } = await cli("find-lr", "--lr-from", "1", "--lr-to", "0.1");
    expect(code).toBe(2);
    expect(err).toContain("--lr-to must be above --lr-from (1), got 0.1");
  });
});
