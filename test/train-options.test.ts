import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { parseTrainConfig, type TrainConfigInput } from "../src/config/index.ts";
import { loadSafetensors, readSafetensorsMetadata } from "../src/io/index.ts";
import { memory, type Tensor } from "../src/tensor/index.ts";
import { type TrainEvent, train } from "../src/train.ts";
import { cli } from "./support/cli.ts";
import { once } from "./support/once.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const output = temporaryFolder("options");

const SMALL: TrainConfigInput = {
  ...{ output, limitTrain: 96, valImages: 40, limitTest: 40, batchSize: 32, epochs: 2, lambdaWarmup: 3 },
  ...{ figures: false, logEvery: 1 },
};

async function bitsOf(path: string): Promise<Record<string, string>> {
  const state = await loadSafetensors(path);
  const bits = [...state].map(([name, t]) => [name, Buffer.from(t.data().buffer as ArrayBuffer).toString("base64")]);
  for (const tensor of state.values()) tensor.dispose();
  return Object.fromEntries(bits);
}

async function stepsOf(config: TrainConfigInput) {
  const steps: Extract<TrainEvent, { type: "step" }>["metrics"][] = [];
  const result = await train(
    { ...SMALL, ...config },
    { onEvent: (e) => void (e.type === "step" && steps.push(e.metrics)) },
  );
  return { result, steps };
}

/** An unguided run of SMALL, with which others are compared. */
const plainRun = once(() => stepsOf({ experiment: "plain", plain: true }));

/** Trains to a step and continues from the checkpoint. */
async function inTwoParts(config: TrainConfigInput, step: number) {
  const stop = new AbortController();
  const onEvent = (event: TrainEvent) => void (event.type === "step" && event.step >= step && stop.abort());
  const first = await train({ ...SMALL, ...config }, { signal: stop.signal, onEvent });
  expect(first.interrupted).toBe(true);
  return train({ ...SMALL, ...config, resume: true });
}

function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

function canMount(): boolean {
  const folder = temporaryFolder("mount");
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]).status === 0;
  if (mounted) spawnSync("umount", [folder]);
  return mounted;
}

describe("augmentation in training", () => {
  const CHANGED = {
    ...{ augShift: 0.1, augRotate: 15, augScale: 0.1, augFlip: true, augErase: 0.3, augBrightness: 0.2 },
    ...{ augCrop: 0.2, randAugment: 5 },
    ...{ modelEma: true, sched: "cosine", sampler: "balanced", patience: 3 },
  } as const satisfies TrainConfigInput;

  it("is resumed bit for bit, with averaged weights, a schedule, the balanced sampler and early stopping", async () => {
    const whole = await train({ ...SMALL, ...CHANGED, experiment: "augmented" });
    const parts = await inTwoParts({ ...CHANGED, experiment: "augmented-parts" }, 4);
    expect(await bitsOf(parts.checkpoint)).toEqual(await bitsOf(whole.checkpoint));
    expect(parts.test).toEqual(whole.test);
  });

  it("changes training images, but not those of validation and test", async () => {
    const still = { lr: 1e-30, epochs: 1 }; // the weights do not change, so equal images give equal numbers
    const plain = await stepsOf({ ...still, experiment: "as-is" });
    const changed = await stepsOf({ ...still, experiment: "moved", augShift: 0.3 });
    for (const [i, { crossEntropy, loss }] of changed.steps.entries()) {
      expect(crossEntropy).not.toBe(plain.steps[i]?.crossEntropy);
      expect(loss).toSatisfy(Number.isFinite);
    }
    expect(changed.result.history.map(({ val }) => val)).toEqual(plain.result.history.map(({ val }) => val));
    expect(changed.result.test).toEqual(plain.result.test);
  });
});

describe("the end of a run", () => {
  it("comes early if validation no longer improves, and the best epoch is tested", async () => {
    const { result } = await stepsOf({ experiment: "patient", lr: 1e-9, epochs: 9, patience: 2 });
    expect(result.history).toHaveLength(3);
    expect(result.endedBy).toBe("patience");
    expect(result.bestEpoch).toBeGreaterThan(0);
    expect(result.interrupted).toBe(false);
    expect(result.test).not.toBeNull();
  });

  it("comes after maxSeconds of training, after a validation", async () => {
    const { result, steps } = await stepsOf({ experiment: "timed", epochs: 50, maxSeconds: 1e-6 });
    expect(steps).toHaveLength(1);
    expect(result.endedBy).toBe("maxSeconds");
    expect(result.history).toHaveLength(1);
  });
});

