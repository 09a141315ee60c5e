// Evaluates explanations: does a map mark the pixels that the network needs? A map of random noise is the control.
//   node examples/evaluate-maps.ts [training steps] [test images]
import {
  backward,
  batches,
  createModel,
  crossEntropy,
  deletionCurve,
  explain,
  gatherBatch,
  loadDataset,
  METHODS,
  type MethodName,
  noGrad,
  optim,
  rand,
  sparseness,
  type Tensor,
  tidy,
} from "batch-cam";

const [steps = 100, count = 100] = process.argv.slice(2).map(Number);
const { train, test } = await loadDataset("mnist");
const model = createModel("simple-cnn", { numClasses: 10 });
const optimizer = new optim.AdamW(model.namedParameters(), { lr: 1e-3 });
let step = 0;
for (const { images, labels } of batches(train, { batchSize: 64, seed: 0 })) {
  if (step++ === steps) break;
  tidy(() => {
    optimizer.zeroGrad();
    backward(crossEntropy(model.forward(images), labels));
    optimizer.step();
  });
}
model.eval();

const chosen: MethodName[] = ["GradCAM", "LayerCAM", "ScoreCAM"];
console.log(`${chosen.length} of ${METHODS.length} methods, ${count} images`);
tidy(() => {
  const { images, labels } = gatherBatch(
    test,
    Int32Array.from({ length: count }, (_, i) => i),
  );
  const predict = (x: Tensor) => noGrad(() => model.forward(x));
  const { maps } = explain(model, images, { method: chosen, targets: labels });
  for (const [name, stack] of [...Object.entries(maps), ["noise", rand([count, 28, 28])] as const]) {
    const deletion = deletionCurve(predict, images, stack, labels, { steps: 28 }).auc.mean().item();
    console.log(
      `${name}: deletion ${deletion.toFixed(3)} (lower is better), sparseness ${sparseness(stack).mean().item().toFixed(2)}`,
    );
  }
});
