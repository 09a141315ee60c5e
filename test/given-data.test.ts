import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { TrainConfigInput } from "../src/config/index.ts";
import { type DataRecord, listedIn } from "../src/data/record/data-record.ts";
import type { SplitName } from "../src/data/splits/split.ts";
import { type RunData, readRunData } from "../src/train/data/run-data.ts";
import { evaluate, type TrainEvent, type TrainOptions, train } from "../src/train.ts";
import { joinSplits, noiseSplit, rowsOf } from "./support/noise-split.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const output = temporaryFolder("given");

const SMALL: TrainConfigInput = {
  ...{ output, plain: true, figures: false, threads: 1, amp: "off", batchSize: 32, epochs: 1, valImages: 16 },
};
const TRAIN = noiseSplit(1, 64);
const [VAL, TEST] = [noiseSplit(2, 20), noiseSplit(3, 20)];

async function run(config: TrainConfigInput, data: TrainOptions["data"]) {
  const warnings: string[] = [];
  const onEvent = (event: TrainEvent) => void (event.type === "warning" && warnings.push(event.message));
  const result = await train({ ...SMALL, ...config }, { data, onEvent } as TrainOptions);
  return { result, leaks: warnings.filter((message) => /left out/.test(message)) };
}

const recordOf = async (experiment: string) => ((await readRunData(join(output, experiment))) as RunData).record;
const contents = (record: DataRecord, name: SplitName) =>
  listedIn({ ...record.splits[name] } as never).map(({ hash }) => hash);
const shared = (one: readonly string[], other: readonly string[]) => one.filter((hash) => other.includes(hash));

describe("images that a program passes without paths", () => {
  it("are not used to evaluate a run that was trained on them, if it continues with other images", async () => {
    await run({ experiment: "leaks" }, { train: TRAIN, val: VAL, test: TEST });
    const fresh = noiseSplit(4, 24);
    const other = {
      train: joinSplits(TRAIN, fresh),
      val: joinSplits(VAL, rowsOf(TRAIN, 0, 3), rowsOf(fresh, 0, 2)),
      test: joinSplits(TEST, rowsOf(TRAIN, 10, 14), rowsOf(VAL, 0, 2), rowsOf(fresh, 5, 6)),
    };
    const { result, leaks } = await run({ experiment: "leaks", resume: true, acceptNewData: true, epochs: 2 }, other);
    expect(leaks).toEqual([
      "left out: 5 val images that the run was trained or selected on",
      "left out: 7 test images that the run was trained or selected on",
    ]);
    expect(result.test?.images).toBe(20);
    const record = await recordOf("leaks");
    expect(record.leftOut?.map(({ path }) => path)).toEqual(
      [20, 21, 22, 23, 24].map((i) => `val[${i}]`).concat([20, 21, 22, 23, 24, 25, 26].map((i) => `test[${i}]`)),
    );
    // From then on the same images do not count as changed, and the leaked images stay left out.
    const again = await run({ experiment: "leaks", resume: true, epochs: 3 }, other);
    expect([again.leaks, again.result.test?.images]).toEqual([[], 20]);
    expect((await evaluate(join(output, "leaks"), { data: other })).test.images).toBe(20);
    // Images that the run used before it continued with other images are also remembered.
    const third = { train: fresh, val: VAL, test: joinSplits(TEST, rowsOf(TRAIN, 0, 9)) };
    const judged = await evaluate(join(output, "leaks"), { data: third, acceptNewData: true });
    expect(judged.test.images).toBe(20);
  });

  it("stay in training or validation if a run holds out its validation images itself", async () => {
    await run({ experiment: "held" }, { train: TRAIN, test: TEST });
    const before = await recordOf("held");
    expect(before.splits.val?.images).toBe(16);
    const more = { train: joinSplits(noiseSplit(5, 40), TRAIN), test: TEST };
    await run({ experiment: "held", resume: true, acceptNewData: true, epochs: 2 }, more);
    const after = await recordOf("held");
    expect(shared(contents(after, "val"), contents(before, "train"))).toEqual([]);
    expect(shared(contents(after, "train"), contents(before, "val"))).toEqual([]);
    expect(contents(after, "val")).toEqual(expect.arrayContaining(contents(before, "val")));
    expect(after.splits.val?.images).toBeGreaterThan(16);
    expect(Number(after.splits.val?.images) + Number(after.splits.train?.images)).toBe(104);
    expect((await run({ experiment: "held", resume: true, epochs: 3 }, more)).result.interrupted).toBe(false);
    expect(await recordOf("held")).toEqual(after);
  });

  it("are refused if no image is left for evaluation", async () => {
    await run({ experiment: "nothing" }, { train: TRAIN, val: VAL, test: TEST });
    const data = { train: TRAIN, val: VAL, test: rowsOf(TRAIN, 0, 30) };
    await expect(evaluate(join(output, "nothing"), { data, acceptNewData: true })).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/no image of test is left .*left out: 30 test images/),
    });
  });
});