describe("a run that is interrupted and continues", () => {
  // The accuracy rises until step 6 and falls again, so that an interruption in between has better results than any epoch.
  const WILD = {
    ...{ epochs: 6, limitTrainBatches: 2, opt: "sgd", lr: 0.005, plain: true, keepEpochs: 2, valInterval: 2 },
  } satisfies TrainConfigInput;
  const files = (run: string) =>
    readdirSync(join(output, run, "checkpoints")).filter((name) => /^(best|epoch)/.test(name));
  const linesOf = (run: string) => readFileSync(join(output, run, "summary.csv"), "utf8").split("\n").length;

  it("keeps nothing of the validation at the interruption: neither best weights nor epochs nor rows", async () => {
    const whole = await train({ ...SMALL, ...WILD, experiment: "uncut" });
    const wholeBest = await bitsOf(whole.best as string);
    let better = 0;
    for (const cut of [1, 5, 6, 7]) {
      const experiment = `cut-${cut}`;
      const part = await train({ ...SMALL, ...WILD, experiment, maxSteps: cut });
      expect(part.endedBy).toBe("maxSteps");
      expect(part.history.at(-1)?.step).toBe(cut);
      const rest = await train({ ...SMALL, ...WILD, experiment, resume: true, maxSteps: 1000 });
      const accuracies = ({ history }: typeof whole) => history.map(({ epoch, val }) => [epoch, val.accuracy]);
      expect(accuracies(rest)).toEqual(accuracies(whole));
      expect(rest.bestEpoch).toBe(whole.bestEpoch);
      expect(await bitsOf(rest.best as string)).toEqual(wholeBest);
      expect(files(experiment)).toEqual(files("uncut"));
      const [top, own] = [whole, part].map(({ history }) => Math.max(...history.map(({ val }) => val.accuracy)));
      if ((own as number) > (top as number)) better += 1;
    }
    expect(better).toBeGreaterThan(0);
    expect(linesOf("cut-5")).toBe(linesOf("uncut"));
  });

  it("tests the weights that its history names as the best, after a kill between saving them and the checkpoint", async () => {
    const config = { ...SMALL, ...WILD, valInterval: 1, experiment: "killed", checkpointEvery: 1000 };
    const killed = new Error("killed");
    let at = 0;
    const onEvent = (event: TrainEvent) => {
      if (event.type !== "epoch" || !event.record.bestSoFar || event.epoch < 2) return;
      at = event.epoch;
      throw killed;
    };
    await expect(train(config, { onEvent })).rejects.toBe(killed);
    const best = join(output, "killed", "checkpoints", "best.safetensors");
    const epochOf = async () => Number((await readSafetensorsMetadata(best)).epoch);
    expect(await epochOf()).toBe(at);
    for (const maxSteps of [2 * at - 1, 1000]) {
      const { bestEpoch } = await train({ ...config, resume: true, maxSteps });
      expect(await epochOf()).toBe(bestEpoch);
    }
    expect(files("killed").filter((name) => name.startsWith("best"))).toEqual(["best.safetensors"]);
  });

  it("is refused with an error code if its folder is damaged", async () => {
    const config = { ...SMALL, experiment: "damaged", epochs: 1 };
    await train(config);
    const folder = join(output, "damaged");
    const saved = readFileSync(join(folder, "config.json"), "utf8");
    const again = () => expect(train({ ...config, epochs: 2, resume: true })).rejects;
    writeFileSync(join(folder, "config.json"), "{}");
    await again().toMatchObject({ code: "E_CHECKPOINT", message: expect.stringContaining("was not written by a run") });
    writeFileSync(join(folder, "config.json"), saved);
    mkdirSync(join(folder, "checkpoints", "last-99.state.safetensors"));
    await again().toMatchObject({ code: "E_IO", message: expect.stringContaining("remove what is in the way") });
  });

  it("reports the step from which the log is void: its last step, if that was validated at an interruption", async () => {
    const from = async (config: TrainConfigInput) => {
      const seen: number[] = [];
      const onEvent = (event: TrainEvent) => {
        if (event.type === "start") seen.push(event.voidFromStep);
        if (event.type === "step" && seen.length < 2) seen.push(event.step);
      };
      await train({ ...SMALL, ...config }, { onEvent });
      return seen;
    };
    expect(await from({ experiment: "void", maxSteps: 2 })).toEqual([0, 1]);
    expect(await from({ experiment: "void", resume: true, maxSteps: 3 })).toEqual([2, 2]); // the log already has step 2, which is logged again
    expect(await from({ experiment: "void", resume: true })).toEqual([4]); // step 3 was the end of an epoch, so nothing is logged again
  });
});

