import { describe, expect, it } from "vitest";
import { getRngState, manualSeed, memory, randn, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import { ImageDraws } from "./image-draws.ts";

const drawsOf = (images: Tensor, { seed = 5, purpose = "noise" } = {}) =>
  new ImageDraws("f", purpose, { seed, images });

describe("ImageDraws", () => {
  it("gives an image the same values alone and in any batch, at any place and in any number of calls", () =>
    tidy(() => {
      manualSeed(1);
      const images = randn([4, 1, 3, 3]);
      const before = getRngState();
      using together = drawsOf(images);
      const whole = together.normal([0, 0, 0, 1, 2, 2, 3], [5]);
      using turned = drawsOf(images.flip([0]));
      const order = [turned.normal([0, 1], [5]), turned.normal([1], [5]), turned.normal([2, 3, 3], [5])];
      using alone = drawsOf(images.narrow(0, 2, 1));
      expect(alone.normal([0, 0], [5]).equal(whole.narrow(0, 4, 2))).toBe(true);
      expect((order[0] as Tensor).select(0, 1).equal(whole.select(0, 4))).toBe(true);
      expect((order[1] as Tensor).select(0, 0).equal(whole.select(0, 5))).toBe(true);
      expect((order[2] as Tensor).narrow(0, 1, 2).equal(whole.narrow(0, 0, 2))).toBe(true);
      expect(getRngState().equal(before)).toBe(true);
    }));

  it("differs by seed, purpose and image, and not by dtype, layout or the sign of zero", () =>
    tidy(() => {
      const image = tensor([
        [
          [
            [0, 1.5],
            [2, -3],
          ],
        ],
      ]);
      const values = (images: Tensor, options = {}) => {
        using draws = drawsOf(images, options);
        return draws.uniform([0], [6]);
      };
      const expected = values(image);
      const same = [image.to("float64"), image.to("bfloat16"), image.transpose(2, 3).contiguous().transpose(2, 3)];
      for (const other of [
        ...same,
        tensor([
          [
            [
              [-0, 1.5],
              [2, -3],
            ],
          ],
        ]),
      ])
        expect(values(other).equal(expected)).toBe(true);
      const others = [values(image, { seed: 6 }), values(image, { purpose: "ties" }), values(image.add(1e-6))];
      for (const other of others) expect(other.equal(expected)).toBe(false);
    }));

  it("draws standard normal values", () =>
    tidy(() => {
      using draws = drawsOf(zeros([1, 1]));
      const values = draws.normal([0], [10_000]);
      expect(values.mean().item()).toBeAllclose(0, { atol: 0.05 });
      expect(values.std().item()).toBeAllclose(1, { atol: 0.05 });
      expect(values.isfinite().all().item()).toBe(1);
    }));

  it("frees its generators", () => {
    const images = zeros([3, 2]);
    const { liveTensors } = memory();
    const draws = drawsOf(images);
    tidy(() => void draws.uniform([0, 1, 2], [4]));
    draws[Symbol.dispose]();
    expect(memory().liveTensors).toBe(liveTensors);
    images.dispose();
  });
});
