import { describeValue, wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { type Interceptor, interceptOutputs, type Module } from "../nn/index.ts";
import { describeOutput } from "../nn/logits.ts";
import { tapOutput } from "../nn/recorder.ts";
import { setGradEnabled } from "../tensor/autograd.ts";
import { isTensor } from "../tensor/core.ts";
import { enableGrad, grad, noGrad, type Tensor } from "../tensor/index.ts";
import { logitsFor, recordedForward } from "./recorded-forward.ts";
import { single } from "./single.ts";
import type { Target } from "./targets.ts";

/** Takes a layer's output to maps (B, K, h, w): tokens without the class token, channels last. */
export type ReshapeTransform = (output: Tensor) => Tensor;

/** A layer whose maps are explained, in one forward pass. */
export interface TargetLayer {
  readonly path: string;
  readonly module: Module;
  /** The layer's output, which the next layer reads a copy of: that of its last run, where it runs several times. */
  readonly tap: Tensor;
  /** How often the layer ran. */
  readonly runs: number;
  /** A (B, K, h, w): the output, reshaped where a transform is given. */
  readonly activations: Tensor;
}

/** A batch's forward pass, seen at its target layers. */
export interface Pass {
  readonly model: Module;
  /** (B, C, H, W) */
  readonly x: Tensor;
  /** (B, classes), before softmax; float32 or wider */
  readonly logits: Tensor;
  readonly layers: readonly TargetLayer[];
  readonly reshapeTransform: ReshapeTransform | undefined;
}

export interface PassOptions {
  layers: readonly (readonly [path: string, module: Module])[];
  /**
   * What is recorded for gradients: nothing; what follows the target layers, which become leaves (the layers before the first
   * of them then cost no more than at inference); or the whole pass, so that gradients reach the parameters.
   */
  record: "nothing" | "behind the layers" | "everything";
  reshapeTransform?: ReshapeTransform | undefined;
}

/**
 * @throws E_CONFIG for a layer that did not run, or whose output is no map; E_SHAPE for logits that are not (B, classes)
 */
export function forwardPass(model: Module, x: Tensor, options: PassOptions): Pass {
  const { layers, record, reshapeTransform } = options;
  const { logits, taps, runs } = recordedForward(model, record === "everything", () =>
    tappedForward(model, x, options),
  );
  expectLogits(logits, x);
  const found = layers.map(([path, module]) => {
    const tap = tapOf(path, taps.get(module), runs.has(module));
    const activations = mapsOf(path, tap, { x, reshapeTransform });
    return { path, module, tap, runs: runs.get(module) as number, activations };
  });
  return { model, x, logits, layers: found, reshapeTransform };
}

interface TappedPass {
  readonly logits: Tensor;
  readonly taps: ReadonlyMap<Module, Tensor>;
  readonly runs: ReadonlyMap<Module, number>;
}

function tappedForward(model: Module, x: Tensor, { layers, record }: PassOptions): TappedPass {
  const taps = new Map<Module, Tensor>();
  const runs = new Map<Module, number>();
  const intercept = (module: Module): Interceptor => {
    return (output, origin) => {
      // Recording begins at the first layer, and lasts until the noGrad around the pass ends.
      if (record === "behind the layers") setGradEnabled(true);
      const { tap, next } = tapOutput(output, { origin, graph: record !== "nothing" });
      taps.set(module, tap);
      runs.set(module, (runs.get(module) ?? 0) + 1);
      return next;
    };
  };
  const interceptors = new Map(layers.map(([, module]) => [module, intercept(module)]));
  const forward = () => {
    runs.clear();
    return interceptOutputs(interceptors, () => logitsFor(model, x));
  };
  let logits = record === "everything" ? enableGrad(forward) : noGrad(forward);
  // A layer within a noGrad of the model's own, as a frozen backbone's, cannot turn recording on for what follows it.
  if (record === "behind the layers" && !logits.requiresGrad) logits = enableGrad(forward);
  return { logits, taps, runs };
}

function tapOf(path: string, tap: Tensor | undefined, ran: boolean): Tensor {
  if (tap !== undefined && isTensor(tap)) return tap;
  const layer = path === "" ? "the model itself" : `layer ${path}`;
  const problem = ran
    ? `${layer} returned ${describeOutput(tap)}, and maps are made of one tensor [B, K, h, w]: choose a layer inside it`
    : `the model did not run ${path === "" ? layer : path} on its way to the logits; modules call their children by run(x), not forward(x)`;
  throw new BatchCamError("E_CONFIG", `explain: ${problem}`);
}

function expectLogits(logits: Tensor, x: Tensor): void {
  const [count] = x.sizes;
  if (logits.ndim === 2 && logits.sizes[0] === count) return;
  throw new BatchCamError(
    "E_SHAPE",
    `explain: the model must give logits [B=${count}, classes], got [${logits.shape.join(", ")}]`,
  );
}

function mapsOf(
  path: string,
  tap: Tensor,
  { x, reshapeTransform }: { x: Tensor; reshapeTransform: ReshapeTransform | undefined },
): Tensor {
  const maps = reshaped(tap, reshapeTransform);
  if (maps.ndim === 4 && !maps.sizes.includes(0) && maps.sizes[0] === x.sizes[0]) return maps;
  const advice = "choose a layer before the head, or give reshapeTransform, which takes its output to that layout";
  throw new BatchCamError(
    "E_CONFIG",
    `explain: layer ${path} gives [${maps.shape.join(", ")}], which is no map [B=${x.sizes[0]}, K, h, w]: ${advice}`,
  );
}

function reshaped(output: Tensor, reshapeTransform: ReshapeTransform | undefined): Tensor {
  if (reshapeTransform === undefined) return output;
  const maps = reshapeTransform(output.clone());
  if (!isTensor(maps)) throw wrongArgument("explain: what reshapeTransform gives", "a Tensor", maps);
  return maps;
}

/**
 * G = ∂(Σ_b score_b) / ∂A (B, K, h, w) of each target layer, by one vector-Jacobian product for the batch.
 *
 * @throws E_ARGUMENT where the score does not depend on a layer
 */
export function layerGradients(pass: Pass, target: Target, createGraph: boolean): Tensor[] {
  const taps = pass.layers.map(({ tap }) => tap);
  const gradients = scoreGradient(
    enableGrad(() => target.score(pass.logits).sum()),
    taps,
    createGraph,
  );
  return gradients.map((gradient) => single(reshaped(gradient, pass.reshapeTransform)));
}

/** Gradients of a score that stays usable for the next ones. */
export function scoreGradient(score: Tensor, inputs: readonly Tensor[], createGraph: boolean): Tensor[] {
  try {
    return grad(score, inputs, { createGraph, retainGraph: true });
  } catch (cause) {
    if (!isUnused(cause)) throw cause;
    throw new BatchCamError(
      "E_ARGUMENT",
      `explain: the target's score does not depend on every layer that is explained: choose layers on the way to the logits (${describeValue(inputs.length)} given)`,
      { cause },
    );
  }
}

/** Whether an error of `grad` says that the graph does not lead from output to input. */
export function isUnused(error: unknown): boolean {
  return /not have been used in the graph|does not require grad/.test(String(error));
}
