// Trains your own network on your own arrays with guidance and a loss term of your own, and writes the report.
//   node examples/train-your-model.ts [epochs]
import { nn } from "batch-cam";
import { splitOf } from "batch-cam/data";
import type { Tensor } from "batch-cam/tensor";
import { type LossBatch, train, writeReport } from "batch-cam/train";

const SIDE = 28;

class BarNet extends nn.Module {
  conv1 = new nn.Conv2d(1, 16, 3, { padding: 1, stride: 2 });
  conv2 = new nn.Conv2d(16, 32, 3, { padding: 1, stride: 2 });
  fc = new nn.Linear(32, 2);

  override forward(x: Tensor): Tensor {
    const maps = this.conv2.run(this.conv1.run(x).relu()).relu(); // (N, 32, 7, 7)
    return this.fc.run(maps.mean([2, 3]));
  }
}

/** Dark images with a bright bar: vertical bars on the left, horizontal bars on the right. */
function pictures(count: number, seed: number) {
  let state = seed;
  const random = () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
  const pixels = Float32Array.from({ length: count * SIDE * SIDE }, () => 0.3 * random());
  const labels = Array.from({ length: count }, (_, i) => i % 2);
  for (const [i, lying] of labels.entries()) {
    const [row, column] = [Math.floor(16 * random()) + 2, Math.floor(6 * random()) + (lying ? 12 : 2)];
    for (let a = 0; a < 8; a++)
      for (let b = 0; b < 2; b++)
        pixels[(i * SIDE + row + (lying ? b : a)) * SIDE + column + (lying ? a : b)] = 0.7 + 0.3 * random();
  }
  return splitOf(pixels, labels, { classNames: ["upright", "lying"] });
}

/** Keeps the logits small, so that the network is not overconfident. */
const modestLogits = ({ logits }: LossBatch) => logits.square().mean().mul(0.01);

const model = new BarNet();
const data = { train: pictures(320, 1), validation: pictures(80, 2), test: pictures(80, 3) };
const [epochs = "5"] = process.argv.slice(2);
const { test, runDirectory } = await train(
  { experiment: "bars", overwrite: true, epochs: Number(epochs), batchSize: 32, lr: 0.01, figures: false },
  {
    model, // afterwards the network has the weights of the best epoch
    data,
    loss: modestLogits,
    onEvent: (event) => {
      if (event.type !== "epoch") return;
      const { train: means, val } = event.record;
      console.log(
        `epoch ${event.epoch}: ${val.accuracy.toFixed(3)} right, modestLogits ${means.modestLogits?.toFixed(4)}`,
      );
    },
  },
);
console.log(`test accuracy ${test?.accuracy.toFixed(3)}; ${await writeReport(runDirectory, { model, data })}`);
