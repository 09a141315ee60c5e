import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  describeResumedRun,
  overrideTrainConfig,
  parseTrainConfig,
  resumeTrainConfig,
  runDirectoryOf,
  TrainConfig,
} from "./index.ts";
import { type FieldSchema, fieldsOf } from "./internal.ts";

describe("a path", () => {
  it.each(["output", "dataDir", "weights", "resume"])("with a zero byte is refused as %s, which is named", (key) => {
    expect(() => parseTrainConfig({ [key]: "a\0b" })).toThrow(
      expect.objectContaining({ code: "E_CONFIG", message: expect.stringMatching(new RegExp(`${key}.*zero byte`)) }),
    );
  });
});

describe("a resolved train config", () => {
  it.each([
    ["ssim", 0.5],
    ["l1", 2],
    ["l2", 2],
  ])("weighs the Prototype Loss with %s by %d by default", (distance, weight) => {
    expect(parseTrainConfig({ distance }).lambdaPrototype).toBe(weight);
    expect(parseTrainConfig({ distance, lambdaPrototype: 0.1 }).lambdaPrototype).toBe(0.1);
  });

  it("is plain exactly when both weights are 0", () => {
    expect(parseTrainConfig({ plain: true })).toMatchObject({ plain: true, lambdaPrototype: 0, lambdaBatch: 0 });
    expect(parseTrainConfig({ lambdaPrototype: 0 }).plain).toBe(true);
    expect(parseTrainConfig({ lambdaPrototype: 0, lambdaBatch: 1 }).plain).toBe(false);
  });

  it.each([
    [{}, "runs/simple-cnn-mnist-ssim-p0.5-seed0"],
    [{ plain: true, seed: 3 }, "runs/simple-cnn-mnist-plain-seed3"],
    [{ distance: "l1", lambdaBatch: 0.5 }, "runs/simple-cnn-mnist-l1-p2-b0.5-seed0"],
    [{ lambdaPrototype: 0, lambdaBatch: 1 }, "runs/simple-cnn-mnist-ssim-b1-seed0"],
    [{ experiment: "mine", output: "out/" }, "out/mine"],
    [{ experiment: "mine", output: "." }, "mine"],
    [{ experiment: "mine", output: "/" }, "/mine"],
    [{ resume: "a/b/c" }, "a/b/c"],
    [{ resume: "a/b//" }, "a/b"],
    [{ resume: "/a" }, "/a"],
    [{ resume: "a" }, "a"],
    [{ resume: "runs/two words" }, "runs/two words"],
  ])("of %j runs in %s", (input, directory) => {
    expect(runDirectoryOf(parseTrainConfig(input))).toBe(directory);
  });

  it("resolves to itself", () => {
    fc.assert(
      fc.property(anyInput(), (input) => {
        const config = parseTrainConfig(input);
        expect(parseTrainConfig(JSON.parse(JSON.stringify(config)))).toEqual(JSON.parse(JSON.stringify(config)));
      }),
    );
  });
});

describe("overriding a config", () => {
  it("replaces the keys that are given and keeps the others", () => {
    expect(overrideTrainConfig({ lr: 1, epochs: 2 }, { lr: 3 })).toEqual({ lr: 3, epochs: 2 });
    expect(overrideTrainConfig({ lr: 1 }, { lr: undefined })).toEqual({ lr: 1 });
  });

  it("lets plain replace the weights of the base, and a weight replace its plain", () => {
    expect(overrideTrainConfig({ lambdaPrototype: 1, lambdaBatch: 1 }, { plain: true })).toEqual({ plain: true });
    expect(overrideTrainConfig({ plain: true }, { lambdaBatch: 1 })).toEqual({ plain: false, lambdaBatch: 1 });
    expect(overrideTrainConfig({ plain: true }, { lambdaPrototype: 0 })).toEqual({ plain: true, lambdaPrototype: 0 });
  });

  it("keeps a contradiction within one config", () => {
    const both = overrideTrainConfig({}, { plain: true, lambdaPrototype: 1 });
    expect(() => parseTrainConfig(both)).toThrow(/left out with plain/);
  });
});

