import type { TrainConfig } from "../config/index.ts";
import { BatchCamError } from "../errors.ts";
import { familyOf } from "../models/families.ts";
import { loadPretrained, loadWeights, type Model } from "../models/index.ts";
import { recognise } from "../models/recognise.ts";
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

/** Weights that do not fit are the user's mistake here; if the stem is the reason, the error names the flag. */
function withStemHint(error: unknown, weights: ReadonlyMap<string, Tensor>): unknown {
  if (!(error instanceof BatchCamError) || error.code !== "E_SHAPE") return error;
  const flag = /conv1\.weight|stem\.0\.weight/.test(error.message) ? stemFlag(weights) : undefined;
  const hint = flag === undefined ? "" : `; the weights have another stem: add ${flag}`;
  return new BatchCamError("E_CHECKPOINT", `${error.message}${hint}`, { cause: error });
}

/** The flag that chooses the stem of weights, as their family recognises it. */
function stemFlag(weights: ReadonlyMap<string, Tensor>): string | undefined {
  const found = recognise(weights);
  if (found === null || "looksLike" in found) return undefined;
  const options = found.options as Readonly<Record<string, unknown>>;
  const option = familyOf(found.name)?.stemOptions.find((key) => options[key] !== undefined);
  return option === undefined ? undefined : `--${kebab(option)} ${options[option]}`;
}

const kebab = (key: string) => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** Names the model that the weights are for, if it is another one of this project's. */
function withModelHint(error: unknown, weights: ReadonlyMap<string, Tensor>, name: string): unknown {
  const found = recognise(weights);
  const isMisfit = error instanceof BatchCamError && error.message.includes("missing");
  if (!isMisfit || found === null || "looksLike" in found || found.name === name) return error;
  return new BatchCamError(error.code, `${error.message}; train the network of the weights: --model ${found.name}`, {
    cause: error,
  });
}
