import { cpSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { TrainConfigInput } from "../src/config/index.ts";
import { readSafetensorsMetadata } from "../src/io/index.ts";
import { tensor } from "../src/tensor/index.ts";
import { evaluate, type TrainEvent, train } from "../src/train.ts";
import { noiseSplit } from "./support/noise-split.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const output = temporaryFolder("rejudge");

const DATA = { train: noiseSplit(1, 64), val: noiseSplit(2, 30), test: noiseSplit(3, 20) };
const OTHER_VAL = { ...DATA, val: noiseSplit(4, 30, 0.8) };

const SMALL: TrainConfigInput = {
  ...{ output, plain: true, figures: false, threads: 1, amp: "off", batchSize: 16, epochs: 2, logEvery: 1, lr: 3e-3 },
};

async function run(config: TrainConfigInput, data: Parameters<typeof train>[1] = {}) {
  const warnings: string[] = [];
  const onEvent = (event: TrainEvent) => void (event.type === "warning" && warnings.push(event.message));
  const result = await train({ ...SMALL, ...config }, { ...data, onEvent });
  return { result, warnings: warnings.filter((message) => message.includes("the best so far")) };
}
const goOn = (experiment: string, data: object, more: TrainConfigInput = {}) =>
  run({ experiment, resume: true, ...more }, { data: data as typeof DATA });
const judgements = (experiment: string) =>
  readFileSync(join(output, experiment, "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))
    .filter(({ kind }) => kind === "rejudged");
const best = (experiment: string) => join(output, experiment, "checkpoints", "best.safetensors");

describe("a run that continues with other validation images", () => {
  it("validates its best epoch again with them, once, and compares later epochs with the result", async () => {
    const { result: before } = await run({ experiment: "others" }, { data: DATA });
    const { result, warnings } = await goOn("others", OTHER_VAL, { acceptNewData: true, epochs: 4 });
    const [row, ...more] = judgements("others");
    expect(more).toEqual([]);
    expect(row).toMatchObject({ epoch: before.bestEpoch, after: 2, step: 8, otherImages: true });
    // Most of the new images have the other class's label, so that a model that was good on the old images is bad on them.
    const old = before.history.find(({ epoch }) => epoch === before.bestEpoch)?.val;
    expect(row.val.accuracy).toBeLessThan(0.5);
    expect(old?.accuracy).toBeGreaterThan(0.5);
    expect(warnings).toEqual([
      expect.stringContaining(
        `the validation images have changed: epoch ${before.bestEpoch}, the best so far, was validated again on them (accuracy ${(100 * row.val.accuracy).toFixed(2)} %, on the earlier ones`,
      ),
    ]);
    expect(result.rejudged).toMatchObject({ epoch: before.bestEpoch, after: 2 });
    let shown = row.val;
    for (const { epoch, val, bestSoFar } of result.history.filter(({ epoch }) => epoch > 2)) {
      const better =
        val.accuracy > shown.accuracy || (val.accuracy === shown.accuracy && val.crossEntropy < shown.crossEntropy);
      expect([epoch, bestSoFar]).toEqual([epoch, better]);
      if (better) shown = val;
    }
    expect(Number((await readSafetensorsMetadata(best("others"))).epoch)).toBe(result.bestEpoch);
    // From then on, the same images do not count as changed.
    const again = await goOn("others", OTHER_VAL, { epochs: 5 });
    expect(again.warnings).toEqual([]);
    expect(judgements("others")).toHaveLength(1);
    expect(again.result.rejudged).toMatchObject({ epoch: before.bestEpoch, step: 8 });
  });

  it("gets the results that an evaluation of the same weights with these images gives", async () => {
    await run({ experiment: "numbers" }, { data: DATA });
    cpSync(join(output, "numbers"), join(output, "copy"), { recursive: true });
    const data = { ...DATA, test: OTHER_VAL.val };
    const { test } = await evaluate(join(output, "copy"), { data, acceptNewData: true });
    const { result } = await goOn("numbers", OTHER_VAL, { acceptNewData: true }); // the run is complete, so no step is taken
    expect(result).toMatchObject({ interrupted: false, step: 8, bestEpoch: result.rejudged?.epoch });
    expect(result.rejudged?.val).toEqual({ ...test, split: "val" });
  });

  it("continues with the same weights as without that validation", async () => {
    const steps = async (experiment: string, data: object, more: TrainConfigInput) => {
      await run({ experiment, dropout: 0.2, modelEma: true }, { data: DATA });
      await goOn(experiment, data, { dropout: 0.2, modelEma: true, epochs: 3, ...more });
      return readFileSync(join(output, experiment, "checkpoints", "last.safetensors")).subarray(-100_000);
    };
    const plain = await steps("unjudged", DATA, {});
    expect((await steps("judged", OTHER_VAL, { acceptNewData: true })).equals(plain)).toBe(true);
    expect(judgements("judged")).toHaveLength(1);
  });

  it("counts patience from the start, so that it trains even if it had ended with the earlier images", async () => {
    const config = { experiment: "patient", epochs: 8, patience: 1, lr: 0.2 } as const;
    const { result: before } = await run(config, { data: DATA });
    expect(before.endedBy).toBe("patience");
    const { result } = await goOn("patient", OTHER_VAL, { ...config, acceptNewData: true });
    expect(result.history.length).toBeGreaterThan(before.history.length);
  });
});

describe("a run that continues", () => {
  it("with other training images and the same validation images validates nothing again", async () => {
    await run({ experiment: "training" }, { data: DATA });
    const { val } = DATA;
    const reversed = Int32Array.from({ length: 30 }, (_, i) => 29 - i);
    const index = tensor(reversed, { dtype: "int32" });
    const turned = { ...val, images: val.images.indexSelect(0, index), labels: val.labels.indexSelect(0, index) };
    const data = { ...DATA, train: noiseSplit(9, 64), val: turned };
    const { warnings } = await goOn("training", data, { acceptNewData: true, epochs: 3 });
    expect([warnings, judgements("training")]).toEqual([[], []]);
  });

  it.each([
    ["other", OTHER_VAL, { acceptNewData: true }],
    ["equal", DATA, {}],
  ])(
    "with %s validation images and without its best weights chooses among the next epochs",
    async (name, data, more) => {
      const experiment = `lost-${name}`;
      const { result: before } = await run({ experiment }, { data: DATA });
      rmSync(best(experiment));
      const complete = await goOn(experiment, data, more);
      expect(complete.result).toMatchObject({ bestEpoch: 0, best: null, interrupted: false });
      expect(complete.warnings).toEqual([
        expect.stringMatching(/epoch \d, the best so far, cannot be validated again .*does not exist/),
      ]);
      expect(complete.warnings[0]?.startsWith("the validation images have changed")).toBe(name === "other");
      const { result, warnings } = await goOn(experiment, data, { ...more, epochs: 4 });
      expect(warnings).toEqual([]);
      expect(result.history.find(({ epoch }) => epoch === 3)?.bestSoFar).toBe(true);
      expect(result.bestEpoch).toBeGreaterThan(before.history.length);
      expect(Number((await readSafetensorsMetadata(best(experiment))).epoch)).toBe(result.bestEpoch);
    },
  );
});
