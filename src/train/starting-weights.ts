import { MODEL_NAMES, type TrainConfig } from "../config/index.ts";
import { BatchCamError } from "../errors.ts";
import { likeliestArchitecture } from "../models/architecture.ts";
import { loadPretrained, loadWeights, type Model } from "../models/index.ts";
import type { Tensor } from "../tensor/index.ts";
import { disposeAll } from "./checkpoint.ts";
import { broughtNormalization } from "./normalization.ts";

/** What a run starts from: weights, what they say of the normalisation, and sentences on both. */
export interface Start {
  weights: ReadonlyMap<string, Tensor>;
  choice: Pick<TrainConfig, "normalization" | "mean" | "std">;
  /** Where the normalisation is from; null for the training images' own. */
  source: string | null;
  notes: readonly string[];
}

export const NO_START: Start = { weights: new Map(), choice: {}, source: null, notes: [] };

/** Reads the weights that a config names, before its data, which are normalised as the weights expect. */
export async function loadStart(config: TrainConfig): Promise<Start> {
  const { weights: path, weightsKey: key } = config;
  const asked = config.mean !== undefined || (config.normalization ?? "data") !== "data" ? "as the config says" : null;
  if (path === undefined) return { ...NO_START, source: asked };
  const { weights, notes } = await loadWeights(path, { key });
  const brought = await broughtNormalization(path, weights, config);
  return {
    weights,
    choice: (brought?.choice ?? {}) as Start["choice"],
    source: brought?.source ?? asked,
    notes: notes.map((note) => `weights: ${note}`),
  };
}

/** Puts the weights into the model, and frees them; sentences on what was chosen and adapted. */
export function startModel(model: Model, { weights, notes }: Start, name: string): string[] {
  if (weights.size === 0) return [...notes];
  try {
    return [...notes, ...startFrom(model, weights, name).map((note) => `weights: ${note}`)];
  } finally {
    disposeAll(weights);
  }
}

/**
 * Starts a model from weights that `loadWeights` gave, which stay the caller's. Returns what was adapted to its classes and channels.
 *
 * @throws E_CHECKPOINT for weights that do not fit
 */
function startFrom(model: Model, weights: ReadonlyMap<string, Tensor>, name: string): string[] {
  try {
    return loadPretrained(model, weights).notes;
  } catch (error) {
    throw withModelHint(withStemHint(error, weights), weights, name);
  }
}

/** Weights that do not fit are the user's mistake here; where the stem is the reason, the error names the flag. */
function withStemHint(error: unknown, weights: ReadonlyMap<string, Tensor>): unknown {
  if (!(error instanceof BatchCamError) || error.code !== "E_SHAPE") return error;
  const kernel = (weights.get("conv1.weight") ?? weights.get("stem.0.weight"))?.sizes[2] ?? 0;
  const flag = /conv1\.weight|stem\.0\.weight/.test(error.message) ? STEM_FLAGS[kernel] : undefined;
  const hint = flag === undefined ? "" : `; the weights have another stem: add ${flag}`;
  return new BatchCamError("E_CHECKPOINT", `${error.message}${hint}`, { cause: error });
}

/** Names the model that the weights are for, where it is another one of this project's. */
function withModelHint(error: unknown, weights: ReadonlyMap<string, Tensor>, name: string): unknown {
  const likely = likeliestArchitecture(weights);
  const isMisfit = error instanceof BatchCamError && error.message.includes("missing");
  const known: readonly string[] = MODEL_NAMES;
  if (!isMisfit || likely === null || likely === name || !known.includes(likely)) return error;
  return new BatchCamError(error.code, `${error.message}; train the network of the weights: --model ${likely}`, {
    cause: error,
  });
}

/** By the side of the first convolution's kernel. */
const STEM_FLAGS: Readonly<Record<number, string>> = {
  7: "--stem imagenet",
  4: "--patch-size 4",
  3: "--stem small",
  2: "--stem-stride 2",
  1: "--patch-size 1",
};
