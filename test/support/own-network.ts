import { BatchNorm2d, Conv2d, Dropout, Linear, Module, parameter } from "../../src/nn/index.ts";
import { manualSeed, ones, type Tensor } from "../../src/tensor/index.ts";

/** A user's network, which is not a `Model`: it has a parameter of its own, batch norm, dropout, and a residual sum without a layer. */
export class OwnNetwork extends Module {
  readonly stem: Conv2d;
  readonly norm: BatchNorm2d;
  readonly body: Conv2d;
  readonly drop = new Dropout(0.25);
  readonly head: Linear;
  readonly scale: Tensor;

  constructor({ width = 6, classes = 2, channels = 1, seed = 3 } = {}) {
    super();
    manualSeed(seed);
    this.scale = parameter(ones([1]));
    this.stem = new Conv2d(channels, width, 3, { stride: 2, padding: 1 });
    this.norm = new BatchNorm2d(width);
    this.body = new Conv2d(width, width, 3, { padding: 1 });
    this.head = new Linear(width, classes);
  }

  override forward(x: Tensor): Tensor {
    const early = this.norm.run(this.stem.run(x)).relu();
    const late = early.add(this.body.run(early).mul(this.scale)).relu();
    return this.head.run(this.drop.run(late.mean([2, 3])));
  }
}
