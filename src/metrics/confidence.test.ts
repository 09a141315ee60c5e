import { describe, expect, it } from "vitest";
import { explainedCase, linearModel } from "../../test/support/explained-case.ts";
import { cat, memory, rand, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import { confidence } from "./confidence.ts";
import { deletionCurve } from "./perturbation-curve.ts";
import { road } from "./road.ts";

describe("confidence", () => {
  it("agrees with the reference: average drop, relative and absolute, increase, gain", () =>
    tidy(() => {
      const { reference, predict, images, maps, labels } = explainedCase();
      const found = confidence(predict, images, maps, labels);
      const near = { rtol: 1e-5, atol: 1e-6 };
      expect(found.full).toBeAllclose(reference.reference("out/prob_full"), near);
      expect(found.masked).toBeAllclose(reference.reference("out/prob_masked"), near);
      expect(found.absoluteDrop).toBeAllclose(reference.reference("out/pgc_drop_in_confidence"), near);
      expect(found.increase).toBeAllclose(reference.reference("out/pgc_increase_in_confidence"), near);
      for (const [name, value] of Object.entries({
        average_drop_pct: found.averageDrop,
        increase_in_confidence_pct: found.increaseInConfidence,
        average_gain_pct: found.averageGain,
      }))
        expect([value * 100]).toBeAllclose(reference.reference(`out/${name}`), near);
    }));

  it("takes the sigmoid of a single logit, whose softmax is always 1", () =>
    tidy(() => {
      const weights = rand([1, 1, 4, 4]).sub(0.3);
      const [predict, images, maps] = [linearModel(weights), rand([5, 1, 4, 4]), rand([5, 4, 4])];
      const labels = [1, 1, 1, 1, 1];
      const found = confidence(predict, images, maps, labels);
      const sigmoid = (x: Tensor) => predict(x).squeeze(1).sigmoid();
      const [full, masked] = [sigmoid(images), sigmoid(images.mul(maps.unsqueeze(1)))];
      expect(found.full).toBeAllclose(full, { rtol: 1e-5 });
      expect(found.drop).toBeAllclose(full.sub(masked).clamp(0).div(full), { rtol: 1e-4, atol: 1e-6 });
      const { curve } = deletionCurve(predict, images, maps, labels, { steps: 2 });
      expect(curve.select(1, 0)).toBeAllclose(full, { rtol: 1e-5 });
      expect(curve.select(1, 2)).toBeAllclose([0.5, 0.5, 0.5, 0.5, 0.5]);
      const { morf } = road(predict, images, maps, labels, { score: "probability", percentiles: [0], noise: 0 });
      expect(morf.squeeze(1)).toBeAllclose(full.neg().add(0.5), { rtol: 1e-4, atol: 1e-6 });
    }));

  it("gives label 0 of a single logit the rest of the sigmoid, as of two logits of which one is zero", () =>
    tidy(() => {
      const weights = rand([1, 1, 4, 4]).sub(0.3);
      const [one, images, maps] = [linearModel(weights), rand([5, 1, 4, 4]), rand([5, 4, 4])];
      const two: typeof one = (x) => cat([one(x).mul(0), one(x)], 1);
      const labels = [0, 1, 0, 1, 1];
      const near = { rtol: 1e-5, atol: 1e-7 };
      const [found, expected] = [one, two].map((predict) => confidence(predict, images, maps, labels)) as [
        ReturnType<typeof confidence>,
        ReturnType<typeof confidence>,
      ];
      for (const name of ["full", "masked", "drop", "increase", "gain"] as const)
        expect(found[name]).toBeAllclose(expected[name], near);
      const curve = (predict: typeof one) => deletionCurve(predict, images, maps, labels, { steps: 3 }).curve;
      expect(curve(one)).toBeAllclose(curve(two), near);
      const logit = road(one, images, maps, labels, { score: "logit", percentiles: [50], noise: 0 }).morf;
      const positive = road(one, images, maps, [1, 1, 1, 1, 1], { score: "logit", percentiles: [50], noise: 0 }).morf;
      const signs = tensor([[-1], [1], [-1], [1], [1]]);
      expect(logit).toBeAllclose(positive.mul(signs), near);
      expect(() => confidence(one, images, maps, [0, 1, 2, 0, 0])).toThrow(/label/);
    }));

  it("refuses an option that it does not know", () => {
    const run = () =>
      confidence((x) => x.flatten(1), zeros([1, 1, 2, 2]), zeros([1, 2, 2]), [0], { batch: 1 } as never);
    expect(run).toThrow(/^confidence: unknown option batch/);
  });

  it("does not depend on the size of the batches, none of which is larger than asked", () =>
    tidy(() => {
      const { predict, images, maps, labels } = explainedCase();
      const whole = confidence(predict, images, maps, labels);
      const sizes: number[] = [];
      const watched = (batch: typeof images) => {
        sizes.push(batch.sizes[0] as number);
        return predict(batch);
      };
      const parts = confidence(watched, images, maps, labels, { batchSize: 3 });
      expect(sizes).toEqual([3, 3, 2]);
      expect(parts.masked).toBeAllclose(whole.masked, { rtol: 1e-6 });
      expect(parts.averageDrop).toBeAllclose(whole.averageDrop, { rtol: 1e-6 });
    }));

  it("sees no change by a map of ones, and the image of zeros by a dead one", () =>
    tidy(() => {
      const { predict, images, labels } = explainedCase();
      const ones = confidence(predict, images, zeros([4, 28, 28]).add(1), labels);
      expect([ones.averageDrop, ones.increaseInConfidence, ones.averageGain]).toEqual([0, 0, 0]);
      const dead = confidence(predict, images, zeros([4, 28, 28]), labels);
      const nothing = confidence(predict, zeros([4, 1, 28, 28]), rand([4, 28, 28]), labels);
      expect(dead.masked).toBeAllclose(nothing.full);
    }));

  it("drops nothing from probability 0 and gains nothing above 1", () =>
    tidy(() => {
      const predict = linearModel(tensor([[[[2000]]], [[[0]]]]));
      const found = confidence(predict, tensor([[[[1]]], [[[1]]]]), zeros([2, 1, 1]), [0, 1]);
      expect(found.full).toBeAllclose([1, 0]);
      expect(found.drop).toBeAllclose([0.5, 0]);
      expect(found.gain).toBeAllclose([0, 0.5]);
      expect(found.increase).toBeAllclose([0, 1]);
    }));

  it("is NaN for a map with NaN, and in the means", () =>
    tidy(() => {
      const { predict, images, maps, labels } = explainedCase();
      const clean = confidence(predict, images, maps, labels);
      const broken = maps.clone();
      broken.select(0, 1).select(0, 3).fill_(Number.NaN);
      const found = confidence(predict, images, broken, labels);
      for (const name of ["masked", "drop", "absoluteDrop", "increase", "gain"] as const) {
        expect(Array.from(found[name].isnan().data(), Number)).toEqual([0, 1, 0, 0]);
        expect(found[name].select(0, 2)).toBeAllclose(clean[name].select(0, 2));
      }
      expect([found.averageDrop, found.increaseInConfidence]).toEqual([Number.NaN, Number.NaN]);
    }));

  it("records no graph, and leaves nothing but its result", () => {
    tidy(() => {
      const { predict, images, maps, labels } = explainedCase();
      images.requiresGrad = true;
      maps.requiresGrad = true;
      tidy(() => confidence(predict, images, maps, labels));
      const { liveTensors } = memory();
      const found = confidence(predict, images, maps, labels);
      expect(memory().liveTensors).toBe(liveTensors + 6);
      expect(found.drop.requiresGrad).toBe(false);
    });
  });
});
