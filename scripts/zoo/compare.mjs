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

// The largest relative errors that still agree, as in the fixtures of exported models. A guided gradient in float32 may also differ as
// much as PyTorch's own float32 differs from its float64, three times over, because the sums of two libraries round independently.
const LIMITS = { logits: 1e-3, tap: 1e-3, cam: 2e-3, gradient: 1e-3 };
const ROUNDINGS = 3;

/** @param {string} folder @param {string} name */
const open = (folder, name) => loadExportedModel(join(folder, `${name}.pt2`));

/**
 * The layer whose maps the model gives by default, and how its output is laid out.
 *
 * @param {string} folder
 * @param {string} name
 * @returns {Promise<Target | { refused: string }>}
 */
export async function targetOf(folder, name) {
  try {
    using model = await open(folder, name);
    const input = await loadSafetensors(join(folder, `${name}.input.safetensors`));
    const images = /** @type {Tensor} */ (input.get("x"));
    return tidy(() => {
      const { taps } = noGrad(() => model.forwardWith(images, { taps: [model.camLayer] }));
      const output = /** @type {Tensor} */ (taps[model.camLayer]);
      return { layer: model.camLayer, layout: layoutOf(output, model) };
    });
  } catch (error) {
    if (error instanceof BatchCamError) return { refused: error.message };
    throw error;
  }
}

/** @param {Tensor} output @param {ExportedModel} model @returns {Layout} */
function layoutOf(output, model) {
  const maps = model.reshapeTransform?.(output) ?? output;
  const [, , height = 0, width = 0] = maps.sizes;
  if (output.sizes.length === 3)
    return { kind: "tokens", prefix: (output.sizes[1] ?? 0) - height * width, height, width };
  return { kind: String(maps.sizes) === String(output.sizes) ? "maps" : "channels-last" };
}

/**
 * @param {string} folder
 * @param {string} name
 * @param {{ target: Target, rounding: number }} of
 * @returns {Promise<Outcome>}
 */
export async function compareNetwork(folder, name, { target, rounding }) {
  const input = await loadSafetensors(join(folder, `${name}.input.safetensors`));
  const reference = await loadSafetensors(join(folder, `${name}.reference.safetensors`));
  /** @param {string} key */
  const expected = (key) => /** @type {Tensor} */ (reference.get(key));
  using model = await open(folder, name);
  const [x, y, p] = ["x", "y", "p"].map((key) => /** @type {Tensor} */ (input.get(key)));
  if (x === undefined || y === undefined || p === undefined) throw new Error(`${name}: the input is incomplete`);
  const errors = tidy(() => {
    const { logits, taps } = noGrad(() => model.forwardWith(x, { taps: [target.layer] }));
    const { maps } = explain(model, x, { method: "GradCAM", targets: y, convention: "pytorch-grad-cam" });
    return {
      logits: relative(logits, expected("logits")),
      tap: relative(/** @type {Tensor} */ (taps[target.layer]), expected("tap")),
      cam: largest(maps, expected("cam")),
    };
  });
  const gradient = tidy(() => gradientError(model, { layer: target.layer, x, y, p }, reference));
  const limits = { ...LIMITS, gradient: Math.max(LIMITS.gradient, ROUNDINGS * rounding) };
  const all = { ...errors, gradient };
  const wrong = Object.entries(limits).filter(([key, limit]) => !(all[/** @type {keyof typeof all} */ (key)] <= limit));
  const verdict = wrong.map(([key, limit]) => `${key} above ${limit.toExponential(1)}`).join(", ");
  return { verdict: verdict || "passed", passed: wrong.length === 0, errors: all };
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
  const maps = batchCam(logits, output, y, { upsample: size, normalize: true, ...transformOf(model) });
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

/** @param {ExportedModel} model */
const transformOf = ({ reshapeTransform }) => (reshapeTransform === undefined ? {} : { reshapeTransform });
