// Explains your own model: a class that extends Module and calls its layers by `run`.
//   node examples/explain-your-model.ts
import { crossEntropy, EnergyInMask, explain, nn, optim } from "batch-cam";
import { backward, manualSeed, rand, randn, type Tensor, tensor, tidy } from "batch-cam/tensor";

class ShapeNet extends nn.Module {
  conv1 = new nn.Conv2d(1, 16, 3, { padding: 1 });
  act1 = new nn.ReLU();
  conv2 = new nn.Conv2d(16, 32, 3, { padding: 1, stride: 2 });
  act2 = new nn.ReLU();
  fc = new nn.Linear(32, 2);

  override forward(x: Tensor): Tensor {
    const maps = this.act2.run(this.conv2.run(this.act1.run(this.conv1.run(x)))); // (N, 32, 12, 12)
    return this.fc.run(maps.mean([2, 3])); // (N, 2), before softmax
  }
}

/**
 * Noise images (N, 1, 24, 24) with a vertical or horizontal bar at a random position, their labels (N), and masks of the bars (N, 24, 24).
 */
function pictures(count: number) {
  const images = randn([count, 1, 24, 24]).mul(0.2);
  const masks = images.mul(0).squeeze(1);
  const random = rand([count, 3]).tolist() as [number, number, number][];
  const labels = random.map(([which]) => Math.floor(2 * which));
  for (const [n, lying] of labels.entries()) {
    const [, down = 0, right = 0] = random[n] ?? [];
    const [row, column] = [Math.floor(18 * down), Math.floor(18 * right)];
    const place = (t: Tensor) => t.narrow(-2, row, lying ? 2 : 6).narrow(-1, column, lying ? 6 : 2);
    place(images.select(0, n)).add_(1);
    place(masks.select(0, n)).fill_(1);
  }
  return { images, masks, labels: tensor(labels, { dtype: "int64" }) };
}

manualSeed(0);
const model = new ShapeNet();
const optimizer = new optim.AdamW(model.namedParameters(), { lr: 1e-2 });
for (let step = 0; step < 100; step++) {
  tidy(() => {
    const { images, labels } = pictures(64);
    optimizer.zeroGrad();
    backward(crossEntropy(model.forward(images), labels));
    optimizer.step();
  });
}

tidy(() => {
  const { images, labels, masks } = pictures(200);
  const { maps, logits, layers } = explain(model, images, {
    method: ["GradCAM", "LayerCAM", "ScoreCAM"],
    layer: "act2",
  });
  console.log(`accuracy ${logits.argmax(1).eq(labels).sum().item() / 2} %, maps of ${layers}`);
  for (const [method, stack] of Object.entries(maps)) {
    const energy = new EnergyInMask();
    energy.update(stack, masks);
    const { mean, dead } = energy.summary();
    console.log(`${method}: ${Math.round(100 * mean)} % of the map on the bar (chance: 2 %), ${dead} of 200 maps dead`);
  }
});
