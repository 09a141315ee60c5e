// Computes for one exported network what zoo.py computes in PyTorch, and compares both.
import { join } from "node:path";
import { batchCam, explain } from "batch-cam/cam";
import { BatchCamError } from "batch-cam/errors";
import { crossEntropy } from "batch-cam/losses";
import { loadExportedModel } from "batch-cam/models";
import { grad, loadSafetensors, noGrad, tidy } from "batch-cam/tensor";

/** @import { Tensor } from "batch-cam/tensor" */
/** @typedef {Awaited<ReturnType<typeof loadExportedModel>>} ExportedModel */
/** @typedef {{ kind: string, prefix?: number, height?: number, width?: number }} Layout */
/** @typedef {{ layer: string, layout: Layout }} Target */
/** @typedef {{ verdict: string, passed: boolean | null, errors?: Record<string, number> }} Outcome */

// The largest relative errors that still agree. Numbers are compared in float64, in which any difference between the programs shows clearly; the
// inputs and the gradients of the reference are stored in float32. `logits32` is the network as it is used, in float32.
const LIMITS = { logits32: 1e-3, logits: 1e-6, tap: 1e-6, cam: 1e-5, gradient: 1e-5 };

/**
 * Calls `fn` with the network, and frees it.
 *
 * @template T
 * @param {string} folder
 * @param {string} name
 * @param {(model: ExportedModel) => T | Promise<T>} fn
 * @returns {Promise<T>}
 */
async function withNetwork(folder, name, fn) {
  const model = await loadExportedModel(join(folder, `${name}.pt2`));
  try {
    return await fn(model);
  } finally {
    model.dispose();
  }
}

/**
 * The layer whose maps the model gives by default, and how its output is laid out.
 *
 * @param {string} folder
 * @param {string} name
 * @returns {Promise<Target | { refused: string }>}
 */
export async function targetOf(folder, name) {
  try {
    const input = await loadSafetensors(join(folder, `${name}.input.safetensors`));
    const images = /** @type {Tensor} */ (input.get("x"));
    return await withNetwork(folder, name, (model) =>
      tidy(() => {
        const { taps } = noGrad(() => model.forwardWith(images, { taps: [model.camLayer] }));
        const output = /** @type {Tensor} */ (taps[model.camLayer]);
        return { layer: model.camLayer, layout: layoutOf(output, model) };
      }),
    );
  } catch (error) {
    if (error instanceof BatchCamError) return { refused: error.message };
    throw error;
  }
}

/** @param {Tensor} output @param {ExportedModel} model @returns {Layout} */
function layoutOf(output, model) {
  const maps = model.reshapeTransformOf(model.camLayer)?.(output) ?? output;
  const [, , height = 0, width = 0] = maps.sizes;
  if (output.sizes.length === 3)
    return { kind: "tokens", prefix: (output.sizes[1] ?? 0) - height * width, height, width };
  return { kind: String(maps.sizes) === String(output.sizes) ? "maps" : "channels-last" };
}

/**
 * @param {string} folder
 * @param {string} name
 * @param {Target} target
 * @returns {Promise<Outcome>}
 */
export async function compareNetwork(folder, name, target) {
  const input = await loadSafetensors(join(folder, `${name}.input.safetensors`));
  const reference = await loadSafetensors(join(folder, `${name}.reference.safetensors`));
  try {
    return await compare({ folder, name, target }, input, reference);
  } finally {
    for (const tensor of [...input.values(), ...reference.values()]) tensor.dispose();
  }
}

/**
 * @param {{ folder: string, name: string, target: Target }} network
 * @param {ReadonlyMap<string, Tensor>} input
 * @param {ReadonlyMap<string, Tensor>} reference
 * @returns {Promise<Outcome>}
 */
async function compare({ folder, name, target }, input, reference) {
  /** @param {string} key */
  const expected = (key) => /** @type {Tensor} */ (reference.get(key));
  const [images, y, p] = ["x", "y", "p"].map((key) => /** @type {Tensor} */ (input.get(key)));
  if (images === undefined || y === undefined || p === undefined) throw new Error(`${name}: the input is incomplete`);
  const errors = await withNetwork(folder, name, (model) =>
    tidy(() => {
      const logits32 = relative(
        noGrad(() => model.forward(images)),
        expected("logits32"),
      );
      model.to("float64");
      const x = images.to("float64");
      const { logits, taps } = noGrad(() => model.forwardWith(x, { taps: [target.layer] }));
      const { maps } = explain(model, x, { method: "GradCAM", targets: y, convention: "pytorch-grad-cam" });
      return {
        logits32,
        logits: relative(logits, expected("logits")),
        tap: relative(/** @type {Tensor} */ (taps[target.layer]), expected("tap")),
        cam: largest(maps, expected("cam")),
        gradient: gradientError(model, { layer: target.layer, x, y, p: p.to("float64") }, reference),
      };
    }),
  );
  const wrong = Object.entries(LIMITS).filter(
    ([key, limit]) => !(errors[/** @type {keyof typeof errors} */ (key)] <= limit),
  );
  const verdict = wrong.map(([key, limit]) => `${key} above ${limit.toExponential(1)}`).join(", ");
  return { verdict: verdict || "passed", passed: wrong.length === 0, errors };
}

/** @param {Tensor} a @param {Tensor} b */
const relative = (a, b) => a.sub(b).square().sum().sqrt().item() / (b.square().sum().sqrt().item() || 1);

/** @param {Tensor} a @param {Tensor} b */
const largest = (a, b) => a.sub(b).abs().max().item();

/**
 * The distance from PyTorch's gradient of CE + 0.5·mean((minmax(resized Grad-CAM) − p)²), relative to its length.
 *
 * @param {ExportedModel} model
 * @param {{ layer: string, x: Tensor, y: Tensor, p: Tensor }} of
 * @param {ReadonlyMap<string, Tensor>} reference
 */
function gradientError(model, { layer, x, y, p }, reference) {
  const { logits, taps } = model.forwardWith(x, { taps: [layer] });
  const output = /** @type {Tensor} */ (taps[layer]);
  const size = /** @type {[number, number]} */ (x.sizes.slice(-2));
  const maps = batchCam(logits, output, y, { upsample: size, normalize: true, ...transformOf(model, layer) });
  const loss = crossEntropy(logits, y).add(maps.sub(p).square().mean().mul(0.5));
  const names = [...model.namedParameters().keys()];
  const gradients = grad(loss, [...model.namedParameters().values()], { allowUnused: true });
  let squares = 0;
  let length = 0;
  for (const [key, value] of reference) {
    if (!key.startsWith("grad/")) continue;
    const own = gradients[names.indexOf(key.slice("grad/".length))];
    if (own === undefined || own === null) throw new Error(`${key}: the imported model has no such gradient`);
    squares += own.sub(value).square().sum().item();
    length += value.square().sum().item();
  }
  return Math.sqrt(squares / length);
}

/** @param {ExportedModel} model @param {string} layer */
function transformOf(model, layer) {
  const reshapeTransform = model.reshapeTransformOf(layer);
  return reshapeTransform === undefined ? {} : { reshapeTransform };
}
