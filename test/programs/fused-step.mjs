// Guided steps with the kernels for training and without: how far each is from the float32 step without, relative, as JSON;
// and which kernels ran. With the argument "fault" the kernels see weights without their last inner channel, as if they left
// out the end of a vector; one distance then shows it.
import { parseTrainConfig } from "batch-cam/config";
import { createModel } from "batch-cam/models";
import { setFusedTraining } from "batch-cam/nn";
import { capabilities, grad, manualSeed, noGrad, rand, randn, tensor, tidy } from "batch-cam/tensor";
import { objective, profile } from "batch-cam/train";

const BATCH = 6;
const STARTS = 2;
const broken = process.argv[2] === "fault";
const DISTANCES = broken ? ["ssim"] : ["l1", "l2", "ssim"];

// Where rounding lets a ReLU, a maximum or a map fall the other way, its gradient moves by far more than by rounding,
// whichever of the two is right. So each network gets weights with which these stand far from their edges: a ReLU
// passes all of a channel or nothing of it, and maps are no small differences of large numbers.
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

// In float32 no ReLU may stand near its edge: a block's second norm outweighs what the shortcut adds, some 6 at most, or adds to
// it. In bfloat16 many do behind a shortcut, and rounding lets some fall the other way: so many small causes make the
// errors of two starts alike, where a few large ones would not.
function settleNorms(path, p, amp) {
  if (/bn2\.bias/.test(path)) p.copy_(amp ? signs(p).mul(3) : signs(p).mul(7.5).sub(4.5));
  else if (/downsample\.1\.bias/.test(path)) p.copy_(amp ? signs(p).mul(3) : signs(p).abs().mul(3));
  else if (/bn1\.bias/.test(path)) p.copy_(signs(p).mul(3));
}

function settleConvolutions(path, p, offset) {
  if (/conv\d\.weight/.test(path)) p.mul_(2);
  if (/conv\d\.bias/.test(path)) p.add_(signs(p).mul(offset));
  // Of the head: no two summands of a map cancel, and logits stay of the order of one.
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

/** The loss, and the gradient of each parameter; `rounded`: in bfloat16. */
function step(name, { fused, rounded, ...options }) {
  setFusedTraining(fused);
  const { model, run } = task(name, options);
  const { loss } = run(rounded);
  const gradients = grad(loss, model.parameters()).map((t) => t.to("float64"));
  return { loss: loss.item(), gradients };
}

const length = (parts) => Math.sqrt(parts.reduce((sum, t) => sum + t.square().sum().item(), 0));

/** Errors of the loss and of the gradient as a whole, and of each weight's own. */
function errors(given, exact) {
  const apart = given.gradients.map((t, i) => t.sub(exact.gradients[i]));
  const isWeight = (_, i) => exact.gradients[i].shape.length > 1;
  return {
    loss: Math.abs(given.loss - exact.loss),
    gradient: length(apart) / length(exact.gradients),
    weights: apart.map((t, i) => length([t]) / length([exact.gradients[i]])).filter(isWeight),
  };
}

/** One start by the kernels, and in bfloat16 by the layers one by one too, against float32 by the layers one by one. */
function compared(name, { start, distance, amp }) {
  return tidy(() => {
    const of = (options) => step(name, { start, distance, amp, ...options });
    const exact = of({ fused: false, rounded: false });
    const fused = errors(of({ fused: true, rounded: amp, faulty: broken }), exact);
    const plain = amp ? errors(of({ fused: false, rounded: true }), exact) : null;
    return { name, distance, start, amp, exactLoss: exact.loss, fused, plain };
  });
}

/** The kernels of its own that a step ran, by the operators' names. */
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
