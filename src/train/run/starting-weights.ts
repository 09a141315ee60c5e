import type { TrainConfig } from "../../config/index.ts";
import { GIVEN } from "../../config/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { type ExportedModel, loadPretrained, loadWeights, Model } from "../../models/index.ts";
import { familyOf, recognise } from "../../models/internal.ts";
import type { Module } from "../../nn/index.ts";
import { withoutStrictAdvice } from "../../nn/internal.ts";
import type { Tensor } from "../../tensor/index.ts";
import { broughtNormalization, normalizationOfExported } from "../data/normalization.ts";
import { disposeAll } from "./checkpoint.ts";

/** The initial weights of a run, the normalisation that they were trained with, and messages about both. */
export interface Start {
  /** The path that the weights were read from. */
  path: string;
  weights: ReadonlyMap<string, Tensor>;
  choice: Pick<TrainConfig, "normalization" | "mean" | "std">;
  /** The source of the normalisation; null if it is computed from the training images. */
  source: string | null;
  notes: readonly string[];
}

export const NO_START: Start = { path: "", weights: new Map(), choice: {}, source: null, notes: [] };

/** Reads the weights that a config names, before its data, which are normalised as the weights expect. */
export async function loadStart(config: TrainConfig, exported: ExportedModel | null): Promise<Start> {
  const { weights: path, weightsKey: key } = config;
  const asked = config.mean !== undefined || (config.normalization ?? "data") !== "data" ? "as the config says" : null;
  if (path === undefined) {
    const brought = exported === null ? null : normalizationOfExported(exported, config);
    return { ...NO_START, source: asked, ...brought } as Start;
  }
  const { weights, notes } = await loadWeights(path, { key });
  const brought = await broughtNormalization(path, weights, config);
  return {
    path,
    weights,
    choice: (brought?.choice ?? {}) as Start["choice"],
    source: brought?.source ?? asked,
    notes: notes.map((note) => `weights: ${note}`),
  };
}

/** Loads the weights into the model, and frees them. Returns messages on what was chosen and adapted. */
export function startModel(model: Module, start: Start, name: string): string[] {
  const { weights, notes } = start;
  if (weights.size === 0) return [...notes];
  try {
    return [...notes, ...startFrom(model, start, name).map((note) => `weights: ${note}`)];
  } finally {
    disposeAll(weights);
  }
}

/**
 * Initialises a model with weights from `loadWeights`, which the caller still owns. Returns what was adapted to its classes and
 * channels.
 *
 * @throws E_CHECKPOINT for weights that do not fit
 */
function startFrom(model: Module, { path, weights }: Start, name: string): string[] {
  try {
    if (model instanceof Model) return loadPretrained(model, weights).notes;
    model.loadStateDict(weights);
    return [];
  } catch (error) {
    if (!(error instanceof BatchCamError) || !["E_SHAPE", "E_CHECKPOINT"].includes(error.code)) throw error;
    const remedy = fittingOptions(model, weights, name);
    const advice =
      remedy === ""
        ? ""
        : `the weights are those of another network: give { ${remedy} } to train that one. The mismatch: `;
    throw new BatchCamError("E_CHECKPOINT", `weights: ${path}: ${advice}${withoutStrictAdvice(error.detail)}`, {
      cause: error,
    });
  }
}

/** The options of the config for the model that the weights belong to, if they differ: 'model: "resnet18", width: 16'. */
function fittingOptions(model: Module, weights: ReadonlyMap<string, Tensor>, name: string): string {
  const wanted = name === GIVEN ? null : recognise(weights);
  if (wanted === null || "looksLike" in wanted) return "";
  const made = recognise(model.stateDict());
  const own: Readonly<Record<string, unknown>> = { ...(made !== null && "name" in made ? made.options : {}) };
  const { inChannels } = wanted.options;
  if (inChannels !== own.inChannels && inChannels !== 3) return ""; // the weights fit no model for these images
  const known = Object.keys(familyOf(wanted.name)?.options ?? {});
  const isSame = wanted.name === name;
  const differing = Object.entries(wanted.options).filter(
    ([key, value]) => known.includes(key) && value !== undefined && !(isSame && own[key] === value),
  );
  const named = isSame ? differing : [["model", wanted.name], ...differing];
  return named.map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join(", ");
}
