import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { memory, noGrad, type Tensor, tensor } from "../src/tensor/index.ts";
import { evaluateSpurious, train } from "../src/train.ts";
import { spuriousRecord } from "../src/workflows/evaluate/spurious.ts";
import { openRun } from "../src/workflows/loaded-model.ts";
import { cli } from "./support/cli.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const output = temporaryFolder("spurious");

const SMALL = {
  output,
  limitTrain: 640,
  valImages: 60,
  limitTest: 300,
  epochs: 1,
  figures: false,
  plain: true,
} as const;
const at = (name: string) => join(output, name);

beforeAll(async () => {
  await train({ ...SMALL, dataset: "decoy-mnist", experiment: "decoy", threads: 1 });
  await train({ ...SMALL, dataset: "color-mnist", experiment: "color", threads: 1 });
  await train({ ...SMALL, experiment: "clean", maxSteps: 1 });
}, 120_000);

describe("evaluateSpurious", () => {
  it("evaluates a run on decoys on four sets; the random one is its own test set", async () => {
    const before = memory().liveTensors;
    const record = await evaluateSpurious(at("decoy"));
    expect(memory().liveTensors).toBe(before);
    if (record === null) throw new Error("no record");
    const { out } = await cli("evaluate", at("decoy"), "--json", "--limit", "10", "--steps", "2", "--no-randomise");
    const evaluation = JSON.parse(out);
    expect(record.accuracy.random).toBeCloseTo(evaluation.classification.accuracy, 9);
    expect(evaluation.spurious).toEqual(record);
    expect(record.images).toBe(300);
    for (const set of ["aligned", "random", "clean", "adversarial"] as const)
      expect(record.worstClass[set]).toBeLessThanOrEqual(record.accuracy[set]);
    expect(record.accuracy.aligned).toBeGreaterThan(record.accuracy.adversarial);
    expect(record.energyInPatch).toBeGreaterThan(0);
    expect(record.wrongReason?.score).toBeLessThanOrEqual(1);
  });

  it("has no position for colours, whose adversarial set is its own test set", async () => {
    const record = await evaluateSpurious(at("color"));
    expect(record).toMatchObject({ energyInPatch: null, wrongReason: null });
    const subject = await openRun(at("color"), "test");
    const { labels, images } = subject.data.test;
    expect(images.sizes[0]).toBe(300);
    expect(labels.numel).toBe(300);
    subject.dispose();
  });

  it("is null for a data set without a cue", async () => {
    expect(await evaluateSpurious(at("clean"))).toBeNull();
  });

  it.each([
    [at("nowhere"), {}, /nowhere/],
    [at("decoy"), { batchSize: 0 }, /batchSize must be an integer >= 1/],
    [at("decoy"), null, /options must be an object/],
  ] as const)("refuses %s with %o", async (run, options, message) => {
    await expect(evaluateSpurious(run, options as never)).rejects.toThrow(message);
  });

  it("stops at a signal", async () => {
    const stop = AbortSignal.abort(new Error("enough"));
    await expect(evaluateSpurious(at("decoy"), { signal: stop })).rejects.toThrow("enough");
  });
});

describe("a model that reads only the corners", () => {
  /** Scores a class by how close the brightest corner pixel is to the class's grey. */
  function readCorners(x: Tensor, { mean, std }: { mean: readonly number[]; std: readonly number[] }): Tensor {
    const grey = x
      .mul(std[0] as number)
      .add(mean[0] as number)
      .mul(255);
    const corners = [0, 27].flatMap((top) =>
      [0, 27].map((left) => grey.narrow(2, top, 1).narrow(3, left, 1).flatten()),
    );
    const brightest = corners.reduce((a, b) => a.maximum(b)).unsqueeze(1); // (B, 1)
    const classes = tensor([Array.from({ length: 10 }, (_, c) => 255 - 25 * c)]);
    return brightest.sub(classes).abs().neg();
  }

  it("is right on all aligned images, on one in ten random ones, and on no adversarial one", async () => {
    const subject = await openRun(at("decoy"), "test");
    const { normalization } = subject.data.test;
    const model = subject.model as unknown as { forward: (x: Tensor) => Tensor; closedFormHead: () => unknown };
    const own = model.forward.bind(subject.model);
    model.closedFormHead = () => null; // the replaced logits do not come from the network's head
    // The network runs, because its maps need it, but its logits are replaced.
    model.forward = (x) =>
      own(x)
        .mul(0)
        .add(noGrad(() => readCorners(x.to("float32"), normalization)));
    const record = await spuriousRecord({ ...subject, amp: false } as never);
    model.forward = own;
    expect(record?.accuracy.aligned).toBe(1);
    expect(record?.worstClass.aligned).toBe(1);
    expect(record?.accuracy.adversarial).toBe(0);
    expect(record?.accuracy.clean).toBeLessThan(0.3);
    expect(record).toMatchObject({ energyInPatch: null, wrongReason: null }); // every map is dead
    subject.dispose();
  });
});

describe("batch-cam evaluate", () => {
  it("prints how much a run relies on its cue, and saves it in evaluation.json", async () => {
    const { code, out, err } = await cli("evaluate", at("decoy"), "--limit", "10", "--steps", "2", "--no-randomise");
    expect([code, err]).toEqual([0, ""]);
    expect(out).toContain("how much the model relies on the patch (rrr), 300 test images");
    expect(out).toMatch(/^adversarial +\d+\.\d +\d+\.\d$/m);
    expect(out).toMatch(/of their sum is on the patch, which covers 2\.0% of the image; wrong-reason score \d/);
    const kept = JSON.parse(readFileSync(join(at("decoy"), "evaluation.json"), "utf8"));
    expect(kept.definitions.adversarial).toMatch(/class 9 − y/);
  });

  it("does not mention cues for a run without one", async () => {
    const { out } = await cli("evaluate", at("clean"), "--limit", "10", "--steps", "2", "--no-randomise");
    expect(out).not.toContain("leans");
  });
});
