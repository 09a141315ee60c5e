import { expectString, wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { Module } from "../nn/index.ts";
import { describeOutput } from "../nn/internal.ts";
import { enableGrad, noGrad, type Tensor, tidy } from "../tensor/index.ts";
import { autocastDtype, isTensor, upcastHalf } from "../tensor/internal.ts";
import {
  logitsFor,
  type PassOptions,
  type ReshapeTransform,
  recordedForward,
  tappedForward,
  watchOutputs,
} from "./recorded-forward.ts";
import { scoreGradient, type Target } from "./targets.ts";

/** A target layer in one forward pass. */
export interface TargetLayer {
  readonly path: string;
  readonly module: Module;
  /** The layer's output, of its last run if it runs several times. The next layer reads a copy of it. */
  readonly tap: Tensor;
  /** How often the layer ran. */
  readonly runs: number;
  /**
   * Whether the layer returned its input or a view of it, and the memory of that tensor was changed in place
   * afterwards.
   */
  readonly sharesInput: boolean;
  /** A (B, K, h, w): the output, reshaped if a transform is given, or if the model has one for this layer. */
  readonly activations: Tensor;
  /** The transform that made the activations of the output. */
  readonly reshape: ReshapeTransform | undefined;
  /** Dimension of the output that holds the channels, if the caller gave no transform. */
  readonly channelDim: number;
}

/** The forward pass of a batch, with the outputs of its target layers. */
export interface Pass {
  readonly model: Module;
  /** (B, C, H, W) */
  readonly x: Tensor;
  /** (B, classes), before softmax; float32 or wider */
  readonly logits: Tensor;
  readonly layers: readonly TargetLayer[];
  /** The caller's transform. */
  readonly reshapeTransform: ReshapeTransform | undefined;
}

/** A transform that the model knows for its own layer, which says where the output has its channels. */
type OwnTransform = ReshapeTransform & { readonly channelDim?: number };

/** The transform that a model such as an imported ViT has for a layer. */
function ownTransform(model: Module, path: string): OwnTransform | undefined {
  const known = model as { reshapeTransformOf?: (layer: string) => OwnTransform | undefined };
  return typeof known.reshapeTransformOf === "function" ? known.reshapeTransformOf(path) : undefined;
}

/**
 * @throws E_CONFIG for a layer that did not run, or whose output is not a map; E_SHAPE for logits that are not (B, classes)
 */
export function forwardPass(model: Module, x: Tensor, options: PassOptions): Pass {
  const { layers, record, reshapeTransform } = options;
  const tapped = (joined: ReadonlySet<Module>) =>
    recordedForward(model, record === "everything", () => tappedForward(model, x, { ...options, joined }));
  let found = tapped(new Set());
  const { shared } = found;
  // Other layers that read the same input may depend on the change. Only a comparison of the logits shows whether they
  // do.
  if (
    record !== "nothing" &&
    shared.size > 0 &&
    !agree(
      found.logits,
      noGrad(() => logitsFor(model, x)),
    )
  )
    found = tapped(shared);
  const { logits, taps, runs } = found;
  expectLogits(logits, x);
  const targets = layers.map(([path, module]) => {
    const tap = tapOf(path, taps.get(module), runs.has(module));
    const own = reshapeTransform === undefined ? ownTransform(model, path) : undefined;
    const reshape = reshapeTransform ?? own;
    const activations = asMaps(path, tap, { x, reshapeTransform: reshape });
    const run = { runs: runs.get(module) as number, sharesInput: shared.has(module) };
    return { path, module, tap, ...run, activations, reshape, channelDim: own?.channelDim ?? 1 };
  });
  return { model, x, logits, layers: targets, reshapeTransform };
}

/** Whether two tensors of logits are equal up to rounding. */
export function agree(ours: Tensor, theirs: Tensor): boolean {
  const tolerance = autocastDtype() === null ? 1e-4 : 1e-2;
  return tidy(
    () => ours.detach().sub(theirs.detach()).abs().max().item() <= tolerance * theirs.detach().abs().max().item(),
  );
}

function tapOf(path: string, tap: Tensor | undefined, ran: boolean): Tensor {
  if (tap !== undefined && isTensor(tap)) return tap;
  const layer = path === "" ? "the model itself" : `layer ${path}`;
  const problem = ran
    ? `${layer} returned ${describeOutput(tap)}, but maps need a single tensor [B, K, h, w]: choose a layer inside it`
    : `the model did not run ${path === "" ? layer : path} on its way to the logits; call modules by run(x), not forward(x)`;
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

function asMaps(
  path: string,
  tap: Tensor,
  { x, reshapeTransform }: { x: Tensor; reshapeTransform: ReshapeTransform | undefined },
): Tensor {
  const maps = reshaped(tap, reshapeTransform);
  if (maps.ndim === 4 && !maps.sizes.includes(0) && maps.sizes[0] === x.sizes[0]) return maps;
  const advice = "choose a layer before the head, or give reshapeTransform, which converts its output to that layout";
  throw new BatchCamError(
    "E_CONFIG",
    `explain: layer ${path} gives [${maps.shape.join(", ")}], which is not a map [B=${x.sizes[0]}, K, h, w]: ${advice}`,
    { options: ["reshapeTransform"] },
  );
}

function reshaped(output: Tensor, reshapeTransform: ReshapeTransform | undefined): Tensor {
  if (reshapeTransform === undefined) return output;
  const maps = reshapeTransform(output.clone());
  if (!isTensor(maps)) throw wrongArgument("explain: the result of reshapeTransform", "a Tensor", maps);
  return maps;
}

/**
 * G = ∂(Σ_b score_b) / ∂A (B, K, h, w) of each target layer, by one vector-Jacobian product for the batch.
 *
 * @throws E_ARGUMENT if the score does not depend on a layer
 */
export function layerGradients(pass: Pass, target: Target, createGraph: boolean): Tensor[] {
  const taps = pass.layers.map(({ tap }) => tap);
  const gradients = scoreGradient(
    enableGrad(() => target.score(pass.logits).sum()),
    taps,
    createGraph,
  );
  return gradients.map((gradient, i) => upcastHalf(reshaped(gradient, pass.layers[i]?.reshape)));
}

type NamedLayer = readonly [path: string, module: Module];

/**
 * The target layers with their paths: the given ones, or the model's `camLayer`, or its last layer whose output has more than one pixel.
 *
 * @throws E_CONFIG for a path or a module that the model lacks, or a model without any map
 */
export function layersOf(
  model: Module,
  x: Tensor,
  { layer, layers }: { layer?: string | Module; layers?: readonly (string | Module)[] },
): NamedLayer[] {
  if (layer !== undefined && layers !== undefined)
    throw new BatchCamError(
      "E_ARGUMENT",
      "explain: layer and layers both name the target layer; leave one of them out",
    );
  if (layers !== undefined && (!Array.isArray(layers) || layers.length === 0))
    throw wrongArgument("explain: layers", "an array of at least one path or module", layers);
  const asked = layers ?? (layer === undefined ? [defaultLayer(model, x)] : [layer]);
  return asked.map((one) => (one instanceof Module ? pathOf(model, one) : byPath(model, one)));
}

function byPath(model: Module, path: string): NamedLayer {
  expectString("explain: layer", path);
  return [path, model.moduleAt(path, "explain")];
}

function pathOf(model: Module, module: Module): NamedLayer {
  for (const [path, candidate] of model.namedModules()) if (candidate === module) return [path, module];
  throw new BatchCamError("E_CONFIG", `explain: layer, a ${module.constructor.name}, is not a part of the model`);
}

function defaultLayer(model: Module, x: Tensor): string {
  const { camLayer } = model as { camLayer?: unknown };
  if (typeof camLayer === "string") return camLayer;
  let last: string | undefined;
  watchOutputs(model, x, ({ ndim, sizes }, path) => {
    const [, , height = 0, width = 0] = ndim === 4 ? sizes : [];
    if (height * width > 1) last = path;
  });
  if (last !== undefined) return last;
  throw new BatchCamError(
    "E_CONFIG",
    "explain: no layer of the model has an output of more than one pixel: name a layer",
  );
}
