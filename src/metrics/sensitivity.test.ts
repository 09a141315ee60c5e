import { describe, expect, it } from "vitest";
import { explainedCase } from "../../test/support/explained-case.ts";
import { explain } from "../cam/index.ts";
import { Conv2d, Linear, Module } from "../nn/index.ts";
import {
  getRngState,
  keep,
  manualSeed,
  memory,
  ones,
  rand,
  type Tensor,
  tensor,
  tidy,
  zeros,
} from "../tensor/index.ts";
import { type Explain, maxSensitivity } from "./sensitivity.ts";

const sums: Explain = (images) => images.sum([1]);

describe("maxSensitivity", () => {
  it("is the largest relative change over perturbations within the radius", () =>
    tidy(() => {
      const seen: Tensor[] = [];
      const images = rand([3, 2, 4, 4]).add(1);
      const watched: Explain = (batch) => {
        seen.push(keep(batch.clone()));
        return sums(batch, batch);
      };
      const found = maxSensitivity(watched, images, { samples: 5, radius: 0.1 });
      const [clean, noisy] = seen as [Tensor, Tensor];
      expect(clean.equal(images)).toBe(true);
      const change = noisy.reshape([3, 5, 2, 4, 4]).sub(images.unsqueeze(1));
      expect(change.abs().max().item()).toBeLessThanOrEqual(0.1 + 1e-6);
      expect(change.abs().max().item()).toBeGreaterThan(0.09);
      const distances = change.sum([2]).flatten(2).norm([2]); // (3, 5)
      expect(found).toBeAllclose(distances.amax([1]).div(images.sum([1]).flatten(1).norm([1])), { rtol: 1e-4 });
      for (const made of seen) made.dispose();
    }));

  it("does not depend on the batches or the thread's generator, which it leaves as it was, but on its seed", () =>
    tidy(() => {
      const images = rand([3, 1, 5, 5]);
      manualSeed(1);
      const whole = maxSensitivity(sums, images, { samples: 4 });
      manualSeed(2);
      const before = getRngState();
      expect(maxSensitivity(sums, images, { samples: 4, batchSize: 5 })).toBeAllclose(whole, { rtol: 1e-6 });
      expect(getRngState().equal(before)).toBe(true);
      expect(maxSensitivity(sums, images, { samples: 4, seed: 1 }).equal(whole)).toBe(false);
    }));

  it("gives each image the same alone and in any batch", () =>
    tidy(() => {
      manualSeed(4);
      const images = rand([4, 1, 5, 5]);
      const whole = maxSensitivity(sums, images, { samples: 3 });
      for (const order of [[3, 2, 1, 0], [1], [2, 0]]) {
        const rows = tensor(order, { dtype: "int64" });
        const some = maxSensitivity(sums, images.indexSelect(0, rows), { samples: 3 });
        expect(some).toBeAllclose(whole.indexSelect(0, rows), { rtol: 1e-6, atol: 0 });
      }
    }));

  it.each(["SmoothGrad", "SmoothGradCAM++", "IntegratedGradients", "GradCAM"])(
    "tends to 0 with the radius for %s of a smooth network",
    (method) =>
      tidy(() => {
        manualSeed(6);
        const model = new Smooth();
        const images = rand([5, 1, 9, 9]);
        const explained: Explain = (x) => explain(model, x, { method, layer: "conv", targets: 1, steps: 8 }).maps;
        const options = { samples: 3, batchSize: 4 };
        const [wide, narrow] = [1e-2, 1e-5].map((radius) => maxSensitivity(explained, images, { ...options, radius }));
        expect(narrow?.max().item()).toBeLessThan(1e-3);
        expect(narrow?.max().item()).toBeLessThan((wide?.max().item() as number) / 20);
      }),
  );

  class Smooth extends Module {
    readonly conv = new Conv2d(1, 4, 3);
    readonly fc = new Linear(4, 2);
    override forward(x: Tensor): Tensor {
      return this.fc.run(this.conv.run(x).tanh().mean([2, 3]).mul(3).tanh());
    }
  }

  it("takes perturbations in place of draws", () =>
    tidy(() => {
      const images = rand([2, 1, 3, 3]);
      const perturbations = rand([4, 2, 1, 3, 3]).sub(0.5);
      const expected = perturbations
        .sum([2])
        .flatten(2)
        .norm([2])
        .amax([0])
        .div(images.flatten(1).norm([1]));
      for (const batchSize of [1, 3, 100])
        expect(maxSensitivity(sums, images, { perturbations, batchSize })).toBeAllclose(expected, { rtol: 1e-4 });
    }));

  it("is 0 for an explanation that ignores the image, absolute for a dead one, NaN for NaN", () =>
    tidy(() => {
      const images = rand([2, 1, 3, 3]);
      expect(maxSensitivity((x) => ones([x.sizes[0] as number, 2, 2]), images)).toBeAllclose([0, 0]);
      const dead = maxSensitivity((x) => x.select(1, 0).relu(), zeros([1, 1, 3, 3]), { radius: 0.5 });
      expect(dead.item()).toBeGreaterThan(0);
      expect(dead.item()).toBeLessThanOrEqual(1.5);
      const broken: Explain = (x, positions) =>
        x.select(1, 0).maskedFill(positions.eq(1).reshape([-1, 1, 1]), Number.NaN);
      expect(Array.from(maxSensitivity(broken, images).isnan().data(), Number)).toEqual([0, 1]);
    }));

  it("tells the explanation which image each row is, so that targets stay", () =>
    tidy(() => {
      const { model, images, labels } = explainedCase();
      const targets = labels.to("int64");
      const saliency: Explain = (x, positions) =>
        explain(model, x, { method: "GradCAM", targets: targets.indexSelect(0, positions) }).maps;
      const whole = maxSensitivity(saliency, images, { samples: 3 });
      expect(whole.min().item()).toBeGreaterThan(0);
      expect(whole.max().item()).toBeLessThan(1);
      expect(maxSensitivity(saliency, images, { samples: 3, batchSize: 2 })).toBeAllclose(whole, { rtol: 1e-2 });
    }));

  it("leaves nothing but its result, also where the explanation throws", () =>
    tidy(() => {
      const images = rand([2, 1, 3, 3]);
      const { liveTensors } = memory();
      maxSensitivity(sums, images);
      expect(memory().liveTensors).toBe(liveTensors + 1);
      let calls = 0;
      const failing: Explain = (x) => {
        if (++calls === 2) throw new RangeError("enough");
        return sums(x, x);
      };
      expect(() => maxSensitivity(failing, images)).toThrow(new RangeError("enough"));
      expect(memory().liveTensors).toBe(liveTensors + 1);
    }));

  const images = zeros([2, 1, 3, 3]);
  let calls = 0;
  it.each<[string, unknown[], string, RegExp]>([
    ["what is no function", ["GradCAM", images], "E_ARGUMENT", /explain must be a function, got "GradCAM"/],
    ["images of another rank", [sums, zeros([3, 3])], "E_SHAPE", /images must be \[N, C, H, W\], got \[3, 3\]/],
    ["an empty batch", [sums, zeros([0, 1, 3, 3])], "E_SHAPE", /images have no samples/],
    ["bytes", [sums, images.to("uint8")], "E_DTYPE", /images: expected normalised floating-point images/],
    [
      "perturbations of another shape",
      [sums, images, { perturbations: zeros([3, 2, 1, 3, 2]) }],
      "E_SHAPE",
      /perturbations must be \[samples, N, C, H, W=3\], got \[3, 2, 1, 3, 2\]/,
    ],
    ["an unknown option", [sums, images, { raduis: 1 }], "E_ARGUMENT", /unknown option raduis; did you mean radius\?/],
    ["no sample", [sums, images, { samples: 0 }], "E_ARGUMENT", /samples must be an integer from 1 to 10000, got 0/],
    ["no radius", [sums, images, { radius: 0 }], "E_ARGUMENT", /radius must be a finite number > 0, got 0/],
    ["a batch of none", [sums, images, { batchSize: 0 }], "E_ARGUMENT", /batchSize must be an integer >= 1/],
    ["a seed below zero", [sums, images, { seed: -1 }], "E_ARGUMENT", /seed must be an integer >= 0, got -1/],
    [
      "maps of another rank",
      [(x: Tensor) => x, images],
      "E_SHAPE",
      /maps that explain returned must be \[N, H, W\], got \[2, 1, 3, 3\]/,
    ],
    [
      "a single map",
      [() => zeros([1, 3, 3]), images],
      "E_SHAPE",
      /maps that explain returned must be \[N=2, H, W\], got \[1/,
    ],
    ["maps of no pixel", [(x: Tensor) => zeros([x.sizes[0] as number, 0, 3]), images], "E_SHAPE", /have no pixel/],
    [
      "maps that grow",
      [(x: Tensor) => zeros([x.sizes[0] as number, 3, 3 + calls++]), images],
      "E_SHAPE",
      /explain must return maps of one size, got \d+ pixels after \d+/,
    ],
    ["no maps", [() => tensor, images], "E_ARGUMENT", /maps that explain returned: expected a Tensor, got a function/],
    ["promised maps", [async () => zeros([2, 3, 3]), images], "E_ARGUMENT", /must be synchronous/],
  ])("refuses %s", (_, given, code, message) => {
    const run = () => tidy(() => maxSensitivity(...(given as Parameters<typeof maxSensitivity>)));
    expect(run).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
    expect(run).toThrow(/^maxSensitivity: /);
  });
});
