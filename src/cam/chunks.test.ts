import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Conv2d, Linear, Module, Sequential } from "../nn/index.ts";
import { randn, type Tensor, tidy } from "../tensor/index.ts";
import { chunkSize, pairsOf } from "./chunks.ts";

const numbers = (t: Tensor) => Array.from(t.data() as BigInt64Array, Number);

describe("pairsOf", () => {
  it("gives every pair of sample and channel once, in order, in runs of at most the size", () => {
    const counts = { batch: fc.integer({ min: 1, max: 6 }), channels: fc.integer({ min: 1, max: 9 }) };
    fc.assert(
      fc.property(fc.record({ ...counts, size: fc.integer({ min: 1, max: 20 }) }), ({ batch, channels, size }) =>
        tidy(() => {
          const pairs: number[][] = [];
          for (const run of pairsOf(batch, channels, size)) {
            expect([run.start, run.count <= size]).toEqual([pairs.length, true]);
            const own = numbers(run.channels);
            for (const [i, sample] of numbers(run.samples).entries()) pairs.push([sample, own[i] as number]);
          }
          const all = Array.from({ length: batch * channels }, (_, i) => [Math.floor(i / channels), i % channels]);
          expect(pairs).toEqual(all);
        }),
      ),
    );
  });

  it("is exact where there are more pairs than float32 can count", () =>
    tidy(() => {
      const [batch, channels] = [20_000, 1021];
      for (const { samples, start, count } of pairsOf(batch, channels, 2_000_003)) {
        const [first, last] = [numbers(samples.narrow(0, 0, 1))[0], numbers(samples.narrow(0, count - 1, 1))[0]];
        expect([first, last]).toEqual([Math.floor(start / channels), Math.floor((start + count - 1) / channels)]);
      }
    }));
});

describe("chunkSize", () => {
  class Net extends Module {
    readonly body = new Sequential(new Conv2d(1, 8, 3, { padding: 1 }), new Conv2d(8, 2, 3));
    readonly fc = new Linear(2, 3);
    override forward(x: Tensor): Tensor {
      return this.fc.run(this.body.run(x).mean([2, 3]));
    }
  }

  it("is what is given, else what the memory allows for the largest output, from 1 to 128", () =>
    tidy(() => {
      const [model, x] = [new Net(), randn([2, 1, 10, 10])];
      expect(chunkSize(model, x, { chunkSize: 5 })).toBe(5);
      expect(chunkSize(model, x, {})).toBe(128);
      expect(chunkSize(model, x, { memoryLimit: 4 * 4 * 800 * 10 })).toBe(10); // the first layer's 8 maps of 10x10
      expect(chunkSize(model, x, { memoryLimit: 1 })).toBe(1);
    }));
});