describe("splits that a program gives", () => {
  it("may be without test images, and name their validation images in full", async () => {
    const events: TrainEvent[] = [];
    const { test, interrupted, endedBy, best } = await train(
      { ...SMALL, experiment: "untested" },
      { data: { train: TRAIN, validation: VAL }, onEvent: (event) => void events.push(event) },
    );
    expect({ test, interrupted, endedBy }).toEqual({ test: null, interrupted: false, endedBy: "epochs" });
    expect(best).toContain("best.safetensors");
    expect(events.find(({ type }) => type === "start")).toMatchObject({ valImages: 20, testImages: 0 });
    expect((await recordOf("untested")).splits.test).toBeUndefined();
    await expect(evaluate(join(output, "untested"), { data: { train: TRAIN, validation: VAL } })).rejects.toMatchObject(
      { code: "E_DATA", message: expect.stringMatching(/gave it no test images: give them now/) },
    );
    const later = { train: TRAIN, validation: VAL, test: TEST };
    expect((await evaluate(join(output, "untested"), { data: later, acceptNewData: true })).test.images).toBe(20);
  });

  it("are normalised as the training images are, or as the config says", async () => {
    const other = { ...TEST, normalization: { mean: [0.1], std: [3] } };
    const same = await run({ experiment: "normalised" }, { train: TRAIN, val: VAL, test: TEST });
    const given = await run({ experiment: "by-train" }, { train: TRAIN, val: VAL, test: other });
    expect(given.result.test).toEqual(same.result.test);
    await run({ experiment: "by-config", mean: [0.25], std: [0.5] }, { train: TRAIN, val: VAL, test: TEST });
    expect((await recordOf("by-config")).normalization).toEqual({ mean: [0.25], std: [0.5] });
  });

  it("may be a data set as loadDataset returns it", async () => {
    const { classNames, numClasses, normalization } = TRAIN;
    const dataset = { name: "mnist", classNames, numClasses, normalization, train: TRAIN, val: VAL, test: TEST };
    expect((await run({ experiment: "dataset" }, dataset as TrainOptions["data"])).result.test?.images).toBe(20);
  });

  it("are not combined with options that name other images", async () => {
    const data = { train: TRAIN, test: TEST };
    for (const [config, message] of [
      [{ dataDir: "photos" }, /dataDir and the option data of train contradict/],
      [{ plain: false, prototypes: "clean" }, /prototypes "clean" and the option data/],
      [{ imageSize: 32 }, /imageSize is for .*, and the images were given/],
    ] as const)
      await expect(run({ ...config, experiment: "combined" }, data)).rejects.toMatchObject({
        code: "E_CONFIG",
        message: expect.stringMatching(message),
      });
  });

  const wide = { ...VAL, classNames: ["a", "b", "c"], numClasses: 3 };
  it.each<[string, unknown, string, RegExp]>([
    ["nothing", null, "E_ARGUMENT", /data must be an object|data/],
    ["no training images", { val: VAL, test: TEST }, "E_ARGUMENT", /data: train/],
    ["an unknown split", { train: TRAIN, tests: TEST }, "E_ARGUMENT", /unknown option tests.*test/],
    ["validation images twice", { train: TRAIN, val: VAL, validation: VAL }, "E_ARGUMENT", /val is another name/],
    ["other classes", { train: TRAIN, val: wide, test: TEST }, "E_ARGUMENT", /val has images .* 3 classes .*and train/],
    ["a split without images", { train: TRAIN, val: rowsOf(VAL, 0, 0), test: TEST }, "E_DATA", /val has no images/],
    ["images in place of a split", { train: TRAIN.images }, "E_ARGUMENT", /data: train/],
  ])("are refused with %s", async (_, data, code, message) => {
    await expect(run({ experiment: "bad" }, data as never)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });
});
