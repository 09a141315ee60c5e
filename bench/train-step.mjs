// Measures what guidance adds to a training step of SimpleCNN with the trainer's own objective. Plain and guided steps alternate on one
// batch.
//   node bench/train-step.mjs [--batch 128] [--rounds 60] [--head mlp|gap] [--amp] [--channels-last] [--json]
import { parseArgs } from "node:util";
import { parseTrainConfig } from "batch-cam/config";
import { createModel } from "batch-cam/models";
import { Adam } from "batch-cam/optim";
import {
  backward,
  getNumThreads,
  manualSeed,
  memory,
  rand,
  randn,
  resetPeakMemory,
  tensor,
  tidy,
} from "batch-cam/tensor";
import { objective } from "batch-cam/train";
import { median } from "./statistics.mjs";

/** @import { TrainConfigInput } from "batch-cam/config" */

const { values } = parseArgs({
  options: {
    batch: { type: "string", default: "128" },
    rounds: { type: "string", default: "60" },
    head: { type: "string", default: "mlp" },
    amp: { type: "boolean", default: false },
    "channels-last": { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const head = values.head === "gap" ? "gap" : "mlp";
const batch = Number(values.batch);
const rounds = Number(values.rounds);

/** @type {Record<string, TrainConfigInput>} */
const VARIANTS = {
  plain: { plain: true },
  "prototype ssim": {},
  "prototype l1": { distance: "l1" },
  "batch-cam ssim": { lambdaPrototype: 0, lambdaBatch: 0.5 },
  "both ssim": { lambdaBatch: 0.5 },
  "prototype ssim, first order": { order: "first" },
};

// With one channel, both memory formats have the same bytes; only the strides tell them apart.
const images = values["channels-last"] ? randn([batch, 28, 28, 1]).permute([0, 3, 1, 2]) : randn([batch, 1, 28, 28]);
const labels = tensor(
  Int32Array.from({ length: batch }, (_, i) => i % 10),
  { dtype: "int64" },
);
const prototypes = rand([10, 28, 28]);

/** @param {TrainConfigInput} options */
function variant(options) {
  const config = parseTrainConfig({ head, ...options });
  manualSeed(0);
  const model = createModel("simple-cnn", { numClasses: 10, inChannels: 1, head });
  const optimizer = new Adam(model.namedParameters());
  const guidance = { config, camLayer: model.camLayer, prototypes, camEma: null };
  return () =>
    tidy(() => {
      const { loss } = objective(model, images, labels, { step: 1000, guidance, amp: values.amp });
      optimizer.zeroGrad();
      backward(loss);
      optimizer.step();
      return loss.item();
    });
}

const steps = Object.fromEntries(Object.entries(VARIANTS).map(([name, options]) => [name, variant(options)]));
/** @type {Record<string, number[]>} */
const times = Object.fromEntries(Object.keys(steps).map((name) => [name, []]));
/** @type {Record<string, number>} */
const peaks = {};
for (const [name, step] of Object.entries(steps)) {
  for (let i = 0; i < 5; i++) step();
  resetPeakMemory();
  step();
  peaks[name] = memory().peakBytes / 2 ** 20;
}
for (let round = 0; round < rounds; round++) {
  for (const [name, step] of Object.entries(steps)) {
    const began = performance.now();
    step();
    times[name]?.push(performance.now() - began);
  }
}
const base = times.plain ?? [];
const rows = Object.entries(times).map(([name, own]) => ({
  objective: name,
  "ms a step": median(own).toFixed(2),
  // Each step is divided by the plain step measured next to it, so that a slow moment of the machine affects both.
  "ratio to plain": median(own.map((time, i) => time / (base[i] ?? Number.NaN))).toFixed(3),
  "peak MiB": peaks[name]?.toFixed(0),
}));
if (values.json) console.log(JSON.stringify(rows));
else {
  console.log(
    `SimpleCNN (${head}), batch ${batch}, ${getNumThreads()} threads, ${values.amp ? "bfloat16" : "float32"}, median of ${rounds}`,
  );
  console.table(rows);
}
