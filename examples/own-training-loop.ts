// Writes your own training loop, with a schedule, a validation split, and the weights of the best epoch in a file that torch can load.
//   node examples/own-training-loop.ts weights.safetensors [epochs] [training images]
import {
  accuracy,
  backward,
  batches,
  createModel,
  crossEntropy,
  loadDataset,
  type Model,
  manualSeed,
  noGrad,
  optim,
  type Split,
  saveSafetensors,
  selectImages,
  splitValidation,
  tidy,
} from "batch-cam";

const [output = "weights.safetensors", epochs = "3", count = "6400"] = process.argv.slice(2);
const BATCH = 64;

/** The fraction of the split that the model classifies correctly. */
function evaluate(model: Model, split: Split): number {
  model.eval();
  let right = 0;
  for (const { images, labels } of batches(split, { batchSize: 256 }))
    right += tidy(() => noGrad(() => accuracy(model.forward(images), labels))) * labels.numel;
  model.train();
  return right / split.labels.numel;
}

manualSeed(0);
const data = await loadDataset("mnist");
const some = selectImages(data.train, {
  indices: Int32Array.from({ length: Number(count) }, (_, i) => i),
  name: "train",
});
const { train, val } = splitValidation(some, { images: Math.floor(Number(count) / 10), seed: 0 });
const model = createModel("simple-cnn", { numClasses: 10 });
const optimizer = new optim.AdamW(model.namedParameters(), { lr: 2e-3, weightDecay: 0.05 });
const perEpoch = Math.ceil(train.labels.numel / BATCH);
const schedule = optim.cosine({ lr: 2e-3, steps: Number(epochs) * perEpoch });

let [step, best] = [0, -1];
for (let epoch = 0; epoch < Number(epochs); epoch++) {
  for (const { images, labels } of batches(train, { batchSize: BATCH, seed: 0, epoch })) {
    optimizer.lr = schedule(step++);
    tidy(() => {
      optimizer.zeroGrad();
      backward(crossEntropy(model.forward(images), labels));
      optim.clipGradNorm(model.parameters(), 1);
      optimizer.step();
    });
  }
  const right = evaluate(model, val);
  console.log(`epoch ${epoch + 1}: validation accuracy ${right.toFixed(3)}`);
  if (right > best) {
    best = right;
    await saveSafetensors(output, model.stateDict());
  }
}
console.log(`best ${best.toFixed(3)}; its weights are in ${output}`);