describe("photographs", () => {
  it("have no foreground that brightness shows, so no energy on it is reported", async () => {
    const folder = join(output, "photos");
    for (const [i, name] of ["cats", "dogs"].entries()) {
      mkdirSync(join(folder, name), { recursive: true });
      const background = { r: 90 + 100 * i, g: 120, b: 60 };
      for (let n = 0; n < 12; n++)
        await sharp({ create: { width: 16, height: 16, channels: 3, background } }).toFile(
          join(folder, name, `${n}.png`),
        );
    }
    const config = { dataset: "folder", dataDir: folder, imageSize: 16, valImages: 4, limitTrain: 16 } as const;
    const { result } = await stepsOf({ ...config, experiment: "of-photos", epochs: 1 });
    expect(result.test?.energyInForeground).toBeNaN();
    const { result: digits } = await stepsOf({ experiment: "of-digits", epochs: 1, limitTrain: 32 });
    expect(digits.test?.energyInForeground).toBeGreaterThan(0);
    const { code, out } = await cli("evaluate", result.runDirectory, "--json", "--limit", "4");
    expect(code).toBe(0);
    const [{ values, leftOut }] = JSON.parse(out).explanations;
    expect(Object.keys(values)).not.toContain("relevanceRankAccuracy");
    expect(leftOut[0].metrics).toContain("relevanceRankAccuracy");
    expect(leftOut[0].why).toMatch(/no image has a foreground/);
  });
});

describe("the best epoch", () => {
  it("is the one with the lower loss if accuracies are equal; patience counts only accuracy", async () => {
    const { result } = await stepsOf({ experiment: "tied", epochs: 9, lr: 1e-5, opt: "sgd", plain: true, patience: 3 });
    const [first, ...rest] = result.history.map(({ val }) => val);
    expect(rest.every(({ accuracy }) => accuracy === first?.accuracy)).toBe(true);
    const errors = result.history.map(({ val }) => val.crossEntropy);
    expect(result.bestEpoch).toBe(1 + errors.indexOf(Math.min(...errors)));
    expect(result.bestEpoch).toBeGreaterThan(1);
    expect([result.history.length, result.endedBy]).toEqual([4, "patience"]);
  });
});

describe("kept epochs", () => {
  it("are the last few, in addition to best and last", async () => {
    const { result } = await stepsOf({ experiment: "kept", epochs: 4, keepEpochs: 2, limitTrain: 32 });
    const names = readdirSync(join(result.runDirectory, "checkpoints")).filter((name) => name.startsWith("epoch-"));
    expect(names.sort()).toEqual(["epoch-3.safetensors", "epoch-4.safetensors"]);
  });

  it("are the last few that were validated", async () => {
    const config = { experiment: "kept-sparse", epochs: 6, valInterval: 2, keepEpochs: 2, limitTrain: 32 };
    const { result } = await stepsOf(config);
    const names = readdirSync(join(result.runDirectory, "checkpoints")).filter((name) => name.startsWith("epoch-"));
    expect(names.sort()).toEqual(["epoch-4.safetensors", "epoch-6.safetensors"]);
  });
});

describe("a signal that comes early", () => {
  it("stops before the first step, with a checkpoint from which the run continues", async () => {
    const whole = await train({ ...SMALL, experiment: "undisturbed" });
    const config = { ...SMALL, experiment: "early" };
    const stopped = await train(config, { signal: AbortSignal.abort(new Error("stop")) });
    expect([stopped.interrupted, stopped.endedBy, stopped.step]).toEqual([true, "signal", 0]);
    const rest = await train({ ...config, resume: true });
    expect(await bitsOf(rest.checkpoint)).toEqual(await bitsOf(whole.checkpoint));
  });
});

