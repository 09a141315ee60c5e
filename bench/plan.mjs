// The measurements of bench/index.mjs: the networks, the ways to use PyTorch that are compared, and the goals (docs/benchmarks.md).

/** @import { NetworkKey, NetworkSpec, PartName, PeerKind, Variant } from "./types.d.ts" */

/** The parts of a whole run. Each can be measured alone, and its results are merged into the processor's file. */
export const PARTS = /** @type {const} */ (["defaults", "fixed", "large", "explain", "small-things"]);

/** @param {PartName[]} given */
export const partsInOrder = (given) => PARTS.filter((part) => given.includes(part));

const SMALL = /** @type {const} */ ([1, 28, 28]);
const MIDDLE = /** @type {const} */ ([3, 64, 64]);
const LARGE = /** @type {const} */ ([3, 224, 224]);

/**
 * The networks whose configuration the benchmark fixes. Those of the part "defaults" get the options that the trainer chooses.
 * `steps` is the number of steps in a block, after which the next side has its turn.
 *
 * @type {Record<NetworkKey, NetworkSpec>}
 */
export const NETWORKS = {
  "simple-cnn": { title: "SimpleCNN", model: "simple-cnn", options: {}, image: SMALL, batch: 128, steps: 16 },
  resnet18: {
    title: "ResNet-18, small stem",
    ...{ model: "resnet18", options: { stem: "small" }, image: SMALL, batch: 64, steps: 4 },
  },
  convnextv2_atto: {
    title: "ConvNeXt-V2 atto, patch 1",
    ...{ model: "convnextv2_atto", options: { patchSize: 1 }, image: SMALL, batch: 64, steps: 4 },
  },
  "resnet18-64": {
    title: "ResNet-18, 64 px",
    ...{ model: "resnet18", options: { stem: "imagenet" }, image: MIDDLE, batch: 32, steps: 6 },
  },
  "convnextv2_atto-64": {
    title: "ConvNeXt-V2 atto, 64 px",
    ...{ model: "convnextv2_atto", options: { patchSize: 4 }, image: MIDDLE, batch: 32, steps: 6 },
  },
  "resnet18-224": {
    title: "ResNet-18, 224 px",
    ...{ model: "resnet18", options: { stem: "imagenet" }, image: LARGE, batch: 32, steps: 2 },
  },
  "convnextv2_atto-224": {
    title: "ConvNeXt-V2 atto, 224 px",
    ...{ model: "convnextv2_atto", options: { patchSize: 4 }, image: LARGE, batch: 32, steps: 2 },
  },
  "convnextv2_tiny-224": {
    title: "ConvNeXt-V2 tiny, 224 px",
    ...{ model: "convnextv2_tiny", options: { patchSize: 4 }, image: LARGE, batch: 8, steps: 2 },
  },
};

/** The networks of each part that takes some of them. */
export const NETWORKS_OF = {
  fixed: /** @type {NetworkKey[]} */ (["simple-cnn", "resnet18", "convnextv2_atto"]),
  large: /** @type {NetworkKey[]} */ ([
    "resnet18-64",
    "convnextv2_atto-64",
    "resnet18-224",
    "convnextv2_atto-224",
    "convnextv2_tiny-224",
  ]),
};

/** The networks of the part "defaults", by the names that `train --model` takes. */
export const TRAINED = /** @type {const} */ (["simple-cnn", "resnet18", "convnextv2_atto"]);

const AGAINST_PYTORCH = { small: [0.6, 0.65], convnext: [0.4, 0.5], large: [0.85, 0.9] };
/** @param {number[]} goals */
const stepGoals = ([eager = 0, compile = 0]) => ({ "eager-malloc": eager, "compile-malloc": compile });

/**
 * The largest median that reaches the goal, by case and measure; measures of any other case are under "*".
 *
 * @type {Record<string, Record<string, number>>}
 */
