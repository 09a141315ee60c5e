import { beforeAll, describe, expect, it } from "vitest";
import { Conv2d, Linear, Module, ReLU } from "../nn/index.ts";
import { manualSeed, randn, type Tensor, tensor, tidy } from "../tensor/index.ts";
import { explain } from "./explain.ts";
import { noiseLike } from "./input-gradients.ts";

class Net extends Module {
  readonly conv = new Conv2d(1, 6, 3);
  readonly act = new ReLU();
  readonly fc = new Linear(6, 3);
  override forward(x: Tensor): Tensor {
    return this.fc.run(this.act.run(this.conv.run(x)).mean([2, 3]));
  }
}

let model: Net;
let images: Tensor;
beforeAll(() => {
  manualSeed(8);
  model = new Net();
  images = randn([5, 1, 9, 9]);
});

describe("noise", () => {
  it.each(["SmoothGrad", "SmoothGradCAM++"])("of %s does not depend on an image's place or company", (method) =>
    tidy(() => {
      for (const augSmooth of [false, true]) {
        const maps = (x: Tensor) => explain(model, x, { method, layer: "act", targets: 1, augSmooth, seed: 3 }).maps;
        const whole = maps(images);
        for (const order of [[4, 3, 2, 1, 0], [2], [0], [1, 4], [3, 0, 3]]) {
          const rows = tensor(order, { dtype: "int64" });
          const some = maps(images.indexSelect(0, rows));
          expect(some).toBeAllclose(whole.indexSelect(0, rows), { rtol: 0, atol: 2e-6 });
        }
      }
    }),
  );

  it("of fewer copies is the first of more, has the deviation asked for, and the images' dtype", () =>
    tidy(() => {
      const [few, many] = [2, 400].map((samples) => noiseLike(images, { samples, deviation: 0.3, seed: 2 }));
      for (const [i, copy] of (few as Tensor[]).entries()) expect(copy.equal(many?.[i] as Tensor)).toBe(true);
      const values = tensor((many as Tensor[]).flatMap((copy) => Array.from(copy.data() as Float32Array)));
      expect(values.std().item()).toBeAllclose(0.3, { rtol: 0.02 });
      const wide = noiseLike(images.to("float64"), { samples: 1, deviation: 1, seed: 2 })[0] as Tensor;
      expect(wide.dtype).toBe("float64");
    }));
});
