// Guides training by your own distance: any function of two stacks of maps (N, H, W) that returns one value for each of the N maps.
//   node examples/custom-distance.ts [training steps]
import {
  backward,
  batchCam,
  batches,
  createModel,
  crossEntropy,
  loadDataset,
  optim,
  prototypeLoss,
  prototypes,
  type Tensor,
  tidy,
} from "batch-cam";

/** One minus the cosine of the angle between two maps, which does not depend on their brightness. */
function cosineDistance(x: Tensor, y: Tensor): Tensor {
  const [a, b] = [x.flatten(1), y.flatten(1)];
  const lengths = a.square().sum(1).mul(b.square().sum(1)).add(1e-8).sqrt();
  return a.mul(b).sum(1).div(lengths).neg().add(1);
}

const steps = Number(process.argv[2] ?? 200);
const { train } = await loadDataset("mnist");
const means = await prototypes(train); // (10, 28, 28)
const model = createModel("simple-cnn", { numClasses: 10 });
const optimizer = new optim.AdamW(model.namedParameters(), { lr: 1e-3 });
let step = 0;
for (const { images, labels } of batches(train, { batchSize: 64, seed: 0 })) {
  if (step++ === steps) break;
  tidy(() => {
    const { logits, taps } = model.forwardWith(images, { taps: ["pool2"] });
    const maps = batchCam(logits, taps.pool2, labels, { upsample: [28, 28], normalize: { eps: 1e-2 } });
    const guidance = prototypeLoss(maps, labels, means, { distance: cosineDistance });
    optimizer.zeroGrad();
    backward(crossEntropy(logits, labels).add(guidance.mul(0.5)));
    optimizer.step();
    if (step % 20 === 0 || step === steps) console.log(`step ${step}: distance ${guidance.item().toFixed(3)}`);
  });
}