describe("fewer epochs than a run has started", () => {
  it("are refused on resuming, because nothing would be validated", async () => {
    const config = { ...SMALL, experiment: "shorter", valInterval: 3 };
    await train({ ...config, epochs: 4, maxSteps: 4 });
    await expect(train({ ...config, epochs: 1, resume: true })).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringContaining("the run is in epoch 2, so it cannot end after"),
    });
  });
});

describe("overfitBatches", () => {
  it("trains and validates on the same few images, and learns them", async () => {
    const { result } = await stepsOf({ experiment: "overfit", overfitBatches: 1, epochs: 30, plain: true });
    expect(result.history.at(-1)?.val.images).toBe(32);
    expect(result.history.at(-1)?.val.accuracy).toBeGreaterThan(0.95);
  });
});

describe("valInterval", () => {
  it("validates every valInterval epochs and the last one, with the means of the training in between", async () => {
    const { result, steps } = await stepsOf({ experiment: "sparse", epochs: 5, valInterval: 2 });
    expect(result.history.map(({ epoch }) => epoch)).toEqual([2, 4, 5]);
    const mean = steps.slice(0, 6).reduce((sum, { crossEntropy }) => sum + crossEntropy, 0) / 6;
    expect(result.history[0]?.train.crossEntropy).toBeCloseTo(mean, 10);
  });

  it("counts patience in epochs, and is resumed bit for bit", async () => {
    const config = { valInterval: 2, epochs: 9, lr: 1e-9, patience: 3 };
    const { result } = await stepsOf({ ...config, experiment: "sparse-patient" });
    expect(result.history.map(({ epoch }) => epoch)).toEqual([2, 4, 6]);
    const parts = await inTwoParts({ ...config, experiment: "sparse-parts" }, 4);
    expect(await bitsOf(parts.checkpoint)).toEqual(await bitsOf(result.checkpoint));
    expect(parts.history.map(({ epoch }) => epoch)).toEqual([2, 4, 6]);
  });
});

describe("a number that is not finite", () => {
  it("is still not finite after a resume: the coherence of a class with one image", async () => {
    const config = { valImages: 8, experiment: "lonely" };
    const { result } = await stepsOf({ ...config, experiment: "lonely-whole" });
    expect(result.history[0]?.val.coherence).toBeNaN();
    const parts = await inTwoParts(config, 4);
    expect(parts.history[0]?.val.coherence).toBeNaN();
    const table = (run: string) =>
      readFileSync(join(output, run, "summary.csv"), "utf8").replaceAll(/\d+\.\d+,(true|false)/g, "");
    expect(table("lonely").match(/NaN/g)?.length).toBe(table("lonely-whole").match(/NaN/g)?.length);
  });
});

describe("limited epochs", () => {
  it("end after limitTrainBatches, draw other images each time, and are resumed bit for bit", async () => {
    const config = { limitTrainBatches: 2, epochs: 3, limitVal: 20, lambdaWarmup: 0 };
    const { result, steps } = await stepsOf({ ...config, experiment: "limited" });
    expect(steps).toHaveLength(6);
    expect(result.history[0]?.val.images).toBe(20);
    const parts = await inTwoParts({ ...config, experiment: "limited-parts" }, 3);
    expect(await bitsOf(parts.checkpoint)).toEqual(await bitsOf(result.checkpoint));
  });

  it("cannot validate on all of the images", async () => {
    await expect(train({ ...SMALL, experiment: "all", valImages: 60_000 })).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringContaining("valImages is 60000, but there are only 60000 training images"),
    });
  });

  it("warn if there are fewer validation images than limitVal", async () => {
    const warnings: string[] = [];
    const onEvent = (event: TrainEvent) => void (event.type === "warning" && warnings.push(event.message));
    await train({ ...SMALL, experiment: "few", limitVal: 99, maxSteps: 1 }, { onEvent });
    expect(warnings.join()).toMatch(/limitVal is 99, but there are 40 images/);
  });
});

describe("a run of few steps", () => {
  it("warms up its guidance over a third of them by default, and keeps that on resuming", async () => {
    const { lambdaWarmup: _, ...config } = { ...SMALL, experiment: "few-steps" };
    const warmups: unknown[] = [];
    const warnings: string[] = [];
    const onEvent = (event: TrainEvent) => {
      if (event.type === "start") warmups.push(event.config.lambdaWarmup);
      if (event.type === "warning") warnings.push(event.message);
    };
    const { runDirectory } = await train({ ...config, epochs: 1, norm: "batch" }, { onEvent });
    expect(JSON.parse(readFileSync(join(runDirectory, "config.json"), "utf8")).lambdaWarmup).toBe(1);
    await train({ ...config, epochs: 2, norm: "batch", resume: true }, { onEvent });
    expect(warmups).toEqual([1, 1]);
    expect(warnings.join()).toMatch(
      /the validation results may lag behind training in a run of 3 steps: batch norm's running/,
    );
    expect(warnings.join()).not.toMatch(/lambdaWarmup/);
  });
});