const GOALS = {
  "simple-cnn": stepGoals(AGAINST_PYTORCH.small),
  resnet18: { ...stepGoals(AGAINST_PYTORCH.small), "guided/prototype/ssim": 1.2 },
  convnextv2_atto: { ...stepGoals(AGAINST_PYTORCH.convnext), "guided/prototype/ssim": 1.5 },
  "resnet18-224": stepGoals(AGAINST_PYTORCH.large),
  "convnextv2_atto-224": stepGoals(AGAINST_PYTORCH.large),
  "*": {
    memory: 0.8,
    "explain/pytorch-grad-cam": 1 / 5,
    "explain/torch-cam": 1 / 1.5,
    "start-up": 1.5,
    "validation/inference": 1 / 0.9,
    "input-gradient/plain": 3,
    "busy neighbour/alone": 2.2,
  },
};

/** The goal for guided steps with the command line's defaults, for every network and objective. */
const GUIDED_BY_DEFAULT = 1.1;

/**
 * @param {string} name of the case
 * @param {string} measure
 */
export function goalOf(name, measure) {
  if (name.endsWith("/default") && measure.startsWith("guided/")) return GUIDED_BY_DEFAULT;
  return GOALS[name]?.[measure] ?? GOALS["*"]?.[measure];
}

/** By default glibc returns freed memory to the kernel, and pages are faulted in again. These settings make it keep the memory. */
export const KEEPING = {
  MALLOC_MMAP_MAX_: "0",
  MALLOC_TRIM_THRESHOLD_: String(2 ** 40),
  MALLOC_TOP_PAD_: String(2 ** 26),
};

/**
 * The ways to use PyTorch that are compared. For each kind, the fastest configuration on this machine is measured. A kind that
 * `follows` another one takes its configuration, so that the search is made once.
 *
 * @param {{ bfloat16: boolean, linux: boolean, tunedOnly?: boolean }} machine with `tunedOnly` only those that the goals name
 * @returns {Record<string, PeerKind>}
 */
export function peerKinds({ bfloat16, linux, tunedOnly = false }) {
  const precisions = bfloat16 ? ["fp32", "bf16"] : ["fp32"];
  const eagerly = precisions.map((p) => `eager-${p}`);
  const eager = { title: "PyTorch eager", configs: tunedOnly ? eagerly : ["eager", ...eagerly] };
  const compile = { title: "torch.compile", configs: precisions.map((p) => `compile-${p}`) };
  if (!linux) return { eager, compile };
  /** @param {PeerKind} kind */
  const tuned = ({ title, configs }) => ({ title: `${title}, tuned malloc`, configs, env: KEEPING });
  const best = { "eager-malloc": tuned(eager), "compile-malloc": tuned(compile) };
  if (tunedOnly) return best;
  return {
    ...best,
    eager: { ...eager, follows: "eager-malloc" },
    compile: { ...compile, follows: "compile-malloc" },
  };
}

/** The precisions and memory layouts of our side. The fastest is measured, because `--amp auto` chooses in the same way. */
export const ourConfigs = (/** @type {{ bfloat16: boolean }} */ { bfloat16 }) =>
  bfloat16 ? ["bf16-last", "fp32-last", "fp32"] : ["fp32"];

/** @type {Variant} */
export const PLAIN = { objective: "plain", distance: "ssim" };

/** @type {Variant} */
export const INFERENCE = { objective: "inference", distance: "ssim" };

/** @type {Variant[]} */
export const GUIDED = ["prototype", "batch-cam"].flatMap((objective) =>
  /** @type {const} */ (["l1", "l2", "ssim"]).map((distance) => ({ objective, distance })),
);

/** @type {Variant} */
export const PROTOTYPE_SSIM = { objective: "prototype", distance: "ssim" };

/**
 * Other ways to compute maps inside a training step.
 *
 * @type {Record<string, string>}
 */
export const LOOPS = {
  "per-image": "guided, a pass and a gradient for each image",
  captum: "guided, captum's LayerGradCam with its graph",
  "torch-cam": "maps for viewing only, torch-cam",
  "pytorch-grad-cam": "maps for viewing only, pytorch-grad-cam",
};
