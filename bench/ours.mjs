// Runs this project for bench/index.mjs in a separate process. Like peers/train.py, it answers each line of JSON with one line. A request
// with `make` writes the file that all sides start from: weights, images, labels and prototypes. A request with `train` runs the trainer.
import { createInterface } from "node:readline";
import { parseTrainConfig } from "batch-cam/config";
import { createModel, defaultCamLayer } from "batch-cam/models";
import { Adam } from "batch-cam/optim";
import {
  autocast,
  backward,
  capabilities,
  loadSafetensors,
  manualSeed,
  noGrad,
  rand,
  randn,
  saveSafetensors,
  setNumThreads,
  tensor,
  tidy,
} from "batch-cam/tensor";
import { objective } from "batch-cam/train";
import { trainedSteps } from "./trained-steps.mjs";

/** @import { MakeRequest, NetworkSpec, Request, TrainRequest, Variant } from "./types.d.ts" */
/** @import { TrainConfigInput } from "batch-cam/config" */
/** @import { Tensor } from "batch-cam/tensor" */
/** @typedef {{ take: () => number, firstLoss: number, buildSeconds: number }} Step */

const CLASSES = 10;
const WEIGHT = 0.5; // of the guidance losses
const AFTER_WARM_UP = 1000; // a step after the warm-up, when the guidance has its full weight
/** @type {Record<string, TrainConfigInput>} */
const OBJECTIVES = {
  plain: { plain: true },
  "input-gradient": { plain: true, dataset: "decoy-mnist", baseline: "rrr", lambdaBaseline: 10 },
  prototype: { lambdaPrototype: WEIGHT, lambdaBatch: 0, order: "second" },
  "batch-cam": { lambdaPrototype: 0, lambdaBatch: WEIGHT, order: "second" },
};

/** @param {NetworkSpec} spec */
function newModel({ model, options, image: [inChannels, side] }) {
  const size = model === "simple-cnn" ? { imageSize: side } : {};
  return createModel(model, { numClasses: CLASSES, inChannels, ...size, ...options });
}

/** @param {MakeRequest["make"]} request */
async function make({ spec, state }) {
  manualSeed(0);
  const { batch, image } = spec;
  const model = newModel(spec);
  const labels = Int32Array.from({ length: batch }, (_, i) => i % CLASSES);
  const weights = [...model.stateDict()].map(([key, value]) => /** @type {const} */ ([`model.${key}`, value]));
  const tensors = {
    images: randn([batch, ...image]),
    labels: tensor(labels, { dtype: "int64" }),
    prototypes: rand([CLASSES, ...image.slice(1)]),
  };
  await saveSafetensors(state, new Map([...weights, ...Object.entries(tensors)]), { format: "pt" });
  return { layers: { default: defaultCamLayer(model, image), last: model.camLayer } };
}

/** @param {Tensor} x */
function channelsLast(x) {
  const [batch = 0, channels = 0, height = 0, width = 0] = x.shape;
  if (channels === 1) return x.reshape([batch, height, width, 1]).permute([0, 3, 1, 2]); // only the strides tell both formats apart
  return x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
}

/**
 * Builds a step as the trainer takes it, or a forward pass, in the precision and memory format of the request's `config`.
 *
 * @param {Request & Variant} request
 */
async function build({ spec, objective: kind, distance, layer, state, config: used }) {
  const stored = await loadSafetensors(state);
  const model = newModel(spec);
  const weights = [...stored].filter(([key]) => key.startsWith("model."));
  model.loadStateDict(new Map(weights.map(([key, value]) => [key.slice("model.".length), value])));
  const [given, labels, prototypes] = ["images", "labels", "prototypes"].map((key) => stored.get(key));
  if (!given || !labels || !prototypes) throw new Error(`${state} lacks images, labels or prototypes`);
  const amp = used === "bf16-last";
  const images = used?.endsWith("last") ? channelsLast(given) : given;
  if (kind === "inference") {
    model.eval();
    const forward = () => noGrad(() => model.forward(images));
    return () => tidy(() => (amp ? autocast({ dtype: "bfloat16" }, forward) : forward()).to("float32").mean().item());
  }
  const optimizer = new Adam(model.namedParameters(), { lr: 1e-3 });
  const config = parseTrainConfig({ model: spec.model, distance, ...OBJECTIVES[kind] });
  const guidance = { config, camLayer: layer, prototypes, camEma: null };
  const masks = kind === "input-gradient" ? maskOf(images) : null;
  const options = { step: AFTER_WARM_UP, guidance, amp, masks };
  return () =>
    tidy(() => {
      const { loss } = objective(model, images, labels, options);
      optimizer.zeroGrad();
      backward(loss);
      optimizer.step();
      return loss.item();
    });
}

/** A mask (B, H, W) of a third of the pixels. @param {Tensor} images */
function maskOf({ shape: [batch = 0, , height = 0, width = 0] }) {
  return rand([batch, height, width])
    .gt(2 / 3)
    .to("float32");
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
  const { config, layer, objective: kind, distance, state } = request;
  const key = JSON.stringify([config, layer, kind, distance, state]);
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
 * @param {Request & Partial<MakeRequest & TrainRequest>} request
 */
async function answer(request) {
  setNumThreads(request.threads);
  if (request.make) return make(request.make);
  const began = cpuSeconds();
  if (request.train)
    return { ...(await trainedSteps(request.train, request.threads)), cpuSeconds: cpuSeconds() - began };
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