describe("fastDevRun", () => {
  it("takes two steps and one batch of each split, in a separate folder that it replaces", async () => {
    const config = { ...SMALL, experiment: "quick", fastDevRun: true, epochs: 50 };
    for (let round = 0; round < 2; round++) {
      const result = await train(config);
      expect(result.step).toBe(2);
      expect(result.runDirectory).toBe(join(output, "quick-fast-dev-run"));
      expect([result.history[0]?.val.images, result.test?.images]).toEqual([32, 32]);
    }
    expect(existsSync(join(output, "quick"))).toBe(false);
  });

  it("does not replace a run that was not a fast dev run, whatever its name", async () => {
    const experiment = "real-fast-dev-run";
    await train({ ...SMALL, experiment, epochs: 1, maxSteps: 1 });
    await train({ ...SMALL, experiment: "begun", fastDevRun: true });
    await expect(train({ output, resume: join(output, "begun-fast-dev-run") })).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringContaining("is a fast dev run, which starts from the beginning each time"),
    });
    await expect(train({ ...SMALL, experiment, fastDevRun: true })).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringContaining("real-fast-dev-run already contains a run"),
    });
    expect(JSON.parse(readFileSync(join(output, experiment, "config.json"), "utf8"))).toMatchObject({
      fastDevRun: false,
    });
  });

  it("does not warn about limits that nobody set", async () => {
    const warnings: string[] = [];
    const onEvent = (event: TrainEvent) => void (event.type === "warning" && warnings.push(event.message));
    await train({ ...SMALL, experiment: "silent", batchSize: 64, fastDevRun: true }, { onEvent });
    expect(warnings).toEqual([]);
  });

  it("is refused on resuming", () => {
    expect(() => parseTrainConfig({ resume: true, fastDevRun: true })).toThrow(/fastDevRun.*false with resume/);
  });
});

describe("deterministic", () => {
  it("refuses to continue with other threads, and names them; without it the run continues", async () => {
    const config = { ...SMALL, experiment: "exact", deterministic: true, threads: 1, epochs: 1 } as const;
    await train({ ...config, maxSteps: 1 });
    const more = { ...config, resume: true, threads: 2, maxSteps: 6 };
    await expect(train(more)).rejects.toMatchObject({
      code: "E_CHECKPOINT",
      message: expect.stringMatching(
        /deterministic: .*threads was 1 and is 2\. Continue in the environment in which the run was started/,
      ),
    });
    const path = join(output, "exact", "environment.json");
    const environment = readFileSync(path, "utf8");
    for (const damaged of ['{"cpu"', "null"]) {
      writeFileSync(path, damaged);
      await expect(train({ ...more, threads: 1 })).rejects.toMatchObject({
        code: "E_CHECKPOINT",
        message: expect.stringContaining("environment.json"),
      });
    }
    writeFileSync(path, environment);
    expect((await train({ ...more, threads: 1 })).step).toBe(3);
    expect((await train({ ...more, deterministic: false, epochs: 2 })).step).toBe(6);
  });
});

describe("mixup", () => {
  it("trains a plain model, is resumed bit for bit, and changes nothing if it is 0", async () => {
    const config = { plain: true, mixup: 0.4 };
    const { result } = await stepsOf({ ...config, experiment: "mixed" });
    const parts = await inTwoParts({ ...config, experiment: "mixed-parts" }, 4);
    expect(await bitsOf(parts.checkpoint)).toEqual(await bitsOf(result.checkpoint));
    const { result: plain } = await plainRun();
    expect(await bitsOf(plain.checkpoint)).not.toEqual(await bitsOf(result.checkpoint));
  });

  it("refuses a value so small that nothing is mixed", () => {
    expect(() => parseTrainConfig({ plain: true, mixup: 1e-320 })).toThrow(/mixup must be 0, or from 0\.001 to 1/);
    expect(parseTrainConfig({ plain: true, mixup: 0.001 }).mixup).toBe(0.001);
  });

  it.each([
    ["guidance", {}, /mixup.*0 with guidance/],
    ["the Batch-CAM Loss alone", { lambdaPrototype: 0, lambdaBatch: 1 }, /mixup.*0 with guidance/],
    ["a baseline", { baseline: "rrr", dataset: "decoy-mnist" }, /mixup.*0 with a baseline/],
  ] as const)("is refused with %s, whose maps would have two classes", (_, config, message) => {
    expect(() => parseTrainConfig({ mixup: 0.2, ...config })).toThrow(message);
  });
});

