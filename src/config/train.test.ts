import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { z } from "zod";
import { configTypes, target } from "../../scripts/generate-config-types.mjs";
import { BatchCamError } from "../errors.ts";
import { configWarnings, lambdaWarmupOf, parseTrainConfig, TrainConfig, type TrainConfigInput } from "./index.ts";
import { fieldsOf } from "./internal.ts";

function failure(input: unknown): BatchCamError {
  try {
    parseTrainConfig(input);
  } catch (error) {
    if (error instanceof BatchCamError) return error;
    throw error;
  }
  throw new Error("the config was accepted");
}

describe("the train config", () => {
  it("has the recommended defaults", () => {
    expect(parseTrainConfig({})).toMatchObject({
      model: "simple-cnn",
      dataset: "mnist",
      epochs: 3,
      batchSize: 128,
      opt: "adam",
      lr: 1e-3,
      distance: "ssim",
      lambdaPrototype: 0.5,
      lambdaBatch: 0,
      camEps: 1e-2,
      order: "second",
      guideEvery: "auto",
      guideShare: 1,
      plain: false,
      seed: 0,
    });
  });

  it("describes every field and puts each under a heading", () => {
    const fields = Object.entries(fieldsOf(TrainConfig));
    expect(fields.length).toBeGreaterThan(40);
    for (const [key, field] of fields) {
      expect(field.description, key).toMatch(/^[A-Za-z]/);
      expect(field.group, key).toBeDefined();
    }
  });

  it("treats an undefined value as not given", () => {
    expect(parseTrainConfig({ lr: undefined, threads: undefined })).toMatchObject({ lr: 1e-3 });
  });

  it("names every wrong key, what was expected and what came", () => {
    const { code, message } = failure({
      epochs: 1.5,
      lr: "fast",
      momentum: 1,
      distance: "sim",
      labelSmoothing: Number.NaN,
    });
    expect(code).toBe("E_CONFIG");
    expect(message).toContain("epochs must be a whole number, above 0, got 1.5");
    expect(message).toContain('lr must be a number, above 0, got "fast"');
    expect(message).toContain("momentum must be a number, at least 0 and below 1, got 1");
    expect(message).toContain('distance must be one of "ssim", "l1", "l2", got "sim" (did you mean "ssim"?)');
    expect(message).toContain("labelSmoothing must be a number, at least 0 and below 1, got NaN");
    expect(message).not.toContain("\n");
  });

  it.each([
    ["lamdaPrototype", "lambdaPrototype"],
    ["batch-size", "batchSize"],
    ["batch_size", "batchSize"],
    ["LR", "lr"],
    ["label_smoothing", "labelSmoothing"],
  ])("refuses the unknown key %s and names %s", (key, nearest) => {
    expect(failure({ [key]: 1 }).message).toBe(`train config: unknown option ${key} (did you mean "${nearest}"?)`);
  });

  it("suggests no name if none is similar", () => {
    expect(failure({ wallpaper: 1 }).message).toBe("train config: unknown option wallpaper");
  });

  it.each([[null], [3], ["runs"], [[]], [undefined]])("refuses %s instead of an object", (input) => {
    expect(failure(input).message).toMatch(/expected an object of options, got/);
  });

  it.each([
    [{ plain: true, lambdaPrototype: 0.5 }, "lambdaPrototype must be 0 or left out with plain, got 0.5"],
    [{ plain: true, lambdaBatch: 1 }, "lambdaBatch must be 0 or left out with plain, got 1"],
    [{ nesterov: true }, 'nesterov must be false with opt "adam" (it belongs to sgd), got true'],
    [{ opt: "sgd", nesterov: true, momentum: 0 }, "momentum must be above 0 with nesterov, got 0"],
    [{ lr: 0.1, minLr: 0.2 }, "minLr must be at most lr (0.1), got 0.2"],
    [{ resume: true, overwrite: true }, "overwrite must be false with resume"],
    [{ resume: "runs/a", experiment: "b" }, 'experiment must be "a" or left out with resume "runs/a", got "b"'],
    [{ resume: "/" }, 'resume must be a run directory such as "runs/my-run", got "/"'],
    [{ resume: ".." }, "resume must be a run directory"],
    [{ experiment: "a/b" }, 'experiment must be a folder name of letters, digits and ". _ + = @ -", got "a/b"'],
    [{ experiment: ".." }, "experiment must be a folder name"],
    [{ experiment: "" }, "experiment must be a folder name"],
    [{ output: "" }, "output must be a path that is not empty"],
    [{ resume: 3 }, "resume must be true or false or text, got 3"],
    [{ resume: "" }, "resume must be true or false or text"],
    [{ lambdaPrototype: -1 }, "lambdaPrototype must be a number, at least 0, got -1"],
    [{ seed: 2 ** 60 }, "seed must be a whole number, at least 0"],
    [{ trim: 0.5 }, "trim must be a number, at least 0 and below 0.5, got 0.5"],
    [{ model: ["simple-cnn"] }, 'model must be one of "simple-cnn", "resnet18", "resnet34", '],
    [{ figures: "yes" }, 'figures must be true or false, got "yes"'],
    [{ camEps: 0 }, "camEps must be a number, above 0, got 0"],
    [{ guideEvery: 0 }, 'guideEvery must be "auto", or a whole number, above 0, got 0'],
    [{ guideEvery: 1.5 }, 'guideEvery must be "auto", or a whole number, above 0, got 1.5'],
    [{ guideEvery: "4" }, 'guideEvery must be "auto", or a whole number, above 0, got "4"'],
    [{ guideShare: 0 }, "guideShare must be a number, above 0 and at most 1, got 0"],
    [{ guideShare: Number.NaN }, "guideShare must be a number, above 0 and at most 1"],
  ])("refuses %j", (input, message) => {
    expect(failure(input).message).toContain(message);
  });

  it("answers every input with a config or E_CONFIG", () => {
    const keys = fc.constantFrom(...Object.keys(TrainConfig.shape), "__proto__", "constructor", "x");
    fc.assert(
      fc.property(fc.dictionary(keys, fc.anything(), { maxKeys: 5 }), (input) => {
        try {
          parseTrainConfig(input);
        } catch (error) {
          expect(error).toMatchObject({ name: "BatchCamError", code: "E_CONFIG" });
        }
      }),
    );
  });
});

