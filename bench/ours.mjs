// Runs this project for bench/index.mjs in a separate process. Like peers/train.py, it answers each line of JSON with one line. A request
// with `make` writes the file that all sides start from: weights, images, labels and prototypes.
import { createInterface } from "node:readline";
import { parseTrainConfig } from "batch-cam/config";
import { createModel, defaultCamLayer } from "batch-cam/models";
import { Adam } from "batch-cam/optim";
import {
  backward,
  capabilities,
  loadSafetensors,
  manualSeed,
  rand,
  randn,
  saveSafetensors,
  setNumThreads,
  tensor,
  tidy,
} from "batch-cam/tensor";
import { objective } from "batch-cam/train";

/** @import { MakeRequest, ModelKey, Request, Variant } from "./types.d.ts" */

/** @import { TrainConfigInput } from "batch-cam/config" */
/** @import { ModelOptions } from "batch-cam/models" */
/** @import { Tensor } from "batch-cam/tensor" */
/** @typedef {{ take: () => number, firstLoss: number, buildSeconds: number }} Step */

const CLASSES = 10;
const WEIGHT = 0.5; // of the guidance losses
const AFTER_WARM_UP = 1000; // a step after the warm-up, when the guidance has its full weight
/** @type {Record<ModelKey, ModelOptions>} */
const MODELS = {
  "simple-cnn": {},
  resnet18: { stem: "small" },
  convnextv2_atto: { patchSize: 1 },
};
/** @type {Record<string, TrainConfigInput>} */
const OBJECTIVES = {
  plain: { plain: true },
  prototype: { lambdaPrototype: WEIGHT, lambdaBatch: 0 },
  "batch-cam": { lambdaPrototype: 0, lambdaBatch: WEIGHT },
};

/** @param {ModelKey} name */
const newModel = (name) => createModel(name, { numClasses: CLASSES, inChannels: 1, ...MODELS[name] });

/** @param {MakeRequest["make"]} request */
async function make({ model: name, batch, state }) {
  manualSeed(0);
  const model = newModel(name);
  const labels = Int32Array.from({ length: batch }, (_, i) => i % CLASSES);
  const weights = [...model.stateDict()].map(([key, value]) => /** @type {const} */ ([`model.${key}`, value]));
  const tensors = {
    images: randn([batch, 1, 28, 28]),
    labels: tensor(labels, { dtype: "int64" }),
    prototypes: rand([CLASSES, 28, 28]),
  };
  await saveSafetensors(state, new Map([...weights, ...Object.entries(tensors)]), { format: "pt" });
  return { layers: { default: defaultCamLayer(model, [1, 28, 28]), last: model.camLayer } };
}

// With one channel, both memory formats have the same bytes; only the strides tell them apart.
/** @param {Tensor} x */
const channelsLast = (x) => x.reshape([x.shape[0] ?? 0, ...x.shape.slice(2), 1]).permute([0, 3, 1, 2]);

/**
 * Builds a step as the trainer takes it, in the precision and memory format that it chooses on this machine.
 *
 * @param {Request & Variant} request
 */
async function build({ model: name, objective: kind, distance, layer, state }) {
  const stored = await loadSafetensors(state);
  const model = newModel(name);
  const weights = [...stored].filter(([key]) => key.startsWith("model."));
  model.loadStateDict(new Map(weights.map(([key, value]) => [key.slice("model.".length), value])));
  const [images, labels, prototypes] = ["images", "labels", "prototypes"].map((key) => stored.get(key));
  if (!images || !labels || !prototypes) throw new Error(`${state} lacks images, labels or prototypes`);
  const optimizer = new Adam(model.namedParameters(), { lr: 1e-3 });
  const config = parseTrainConfig({ model: name, distance, ...OBJECTIVES[kind] });
  const guidance = { config, camLayer: layer, prototypes, camEma: null };
  const { fastBfloat16 } = capabilities();
  const options = { step: AFTER_WARM_UP, guidance, amp: fastBfloat16 };
  return () =>
    tidy(() => {
      const { loss } = objective(model, fastBfloat16 ? channelsLast(images) : images, labels, options);
      optimizer.zeroGrad();
      backward(loss);
      optimizer.step();
      return loss.item();
    });
}

const peakRssMiB = () => process.resourceUsage().maxRSS / 1024;
const cpuSeconds = () => Object.values(process.cpuUsage()).reduce((sum, micro) => sum + micro / 1e6, 0);
/** @type {Map<string, Step>} */
const built = new Map();

/**
 * A step, the loss when it was first taken, and the seconds until then.
 *
 * @param {Request & Variant} request
 * @returns {Promise<Step>}
 */
async function stepFor(request) {
  const key = JSON.stringify([request.model, request.layer, request.objective, request.distance, request.state]);
  const known = built.get(key);
  if (known !== undefined) return known;
  const began = performance.now();
  const take = await build(request);
  const firstLoss = take();
  const made = { take, firstLoss, buildSeconds: (performance.now() - began) / 1000 };
  built.set(key, made);
  return made;
}

/** @param {() => number} take */
function timed(take) {
  const began = performance.now();
  take();
  return (performance.now() - began) / 1000;
}

/**
 * Takes steps of all variants alternately. Returns for each its seconds, its first loss, and the time it took to build.
 *
 * @param {Request & Partial<MakeRequest>} request
 */
async function answer(request) {
  setNumThreads(request.threads);
  if (request.make) return make(request.make);
  const began = cpuSeconds();
  /** @type {Step[]} */
  const steps = [];
  for (const variant of request.variants) steps.push(await stepFor({ ...request, ...variant }));
  for (let i = 0; i < request.warmup; i++) for (const { take } of steps) take();
  /** @type {number[][]} */
  const seconds = steps.map(() => []);
  for (let i = 0; i < request.steps; i++) for (const [at, { take }] of steps.entries()) seconds[at]?.push(timed(take));
  return {
    seconds,
    firstLoss: steps.map(({ firstLoss }) => firstLoss),
    buildSeconds: steps.map(({ buildSeconds }) => buildSeconds),
    cpuSeconds: cpuSeconds() - began,
    peakRssMiB: peakRssMiB(),
  };
}

/** @param {unknown} value */
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const { version, cpuCapability, fastBfloat16 } = capabilities();
say({ libtorch: version, cpuCapability, fastBfloat16, peakRssMiB: peakRssMiB() });
for await (const line of createInterface({ input: process.stdin })) say(await answer(JSON.parse(line)));