describe("sizes that are seldom intended", () => {
  it("cause warnings: a step larger than the training set, and too few validation images to choose by", async () => {
    const warnings: string[] = [];
    const onEvent = (event: TrainEvent) => void (event.type === "warning" && warnings.push(event.message));
    await train(
      { ...SMALL, experiment: "tiny", batchSize: 128, prototypes: "shuffled", plain: true, epochs: 1 },
      { onEvent },
    );
    expect(warnings).toEqual([
      "prototypes shuffled is not used with plain: no map is guided",
      "the run has only 1 step: a step takes 128 images, and there are only 96, so that each epoch has one step; a smaller batchSize, such as batchSize 8, or more epochs make more steps",
      "there are only 40 validation images: one image changes the accuracy by which the best epoch is chosen by 2.5 % (see valImages)",
    ]);
  });
});

describe("prototypes as controls", () => {
  const GUIDED = { dataset: "decoy-mnist", plain: false, lambdaWarmup: 0 } as const;
  const guidedByOwn = once(() => stepsOf({ ...GUIDED, prototypes: "class", experiment: "guided-by-own" }));

  it.each(["shuffled", "global", "constant", "clean"] as const)(
    "%s guide, and are evaluated against the class's own prototype",
    async (prototypes) => {
      const before = memory().liveTensors;
      const own = await guidedByOwn();
      const control = await stepsOf({ ...GUIDED, prototypes, experiment: `control-${prototypes}` });
      expect(control.steps[0]?.crossEntropy).toBe(own.steps[0]?.crossEntropy);
      expect(control.steps[0]?.prototypeLoss).not.toBe(own.steps[0]?.prototypeLoss);
      const saved = [own, control].map(({ result }) => join(result.runDirectory, "prototypes.safetensors"));
      expect(readFileSync(saved[1] as string)).toEqual(readFileSync(saved[0] as string));
      expect(memory().liveTensors).toBe(before);
    },
  );

  it.each([
    [{ prototypes: "clean" }, /prototypes.*clean prototypes exist only for decoy sets/],
    [{ prototypes: "global", statistic: "cam-ema" }, /prototypes.*"class" with statistic "cam-ema"/],
  ] as const)("are refused if they make no sense: %o", (config, message) => {
    expect(() => parseTrainConfig(config)).toThrow(message);
  });

  it("name the run", () => {
    expect(parseTrainConfig({ prototypes: "shuffled" }).experiment).toBe("simple-cnn-mnist-ssim-p0.5-shuffled-seed0");
  });
});

describe("lossBalanceEvery", () => {
  it("reports and logs each term with its gradient, and does not change the training, bit for bit", async () => {
    const events: Extract<TrainEvent, { type: "balance" }>[] = [];
    const onEvent = (event: TrainEvent) => void (event.type === "balance" && events.push(event));
    const config = { ...SMALL, lambdaBatch: 0.5 };
    const result = await train({ ...config, experiment: "balanced", lossBalanceEvery: 2 }, { onEvent });
    expect(events.map(({ step }) => step)).toEqual([2, 4, 6]);
    expect(events[1]?.terms.map(({ term, weight }) => [term, weight])).toEqual([
      ["crossEntropy", 1],
      ["prototypeLoss", 0.5],
      ["batchCamLoss", 0.5],
    ]);
    for (const { cosine, gradNorm } of events.flatMap(({ terms }) => terms)) {
      expect(gradNorm).toBeGreaterThan(0);
      expect(Math.abs(cosine as number)).toBeLessThanOrEqual(1.00001);
    }
    const without = await train({ ...config, experiment: "unbalanced" });
    expect(await bitsOf(result.checkpoint)).toEqual(await bitsOf(without.checkpoint));
    const log = readFileSync(join(result.runDirectory, "metrics.jsonl"), "utf8");
    expect(log.match(/"kind":"balance"/g)).toHaveLength(3);
  });
});

