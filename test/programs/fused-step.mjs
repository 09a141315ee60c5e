// Takes guided steps with and without the training kernels and prints, as JSON, the error of each relative to the float32 step without
// kernels, and which kernels ran. With the argument "fault", the kernels see weights whose last inner channel is zero, as if they left out
// the end of a vector; the errors must reveal that.
import { parseTrainConfig } from "batch-cam/config";
import { createModel } from "batch-cam/models";
import { setFusedTraining } from "batch-cam/nn";
import { capabilities, grad, manualSeed, noGrad, rand, randn, tensor, tidy } from "batch-cam/tensor";
import { objective, profile } from "batch-cam/train";

const BATCH = 6;
const STARTS = 2;
const broken = process.argv[2] === "fault";
const DISTANCES = broken ? ["ssim"] : ["l1", "l2", "ssim"];

// If rounding changes the sign of a ReLU's input or the position of a maximum, a gradient changes by much more than by rounding, whichever
// result is right. So each network gets weights for which this does not happen: a ReLU passes either all of a channel or nothing, and maps
// are not small differences of large numbers.
const MODELS = {
  "simple-cnn": { side: 28, options: { head: "mlp" }, settle: (path, p) => settleConvolutions(path, p, 1) },
  "simple-cnn, pooled": { side: 28, options: { head: "gap" }, settle: (path, p) => settleConvolutions(path, p, 5) },
  resnet18: {
    side: 28,
    layer: "layer3", // its maps are differentiated twice
    options: { stem: "small", width: 32 },
    settle: settleNorms,
  },
  convnextv2_atto: {
    side: 28,
    options: { patchSize: 1, dims: [16, 20, 32, 48], depths: [1, 1, 2, 1] },
    settle: (path, p) => (/grn/.test(path) ? p.normal_(0, 0.3) : /bias|norm/.test(path) || p.mul_(5)),
  },
};

const signs = (p) => randn(p.shape).sign();

// In float32, no input of a ReLU may be near 0: the second norm of a block is either much larger than the shortcut (about 6 at most) or is
// added to it. In bfloat16, many inputs behind a shortcut are near 0 and change sign by rounding. The many small effects give similar
// errors for every start, while a few large ones would not.
function settleNorms(path, p, amp) {
  if (/bn2\.bias/.test(path)) p.copy_(amp ? signs(p).mul(3) : signs(p).mul(7.5).sub(4.5));
  else if (/downsample\.1\.bias/.test(path)) p.copy_(amp ? signs(p).mul(3) : signs(p).abs().mul(3));
  else if (/bn1\.bias/.test(path)) p.copy_(signs(p).mul(3));
}

function settleConvolutions(path, p, offset) {
  if (/conv\d\.weight/.test(path)) p.mul_(2);
  if (/conv\d\.bias/.test(path)) p.add_(signs(p).mul(offset));
  // The head's weights are positive, so that no two terms of a map cancel, and scaled so that logits are of order one.
  if (/fc\d?\.weight/.test(path)) p.copy_(p.abs().mul(path === "fc1.weight" ? 0.2 : path === "fc2.weight" ? 0.5 : 1));
}

function task(name, { start, distance, amp, faulty = false }) {
  manualSeed(start);
  const { side, layer, options, settle } = MODELS[name];
  const model = createModel(name.split(",")[0], { numClasses: 4, inChannels: 1, ...options });
  const images = randn([BATCH, side, side, 1]).permute([0, 3, 1, 2]);
  const labels = tensor(
    Int32Array.from({ length: BATCH }, (_, i) => i % 4),
    { dtype: "int64" },
  );
  const prototypes = rand([4, side, side]);
  noGrad(() => {
    for (const [path, p] of model.namedParameters()) {
      settle(path, p, amp);
      const inner = p.shape.length === 4 ? p.shape[1] : 0;
      if (faulty && inner >= 16) p.narrow(1, inner - 1, 1).fill_(0);
    }
  });
  const config = parseTrainConfig({ model: name.split(",")[0], distance, lambdaPrototype: 0.5, lambdaBatch: 0.25 });
  const guidance = { config, camLayer: layer ?? model.camLayer, prototypes, camEma: null };
  return { model, run: (rounded) => objective(model, images, labels, { step: 1000, guidance, amp: rounded }) };
}

/** The loss, and the gradient of each parameter. With `rounded`, the step runs in bfloat16. */
function step(name, { fused, rounded, ...options }) {
  setFusedTraining(fused);
  const { model, run } = task(name, options);
  const { loss } = run(rounded);
  const gradients = grad(loss, model.parameters()).map((t) => t.to("float64"));
  return { loss: loss.item(), gradients };
}

const length = (parts) => Math.sqrt(parts.reduce((sum, t) => sum + t.square().sum().item(), 0));

/** Errors of the loss, of the gradient as a whole, and of each weight's gradient. */
function errors(given, exact) {
  const apart = given.gradients.map((t, i) => t.sub(exact.gradients[i]));
  const isWeight = (_, i) => exact.gradients[i].shape.length > 1;
  return {
    loss: Math.abs(given.loss - exact.loss),
    gradient: length(apart) / length(exact.gradients),
    weights: apart.map((t, i) => length([t]) / length([exact.gradients[i]])).filter(isWeight),
  };
}

/** Compares one start with the kernels, and in bfloat16 also without them, with the float32 step without kernels. */
function compared(name, { start, distance, amp }) {
  return tidy(() => {
    const of = (options) => step(name, { start, distance, amp, ...options });
    const exact = of({ fused: false, rounded: false });
    const fused = errors(of({ fused: true, rounded: amp, faulty: broken }), exact);
    const plain = amp ? errors(of({ fused: false, rounded: true }), exact) : null;
    return { name, distance, start, amp, exactLoss: exact.loss, fused, plain };
  });
}

/** The names of this package's kernels that a step ran. */
function kernelsOf(name, { amp, fused }) {
  setFusedTraining(fused);
  const { model, run } = task(name, { start: 0, distance: "ssim", amp });
  const { events } = profile(() => tidy(() => void grad(run(amp).loss, model.parameters())), { steps: 1, skip: 0 });
  const names = events.map((event) => event.name).filter((own) => own.startsWith("batch_cam::"));
  return [...new Set(names.map((own) => own.slice("batch_cam::".length)).filter((own) => !own.endsWith("Backward")))];
}

const names = Object.keys(MODELS);
const found = names.flatMap((name) =>
  DISTANCES.flatMap((distance) =>
    [false, true].flatMap((amp) =>
      Array.from({ length: STARTS }, (_, start) => compared(name, { start, distance, amp })),
    ),
  ),
);
const ran = names.flatMap((name) =>
  [false, true].flatMap((amp) =>
    [true, false].map((fused) => ({ name, amp, fused, kernels: kernelsOf(name, { amp, fused }).sort() })),
  ),
);
console.log(JSON.stringify({ level: capabilities().kernels, found, ran }));
