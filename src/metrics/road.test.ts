import { describe, expect, it } from "vitest";
import { explainedCase, linearModel } from "../../test/support/explained-case.ts";
import {
  arange,
  getRngState,
  manualSeed,
  memory,
  ones,
  rand,
  randn,
  type Tensor,
  tensor,
  tidy,
  zeros,
} from "../tensor/index.ts";
import type { Predict } from "./predict.ts";
import { road } from "./road.ts";

describe("road", () => {
  it("agrees with grad-cam's MoRF and LeRF at each percentile", () =>
    tidy(() => {
      const { reference, predict, images, maps, labels } = explainedCase();
      const percentiles = [20, 50, 80];
      const { morf, lerf, combined } = road(predict, images, maps, labels, { percentiles, noise: 0 });
      const near = { rtol: 1e-5, atol: 1e-6 };
      for (const [index, percentile] of percentiles.entries()) {
        expect(morf.select(1, index)).toBeAllclose(reference.tensor(`out/road_morf_${percentile}/score_diff`), near);
        expect(lerf.select(1, index)).toBeAllclose(reference.tensor(`out/road_lerf_${percentile}/score_diff`), near);
      }
      expect(combined).toBeAllclose(lerf.mean(1).sub(morf.mean(1)).div(2));
    }));

  it("takes the nine deciles and noise 0.01 by default, near what it gives without", () =>
    tidy(() => {
      const { predict, images, maps, labels } = explainedCase();
      const found = road(predict, images, maps, labels);
      expect([found.morf.shape, found.lerf.shape, found.combined.shape]).toEqual([[4, 9], [4, 9], [4]]);
      const percentiles = [10, 20, 30, 40, 50, 60, 70, 80, 90];
      const quiet = road(predict, images, maps, labels, { percentiles, noise: 0 });
      expect(found.morf.equal(quiet.morf)).toBe(false);
      expect(found.morf).toBeAllclose(quiet.morf, { atol: 0.05 });
    }));

  it("gives the same whatever the batches and the thread's generator, which it leaves as it was", () =>
    tidy(() => {
      const { predict, images, maps, labels } = explainedCase();
      manualSeed(1);
      const first = road(predict, images, maps, labels, { seed: 5 });
      manualSeed(2);
      const before = getRngState();
      const second = road(predict, images, maps, labels, { seed: 5, batchSize: 7 });
      expect(getRngState().equal(before)).toBe(true);
      expect(second.combined).toBeAllclose(first.combined, { rtol: 1e-4, atol: 1e-6 });
      const other = road(predict, images, maps, labels, { seed: 6 });
      expect(other.combined.equal(first.combined)).toBe(false);
    }));

  it("compares logits, or probabilities", () =>
    tidy(() => {
      const { predict, images, maps, labels } = explainedCase();
      const sure = (x: Tensor) => predict(x).softmax(1);
      const options = { percentiles: [50], noise: 0 };
      const probabilities = road(predict, images, maps, labels, { ...options, score: "probability" });
      expect(probabilities.morf).toBeAllclose(road(sure, images, maps, labels, options).morf, {
        rtol: 1e-4,
        atol: 1e-6,
      });
    }));

  it("is positive for a map that knows the weights, opposite for its negative, zero for a model that ignores the image", () =>
    tidy(() => {
      manualSeed(3);
      const [images, weights] = [randn([1, 1, 16, 16]), randn([1, 1, 16, 16]).abs()];
      // The evidence for the class at each pixel, most of which imputation removes.
      const evidence = images.mul(weights).select(1, 0);
      const predict = linearModel(weights);
      const score = (map: Tensor) => road(predict, images, map, [1], { noise: 0 }).combined.item();
      expect(score(evidence)).toBeGreaterThan(0);
      expect(score(evidence.neg().add(1))).toBeAllclose(-score(evidence), { rtol: 0.05 });
      const blind = road((x) => ones([x.sizes[0] as number, 2]), images, evidence, [1]);
      expect(blind.combined.item()).toBe(0);
    }));

  it("removes the same share of a constant map in both orders, the same pixels, so that the two cancel", () =>
    tidy(() => {
      const { predict, images, labels } = explainedCase();
      for (const maps of [zeros([4, 28, 28]), ones([4, 28, 28])]) {
        const options = { noise: 0, percentiles: [30, 80] };
        const { morf, lerf, combined } = road(predict, images, maps, labels, options);
        expect(lerf).toBeAllclose(morf, { rtol: 1e-5, atol: 1e-6 });
        expect(combined).toBeAllclose([0, 0, 0, 0], { atol: 1e-6 });
        expect(morf.equal(road(predict, images, maps, labels, { ...options, seed: 1 }).morf)).toBe(false);
      }
    }));

  it("removes as many pixels of a map with equal values as of another, in an order that favours no place", () =>
    tidy(() => {
      const side = 20;
      const maps = zeros([1, side, side]);
      maps
        .select(0, 0)
        .select(0, side - 1)
        .fill_(1);
      // A removed pixel always changes its value, because the mean of its neighbours never equals it. So removed pixels
      // can be counted.
      const images = arange(side * side)
        .to("float64")
        .sin()
        .mul(100)
        .reshape([1, 1, side, side]);
      const removedIn = new Map<number, Uint8Array>();
      const watched: Predict = (x) => {
        const changed = x.sub(images).abs().gt(1e-9).flatten(1);
        for (const [version, row] of changed.unbind(0).entries()) removedIn.set(version, row.data() as Uint8Array);
        return ones([x.sizes[0] as number, 2]);
      };
      road(watched, images, maps, [0], { percentiles: [50, 90], noise: 0 });
      const count = (values: Uint8Array) => values.reduce((sum, value) => sum + value, 0);
      expect([0, 1, 2, 3, 4].map((version) => count(removedIn.get(version) as Uint8Array))).toEqual([
        0, 200, 40, 200, 40,
      ]);
      const morf = removedIn.get(1) as Uint8Array;
      expect(count(morf.subarray(side * (side - 1)))).toBe(side); // the last row has the largest values
      const upper = count(morf.subarray(0, side * 9));
      expect(upper).toBeGreaterThan(60); // about half of the remaining 180
      expect(upper).toBeLessThan(115);
    }));

  it("compares maps by their ranks: their scale and offset do not matter", () =>
    tidy(() => {
      const { predict, images, maps, labels } = explainedCase();
      const rectified = maps.sub(0.3).relu(); // maps with many zeros
      const expected = road(predict, images, rectified, labels);
      const others = [rectified.mul(1e-6), rectified.mul(1e6), rectified.mul(2 ** -100), rectified.square()];
      for (const other of [...others, rectified.to("float64").add(7)]) {
        const found = road(predict, images, other, labels);
        expect(found.morf).toBeAllclose(expected.morf, { rtol: 0, atol: 1e-6 });
        expect(found.lerf).toBeAllclose(expected.lerf, { rtol: 0, atol: 1e-6 });
      }
    }));

  it("gives each image the same alone and in any batch, ties and noise included", () =>
    tidy(() => {
      const { predict, images, maps, labels } = explainedCase();
      const rectified = maps.sub(0.3).relu();
      const classes = Array.from(labels.data() as Int32Array);
      const whole = road(predict, images, rectified, classes).combined;
      for (const order of [[3, 2, 1, 0], [1], [2, 0], [0, 3, 1]]) {
        const rows = tensor(order, { dtype: "int64" });
        const own = order.map((row) => classes[row] as number);
        const some = road(predict, images.indexSelect(0, rows), rectified.indexSelect(0, rows), own);
        expect(some.combined).toBeAllclose(whole.indexSelect(0, rows), { rtol: 0, atol: 1e-6 });
      }
    }));

  it("is NaN for a map with NaN alone", () =>
    tidy(() => {
      const { predict, images, maps, labels } = explainedCase();
      const broken = maps.clone();
      broken.select(0, 3).select(0, 9).fill_(Number.NaN);
      const { morf, combined } = road(predict, images, broken, labels, { percentiles: [50] });
      expect(Array.from(combined.isnan().data(), Number)).toEqual([0, 0, 0, 1]);
      expect(Array.from(morf.isnan().data(), Number)).toEqual([0, 0, 0, 1]);
    }));

  it("takes maps of any dtype, and leaves nothing but its result", () =>
    tidy(() => {
      const { predict, images, maps, labels } = explainedCase();
      const options = { noise: 0, percentiles: [20, 80] };
      const expected = road(predict, images, maps, labels, options).morf;
      expect(road(predict, images, maps.to("float64"), labels, options).morf).toBeAllclose(expected, {
        rtol: 1e-5,
        atol: 1e-6,
      });
      const bytes = maps.mul(255).round();
      const wide = road(predict, images, bytes, labels, options);
      const { liveTensors } = memory();
      const narrow = road(predict, images, bytes.to("uint8"), labels, options);
      expect(memory().liveTensors).toBe(liveTensors + 4);
      expect(narrow.combined.equal(wide.combined)).toBe(true);
    }));

  it.each<[string, unknown, string, RegExp]>([
    ["no percentile", { percentiles: [] }, "E_ARGUMENT", /percentiles must be 1 to 1000 numbers, got 0/],
    ["a percentile above 100", { percentiles: [10, 101] }, "E_ARGUMENT", /percentile 1 must be in \[0, 100\], got 101/],
    ["a percentile that is NaN", { percentiles: [Number.NaN] }, "E_ARGUMENT", /percentile 0 must be in/],
    ["one number for a list", { percentiles: 50 }, "E_ARGUMENT", /percentiles must be a list of numbers/],
    ["another score", { score: "loss" }, "E_ARGUMENT", /score: expected "logit" or "probability", got "loss"/],
    ["negative noise", { noise: -0.1 }, "E_ARGUMENT", /noise must be a finite number >= 0, got -0.1/],
    ["an unknown option", { percentile: [10] }, "E_ARGUMENT", /unknown option percentile; did you mean percentiles\?/],
    ["a seed that is none", { seed: "x" }, "E_ARGUMENT", /seed must be an integer >= 0, got "x"/],
  ])("refuses %s", (_, options, code, message) => {
    const predict = linearModel(zeros([2, 1, 4, 4]));
    const run = () => tidy(() => road(predict, rand([2, 1, 4, 4]), rand([2, 4, 4]), [0, 1], options as never));
    expect(run).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
    expect(run).toThrow(/^road: /);
  });
});