describe("a full disk", () => {
  it.skipIf(process.getuid?.() !== 0 || !canMount())(
    "while a checkpoint is written loses nothing: with space again, the run ends with the uninterrupted run's weights, bit for bit",
    async () => {
      const disk = temporaryFolder("disk");
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=40m", "tmpfs", disk]);
      const config = {
        ...SMALL,
        ...{ augShift: 0.1, augErase: 0.3, modelEma: true, sched: "cosine" as const, patience: 3, checkpointEvery: 1 },
      };
      try {
        const whole = await train({ ...config, experiment: "roomy" });
        const fill = join(disk, "filler");
        const onEvent = (event: TrainEvent) => {
          // Fills the disk up to a small rest, so that writing the next checkpoint fails midway.
          if (event.type === "checkpoint" && event.step === 3)
            writeFileSync(fill, Buffer.alloc(freeBytes(disk) - 400_000));
        };
        await expect(train({ ...config, output: disk, experiment: "full" }, { onEvent })).rejects.toMatchObject({
          code: "E_IO",
          message: expect.stringMatching(/ENOSPC/),
        });
        rmSync(fill);
        const rest = await train({ ...config, output: disk, experiment: "full", resume: true });
        expect(await bitsOf(rest.checkpoint)).toEqual(await bitsOf(whole.checkpoint));
        expect(rest.test).toEqual(whole.test);
      } finally {
        execFileSync("umount", [disk]);
      }
    },
  );
});

describe("class imbalance", () => {
  it("can be weighted in the loss by their frequency", async () => {
    const plain = await plainRun();
    const weighted = await stepsOf({ experiment: "weighted", plain: true, classWeights: "balanced" });
    expect(weighted.steps[0]?.crossEntropy).not.toBe(plain.steps[0]?.crossEntropy);
    expect(Math.abs((weighted.steps[0]?.crossEntropy ?? 0) - (plain.steps[0]?.crossEntropy ?? 0))).toBeLessThan(0.2);
  });
});

describe("published baselines", () => {
  it.each(["rrr", "rrr-g", "hint", "saliency-guided"] as const)(
    "%s trains by itself on a decoy set",
    async (baseline) => {
      const before = memory().liveTensors;
      const { result, steps } = await stepsOf({ experiment: `base-${baseline}`, dataset: "decoy-mnist", baseline });
      expect(
        steps.every(({ baselineLoss, prototypeLoss }) => Number.isFinite(baselineLoss) && prototypeLoss === null),
      ).toBe(true);
      expect(steps.some(({ baselineLoss }) => Math.abs(baselineLoss ?? 0) > 0)).toBe(true);
      expect(result.test).not.toBeNull();
      expect(memory().liveTensors).toBe(before);
    },
  );

  it("name the run, and are added to the Prototype Loss if that is asked for", () => {
    expect(parseTrainConfig({ baseline: "rrr", lambdaBaseline: 10 })).toMatchObject({
      ...{ plain: true, lambdaPrototype: 0, experiment: "simple-cnn-mnist-rrr10-seed0" },
    });
    const both = parseTrainConfig({ baseline: "hint", lambdaPrototype: 0.5 });
    expect(both).toMatchObject({ plain: false, experiment: "simple-cnn-mnist-ssim-p0.5-hint1-seed0" });
    expect(parseTrainConfig({})).toMatchObject({ plain: false, lambdaPrototype: 0.5 });
  });

  it("that need masks refuse a data set without masks", async () => {
    const before = memory().liveTensors;
    await expect(train({ ...SMALL, experiment: "maskless", baseline: "rrr" })).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringMatching(/rrr needs masks, and mnist has none/),
    });
    expect(memory().liveTensors).toBe(before);
  });
});

describe("colour images", () => {
  it("of color-mnist are learned with guidance", async () => {
    const { result } = await stepsOf({ experiment: "color", dataset: "color-mnist" });
    expect(result.history.at(-1)?.train.prototypeLoss).toBeGreaterThan(0);
    const weights = await loadSafetensors(result.checkpoint);
    expect((weights.get("conv1.weight") as Tensor).shape).toEqual([32, 3, 3, 3]);
    for (const tensor of weights.values()) tensor.dispose();
  });
});
