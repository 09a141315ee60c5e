import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Conv2d, Linear, Module, Sequential } from "../nn/index.ts";
import { randn, type Tensor, tensor, tidy } from "../tensor/index.ts";
import { channelScores, chunkSize, type Pairs } from "./chunks.ts";
import type { Target } from "./targets.ts";

const numbers = (t: Tensor) => Array.from(t.data() as BigInt64Array, Number);

describe("channelScores", () => {
  const counts = { batch: fc.integer({ min: 1, max: 6 }), channels: fc.integer({ min: 1, max: 9 }) };
  const cases = fc.record({ ...counts, size: fc.integer({ min: 1, max: 70 }) });

  it("computes every pair of sample and channel once, and scores whole batches in their order", () => {
    fc.assert(
      fc.property(cases, ({ batch, channels, size }) =>
        tidy(() => {
          const labels = Array.from({ length: batch }, (_, sample) => sample % 3);
          const seen: string[] = [];
          /** Makes logits that show where they came from: logit c of sample b without channel k is 100 b + 10 k + c. */
          const logitsOf = ({ samples, channels: removed, count }: Pairs) => {
            expect(count).toBeLessThanOrEqual(size);
            const [own, gone] = [numbers(samples), numbers(removed)];
            seen.push(...own.map((sample, i) => `${sample} ${gone[i]}`));
            return tensor(own.map((sample, i) => [0, 1, 2].map((c) => 100 * sample + 10 * (gone[i] as number) + c)));
          };
          const target: Target = {
            classes: null,
            score: (logits) => logits.gather(1, tensor(labels, { dtype: "int64" }).unsqueeze(1)).squeeze(1),
          };
          const scores = channelScores({ batch, channels, size, target }, logitsOf);
          const expected = labels.map((label, b) =>
            Array.from({ length: channels }, (_, k) => 100 * b + 10 * k + label),
          );
          expect(scores).toBeAllclose(expected, { rtol: 0, atol: 0 });
          expect([seen.length, new Set(seen).size]).toEqual([batch * channels, batch * channels]);
        }),
      ),
    );
  });
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
