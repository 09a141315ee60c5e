import { beforeAll, describe, expect, it } from "vitest";
import { Conv2d, Linear, Module, ReLU } from "../nn/index.ts";
import { manualSeed, randn, type Tensor, tensor, tidy } from "../tensor/index.ts";
import type { MethodName } from "./description.ts";
import { explain } from "./explain.ts";
import { METHODS } from "./methods.ts";
import type { ExplainOptions } from "./options.ts";

class Net extends Module {
  readonly conv = new Conv2d(1, 6, 3, { stride: 2 });
  readonly act = new ReLU();
  readonly fc = new Linear(6, 4);
  override forward(x: Tensor): Tensor {
    return this.fc.run(this.act.run(this.conv.run(x)).mean([2, 3]));
  }
}

let model: Net;
let images: Tensor;
const LABELS = [3, 0, 2, 1, 3];
beforeAll(() => {
  manualSeed(2);
  model = new Net();
  images = randn([5, 1, 9, 9]);
});

const maps = (method: MethodName, options: ExplainOptions) =>
  explain(model, images, { method, layer: "act", samples: 3, steps: 4, ...options }).maps;

describe("a function of the logits", () => {
  /** A target function that looks up the labels of the batch by the positions of the rows. */
  const looked = (logits: Tensor) => logits.gather(1, tensor(LABELS, { dtype: "int64" }).unsqueeze(1));

  const CHUNKED = ["AblationCAM", "ScoreCAM"] as const;
  const cases = METHODS.map((method) => [method, 7] as const);
  const chunked = CHUNKED.flatMap((method) => [1, 2, 5, 12, 100].map((chunkSize) => [method, chunkSize] as const));

  it.each<readonly [MethodName, number]>([...cases, ...chunked])(
    "of %s scores the rows that it is meant for, in chunks of %d",
    (method, chunkSize) =>
      tidy(() => {
        for (const augSmooth of chunkSize === 7 ? [false, true] : [false]) {
          const options = { chunkSize, augSmooth, normalize: false } as const;
          const expected = maps(method, { ...options, targets: LABELS });
          for (const targets of [looked, (logits: Tensor) => looked(logits).squeeze(1)])
            expect(maps(method, { ...options, targets })).toBeAllclose(expected, { rtol: 1e-4, atol: 1e-7 });
        }
      }),
  );

  it.each(CHUNKED)("of %s may compare the images of the batch", (method) =>
    tidy(() => {
      const centred = (logits: Tensor) => logits.sub(logits.mean([0], { keepDims: true })).select(1, 2);
      const whole = maps(method, { targets: centred, chunkSize: 100, normalize: false });
      for (const chunkSize of [1, 3, 5, 11])
        expect(maps(method, { targets: centred, chunkSize, normalize: false })).toBeAllclose(whole, {
          rtol: 1e-4,
          atol: 1e-6,
        });
    }),
  );

  it.each(METHODS)("of %s always gets the whole batch", (method) =>
    tidy(() => {
      const rows = new Set<number>();
      const watched = (logits: Tensor) => {
        rows.add(logits.sizes[0] as number);
        return logits.select(1, 1);
      };
      maps(method, { targets: watched, memoryLimit: 1, augSmooth: true });
      expect([...rows]).toEqual(method === "EigenCAM" ? [] : [5]);
    }),
  );
});
