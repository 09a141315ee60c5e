// Defines your own network: a class that extends Model and calls its layers by `run`, so that maps can be taken from any of them.
//   node examples/custom-model.ts
import { batchCam, Model, nn, prototypeLoss } from "batch-cam";
import { grad, manualSeed, rand, randn, type Tensor, tensor } from "batch-cam/tensor";

/** y = x + conv(relu(conv(x))) */
class Residual extends nn.Module {
  readonly first: nn.Conv2d;
  readonly second: nn.Conv2d;

  constructor(channels: number) {
    super();
    this.first = new nn.Conv2d(channels, channels, 3, { padding: 1 });
    this.second = new nn.Conv2d(channels, channels, 3, { padding: 1 });
  }

  override forward(x: Tensor): Tensor {
    return x.add(this.second.run(this.first.run(x).relu()));
  }
}

class Net extends Model {
  readonly camLayer = "block";
  readonly classifier = "fc";
  readonly firstConv = "stem";
  readonly numClasses = 3;
  readonly stem = new nn.Conv2d(3, 16, 4, { stride: 4 });
  readonly block = new Residual(16);
  readonly fc = new nn.Linear(16, 3);

  override forward(x: Tensor): Tensor {
    return this.fc.run(this.block.run(this.stem.run(x)).mean([2, 3]));
  }
}

manualSeed(0);
const model = new Net();
const [images, labels] = [randn([4, 3, 32, 32]), tensor([0, 1, 2, 0], { dtype: "int64" })];
const { logits, taps } = model.forwardWith(images, { taps: ["block"] });
const maps = batchCam(logits, taps.block, labels, { normalize: true }); // (4, 8, 8)
const loss = prototypeLoss(maps, labels, rand([3, 8, 8]), { distance: "l2" });
const [slope] = grad(loss, [model.stem.weight]); // the maps' gradient reaches the first layer
console.log(
  `${model.numParameters()} parameters, maps of ${maps.shape.join("x")}, |gradient| ${slope.abs().max().item()}`,
);
