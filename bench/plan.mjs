// The measurements of bench/index.mjs, and the target ratios of our time to the other's (smaller is better).

/** @import { ModelKey, PeerKind, Variant } from "./types.d.ts" */

/**
 * `steps` is the number of steps in a block, after which the next side has its turn.
 *
 * @type {Record<ModelKey, { title: string, batch: number, steps: number, goals: { eager: number, compile: number, guided: number } }>}
 */
export const MODELS = {
  "simple-cnn": { title: "SimpleCNN", batch: 128, steps: 16, goals: { eager: 0.7, compile: 0.7, guided: 1.05 } },
  resnet18: {
    title: "ResNet-18, small stem",
    batch: 64,
    steps: 4,
    goals: { eager: 0.6, compile: 0.65, guided: 1.03 },
  },
  convnextv2_atto: {
    title: "ConvNeXt-V2 atto, patch 1",
    batch: 64,
    steps: 4,
    goals: { eager: 0.35, compile: 0.5, guided: 1.05 },
  },
};

export const MEMORY_GOAL = 0.8;

/** By default glibc returns freed memory to the kernel, and pages are faulted in again. These settings make it keep the memory. */
export const KEEPING = {
  MALLOC_MMAP_MAX_: "0",
  MALLOC_TRIM_THRESHOLD_: String(2 ** 40),
  MALLOC_TOP_PAD_: String(2 ** 26),
};

/**
 * The ways to use PyTorch that are compared. For each kind, the fastest configuration on this machine is measured.
 *
 * @param {{ bfloat16: boolean, linux: boolean }} machine
 * @returns {Record<string, PeerKind>}
 */
export function peerKinds({ bfloat16, linux }) {
  const precisions = bfloat16 ? ["fp32", "bf16"] : ["fp32"];
  /** @type {PeerKind} */
  const eager = { goal: "eager", title: "PyTorch eager", configs: ["eager", ...precisions.map((p) => `eager-${p}`)] };
  /** @type {PeerKind} */
  const compile = { goal: "compile", title: "torch.compile", configs: precisions.map((p) => `compile-${p}`) };
  /**
   * @param {PeerKind} kind
   * @returns {PeerKind}
   */
  const tuned = ({ title, configs, goal }) => ({ goal, title: `${title}, tuned malloc`, configs, env: KEEPING });
  if (!linux) return { eager, compile };
  return { eager, "eager-malloc": tuned(eager), compile, "compile-malloc": tuned(compile) };
}

/** @type {Variant} */
export const PLAIN = { objective: "plain", distance: "ssim" };

/** @type {Variant[]} */
export const GUIDED = ["prototype", "batch-cam"].flatMap((objective) =>
  /** @type {const} */ (["l1", "l2", "ssim"]).map((distance) => ({ objective, distance })),
);

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