describe("the warm-up of the guidance", () => {
  it.each([
    [{}, 1, 0],
    [{}, 15, 5],
    [{}, 449, 149],
    [{}, 2_150, 150],
    [{ lambdaWarmup: 0 }, 900, 0],
    [{ lambdaWarmup: 200 }, 15, 200],
  ])("of %j in a run of %i steps takes %i", (input, steps, expected) => {
    expect(lambdaWarmupOf(parseTrainConfig(input), steps)).toBe(expected);
  });
});

describe("the device of a config", () => {
  it("is the CPU, by either name", () => {
    expect(parseTrainConfig({ device: "cpu" }).device).toBe("cpu");
    expect(parseTrainConfig({}).device).toBe("auto");
  });

  it.each(["cuda", "cuda:0", "mps", "gpu"])("%s is refused with the reason", (device) => {
    expect(failure({ device }).message).toMatch(
      /device must be .*"auto", "cpu", got ".*": this version computes on the CPU only/,
    );
  });
});

describe("the warnings of a config", () => {
  const warnings = (input: object, steps = 1000) => configWarnings(parseTrainConfig(input), steps);

  it("are empty for the defaults, for plain training and for the recommended weights", () => {
    for (const input of [{}, { plain: true }, { distance: "l1" }, { lambdaBatch: 0.5 }])
      expect(warnings(input)).toEqual([]);
  });

  it("mention the collapse of the batch-mean target without the Prototype Loss", () => {
    const alone = { batchTarget: "batch-mean", lambdaPrototype: 0, lambdaBatch: 1 };
    expect(warnings(alone)).toEqual([expect.stringMatching(/collapses to dead maps.*lambdaPrototype/)]);
  });

  it("mention a batch-mean weight above a quarter of the Prototype Loss's", () => {
    const heavy = { batchTarget: "batch-mean", lambdaPrototype: 1, lambdaBatch: 0.3 };
    expect(warnings(heavy)).toEqual([expect.stringMatching(/above a quarter/)]);
    expect(warnings({ ...heavy, lambdaBatch: 0.25 })).toEqual([]);
  });

  it("do not mention a batch-mean target with weight 0", () => {
    expect(warnings({ batchTarget: "batch-mean" })).toEqual([]);
  });

  it.each([
    [{ statistic: "cam-ema" }, /running mean/],
    [{ sched: "onecycle", warmupSteps: 10 }, /warmupSteps is not used/],
    [{ sched: "constant", minLr: 1e-5 }, /minLr is not used/],
  ])("mention %j", (input, message) => {
    expect(warnings(input)).toEqual([expect.stringMatching(message)]);
  });

  it("mention a run that ends before the guidance has its full weight, with the weight that it reaches", () => {
    const lambdaWarmup = 150;
    expect(warnings({ lambdaWarmup }, 15)).toEqual([
      expect.stringMatching(/lambdaWarmup 150 is longer than the run's 15 steps: .* at most 10 %/),
    ]);
    expect(warnings({ lambdaWarmup }, 150)).toEqual([]);
    expect(warnings({}, 15)).toEqual([]); // the default depends on the number of the run's steps
  });

  it("mention a run that ends before its first guided step", () => {
    expect(warnings({ guideEvery: 50 }, 49)).toEqual([expect.stringMatching(/guideEvery 50 .* 49 steps/)]);
    expect(warnings({ guideEvery: 50 }, 50)).toEqual([]);
    expect(warnings({ guideEvery: 50, plain: true }, 49)).toEqual([]);
  });

  it("do not mention guidance in plain training", () => {
    expect(warnings({ plain: true, statistic: "cam-ema" }, 10)).toEqual([]);
  });
});

describe("the type of a config as callers write it", () => {
  it("agrees with the schema, and has every description", () => {
    expect(readFileSync(target, "utf8")).toBe(configTypes({ TrainConfigInput: fieldsOf(TrainConfig) }));
    const inferred: z.input<typeof TrainConfig> = {};
    const written: Required<TrainConfigInput> = inferred as Required<z.input<typeof TrainConfig>>;
    const read: Required<z.input<typeof TrainConfig>> = inferred as Required<TrainConfigInput>;
    expect([written, read]).toEqual([{}, {}]);
  });
});