describe("resuming with a saved config", () => {
  const saved = parseTrainConfig({ lr: 0.01, experiment: "first", opt: "sgd" });

  it("needs only the run's path", () => {
    const config = resumeTrainConfig(saved, { resume: "moved/there" });
    expect(config).toEqual({ ...saved, resume: "moved/there", output: "moved", experiment: "there" });
  });

  it("allows changes that no step depends on, and more epochs with a constant schedule", () => {
    const free = { threads: 1, logEvery: 5, checkpointEvery: 7, figures: false, epochs: 9, maxSteps: 12 };
    expect(resumeTrainConfig(saved, { resume: "runs/first", ...free })).toMatchObject(free);
  });

  it("refuses changes that would make it another run, naming both values", () => {
    const other = { resume: "runs/first", lr: 0.1, batchSize: 64, camLayer: "features.0" };
    expect(() => resumeTrainConfig(saved, other)).toThrow(/lr \(the run has 0.01, got 0.1\)/);
    expect(() => resumeTrainConfig(saved, other)).toThrow(/batchSize \(the run has 128, got 64\)/);
    expect(() => resumeTrainConfig(saved, other)).toThrow(/camLayer \(the run has none, got features.0\)/);
  });

  it("keep the guideEvery that the run decided, if the input leaves it open", () => {
    const decided = { ...saved, guideEvery: 4 };
    expect(resumeTrainConfig(decided, { resume: "runs/first", guideEvery: "auto" }).guideEvery).toBe(4);
    expect(() => resumeTrainConfig(decided, { resume: "runs/first", guideEvery: 2 })).toThrow(/guideEvery/);
  });

  it("refuses plain for a guided run, as a difference and not as a contradiction", () => {
    expect(() => resumeTrainConfig(saved, { resume: "runs/first", plain: true })).toThrow(
      /plain \(the run has false, got true\)/,
    );
  });

  it.each([
    ["cosine", 9, /with epochs 9 from the start, or with { weights: "runs\/x" } to continue from its best/],
    ["onecycle", 9, /with epochs 9 from the start, or with { weights: "runs\/x" } to continue from its best/],
    ["cosine", 2, /end the run earlier with maxSteps/],
  ] as const)(
    "refuses other epochs if the schedule %s depends on them: %i, with the reason and what to do",
    (sched, epochs, advice) => {
      const before = parseTrainConfig({ sched });
      const refused = (more: object = {}) =>
        expect(() => resumeTrainConfig(before, { resume: "runs/x", epochs, ...more }));
      refused().toThrow(`epochs (the run has 3, got ${epochs})`);
      refused().toThrow(`The learning-rate schedule (sched ${sched}) spans the run's 3 epochs`);
      refused().toThrow(advice);
      refused().not.toThrow(/Leave them out/);
      refused({ lr: 1 }).toThrow(/lr \(the run has .*Leave them out/);
      refused({ sched: "constant" }).toThrow(/sched \(the run has .*spans the run's 3 epochs/);
      expect(resumeTrainConfig(before, { resume: "runs/x", epochs: 3 })).toMatchObject({ epochs: 3 });
    },
  );

  it.each([[null], [{ lr: "damaged" }], [{ fromTheFuture: 1 }]])(
    "names the file when the saved config is %j",
    (damaged) => {
      expect(() => resumeTrainConfig(damaged, { resume: "runs/x" })).toThrow(/the run's config.json: /);
    },
  );
});

describe("the config.json of a resumed run", () => {
  const saved = parseTrainConfig({ experiment: "first", dataset: "folder", dataDir: "photos" });

  it("contains the options that describe the run, and not those of one part of it", () => {
    const given = { epochs: 9, limitTest: 5, dataDir: "moved", threads: 3, logEvery: 7, maxSteps: 4, patience: 2 };
    const now = resumeTrainConfig(saved, { resume: "runs/first", acceptNewData: true, ...given });
    expect(describeResumedRun(saved, now)).toEqual({ ...saved, epochs: 9, limitTest: 5, dataDir: "moved" });
  });

  it("contains a limit that replaces one from the start of the run", () => {
    const limited = { ...saved, maxSteps: 4, patience: 2 };
    const now = resumeTrainConfig(limited, { resume: "runs/first", maxSteps: 8, maxSeconds: 9 });
    expect(describeResumedRun(limited, now)).toEqual({ ...limited, maxSteps: 8 });
  });
});

describe("the name of a run on the user's own images", () => {
  it.each([
    ["folder", "data/my shapes/", "my-shapes"],
    ["folder", "..", "folder"],
    ["folder", "/", "folder"],
    ["csv", "sets/birds.v2.csv", "birds.v2"],
    ["npz", "bloodmnist.npz", "bloodmnist"],
    ["mnist", "somewhere", "mnist"],
    ["folder", "../Ünïcödé – 画像", "Ünïcödé-画像"],
    ["folder", "cafe\u0301", "caf\u00e9"],
    ["folder", "画像", "画像"],
    ["folder", "हिन्दी", "हिन्दी"],
    ["csv", "Größe №2.csv", "Größe-2"],
  ] as const)("contains the name of the folder or file: %s in %s", (dataset, dataDir, name) => {
    const { experiment } = parseTrainConfig({ dataset, dataDir });
    expect(experiment).toBe(`simple-cnn-${name}-ssim-p0.5-seed0`);
    expect(parseTrainConfig({ experiment }).experiment).toBe(experiment);
  });

  it("contains a checksum for a folder whose name has neither letters nor digits, so that two such folders differ", () => {
    const [one, other] = ["🐱🐶", "🐦"].map((dataDir) => parseTrainConfig({ dataset: "folder", dataDir }).experiment);
    expect(one).toMatch(/^simple-cnn-[0-9a-f]{8}-ssim/);
    expect(other).toMatch(/^simple-cnn-[0-9a-f]{8}-ssim/);
    expect(one).not.toBe(other);
  });
});

const RESTRICTED = [
  "resume",
  "acceptNewData",
  "overwrite",
  "nesterov",
  "minLr",
  "plain",
  "experiment",
  "mixup",
  "prototypes",
  "gradAccumSteps",
  "normalization",
  "mean",
  "std",
];

/** Valid values for some of the keys that no other key restricts. */
function anyInput() {
  const free = Object.entries(fieldsOf(TrainConfig)).filter(([key]) => !RESTRICTED.includes(key));
  return fc.record(Object.fromEntries(free.map(([key, field]) => [key, anyValue(field)])), { requiredKeys: [] });
}

function anyValue({
  type,
  const: only,
  enum: choices,
  minimum = 0,
  exclusiveMaximum = 8,
  maximum = type === "integer" ? 1000 : 8,
  default: value,
}: FieldSchema): fc.Arbitrary<unknown> {
  if (only !== undefined) return fc.constant(only);
  if (choices) return fc.constantFrom(...choices);
  if (type === "boolean") return fc.boolean();
  if (type === "integer") return fc.integer({ min: Math.max(1, minimum), max: Math.min(maximum, 1000) });
  if (type === "number")
    return fc.double({ min: Math.max(minimum, 0.01), max: Math.min(exclusiveMaximum, maximum) - 0.01, noNaN: true });
  return fc.constant(value ?? "somewhere");
}
