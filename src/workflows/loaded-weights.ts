import { expectInteger, expectPath, optionsOf } from "../arguments.ts";
import { type NormalizationChoice, normalizationFault } from "../config/internal.ts";
import { counted } from "../counted.ts";
import type { Normalization } from "../data/index.ts";
import { NO_NORMALIZATION, normalizationForChannels } from "../data/internal.ts";
import { BatchCamError } from "../errors.ts";
import {
  createModel,
  describeWeights,
  loadPretrained,
  loadWeights,
  type Model,
  type ModelOptions,
} from "../models/index.ts";
import type { Tensor } from "../tensor/index.ts";
import {
  type BroughtNormalization,
  broughtNormalization,
  chosenNormalization,
  disposeAll,
  normalizationNote,
} from "../train/internal.ts";
import type { LoadedModel } from "./loaded-model.ts";

export interface WeightsOptions {
  /** The entry of a checkpoint that contains the weights; see `loadWeights`. */
  key?: string | undefined;
  /** The architecture (default: the one that is recognised from the weights). */
  model?: string | undefined;
  imageSize?: number | undefined;
  /**
   * Normalisation of pixels in [0, 1]. The default is that of the run or the folder that the weights come from, or else
   * ImageNet's for three channels.
   */
  normalization?: "imagenet" | "none" | undefined;
  /** Mean and standard deviation of pixels in [0, 1], one number for each channel, instead of a named normalisation. */
  mean?: string | readonly number[] | undefined;
  std?: string | readonly number[] | undefined;
  classNames?: readonly string[] | undefined;
}

/**
 * Opens weights that do not come from a run: everything that `loadWeights` reads, if it has a head. The caller disposes
 * of the result.
 *
 * @throws E_CHECKPOINT for weights of an unknown architecture, or of another one than was named
 */
export async function openWeights(path: string, options: WeightsOptions = {}): Promise<LoadedModel> {
  expectPath("openWeights: path", path);
  const known = ["key", "model", "imageSize", "normalization", "mean", "std", "classNames"] as const;
  const { key, model: name, imageSize, classNames, ...scale } = optionsOf("openWeights", options, known);
  const { weights, notes } = await loadWeights(path, { key });
  try {
    const found = describedWeights(path, weights);
    expectNamed(path, name, found.name);
    const model = modelOf(found, weights);
    try {
      const { inChannels = 3, numClasses = 0 } = found.options;
      if (inChannels !== 1 && inChannels !== 3)
        throw new BatchCamError(
          "E_CHECKPOINT",
          `openWeights: ${path}: pictures have 1 or 3 channels, the weights are for ${inChannels}`,
        );
      const side = imageSize ?? usualSide(found.options);
      expectInteger("openWeights: imageSize", side, 1);
      expectNames(classNames, numClasses);
      const brought = await broughtNormalization(path, weights, scale);
      const { normalization, source } = normalizationOf(brought, { channels: inChannels, scale });
      const scaled = source === null ? [] : [normalizationNote(normalization, source)];
      return {
        ...{ checkpoint: path, model, modelName: found.name, channels: inChannels, imageSize: [side, side] },
        normalization,
        classNames: classNames ?? Array.from({ length: numClasses }, (_, label) => String(label)),
        notes: [...notes.map((note) => `weights: ${note}`), ...scaled],
        camLayer: model.camLayer,
        dispose: () => model.dispose(),
      };
    } catch (error) {
      model.dispose();
      throw error;
    }
  } finally {
    disposeAll(weights);
  }
}

const NORMALIZING = ["normalization", "mean", "std"];

/** The normalisation that the caller chose, or that of the weights, or none. */
export function normalizationOf(
  brought: BroughtNormalization | null,
  { channels, scale }: { channels: number; scale: NormalizationChoice },
): { normalization: Normalization; source: string | null } {
  const fault = normalizationFault(scale);
  if (fault !== null)
    throw new BatchCamError("E_CONFIG", `openWeights: ${fault[0]} must be ${fault[1]}`, { options: NORMALIZING });
  const chosen = chosenNormalization(scale) ?? chosenNormalization(brought?.choice ?? {}) ?? NO_NORMALIZATION;
  const fitted = normalizationForChannels(chosen, channels);
  if (fitted !== null) return { normalization: fitted, source: brought?.source ?? null };
  const got = `${counted(chosen.mean.length, "number")} for weights of ${counted(channels, "channel")}`;
  throw new BatchCamError("E_CONFIG", `openWeights: mean must have a number for each channel, got ${got}`);
}

/** `describeWeights`, with errors that also name the file. */
function describedWeights(path: string, weights: ReadonlyMap<string, Tensor>): ReturnType<typeof describeWeights> {
  try {
    return describeWeights(weights);
  } catch (error) {
    if (!(error instanceof BatchCamError)) throw error;
    throw new BatchCamError(error.code, `openWeights: ${path}: ${error.detail}`, {
      cause: error,
      options: error.options,
    });
  }
}

function expectNamed(path: string, named: string | undefined, found: string): void {
  if (named === undefined || named === found) return;
  const problem = `openWeights: ${path}: the weights are those of ${found}, not of ${named}`;
  throw new BatchCamError("E_CHECKPOINT", `${problem}: leave the model out, or give { model: "${found}" }`);
}

/** Makes a model with these weights, which must fit it exactly. */
function modelOf(
  { name, options }: { name: string; options: ModelOptions },
  weights: ReadonlyMap<string, Tensor>,
): Model {
  const model = createModel(name, options);
  try {
    loadPretrained(model, weights);
    return model;
  } catch (error) {
    model.dispose();
    if (!(error instanceof BatchCamError) || error.code !== "E_SHAPE") throw error;
    throw new BatchCamError("E_CHECKPOINT", error.message, { cause: error });
  }
}

/** Side of the images of most networks. */
export const USUAL_SIDE = 224;

function usualSide({ imageSize, stem, stemStride, patchSize }: ModelOptions): number {
  const small = stem === "small" || stemStride === 2 || patchSize === 1;
  return imageSize ?? (small ? 28 : USUAL_SIDE);
}

/** Throws unless there is a name for each class, if there are names at all. */
export function expectNames(classNames: readonly string[] | undefined, numClasses: number): void {
  if (classNames === undefined || classNames.length === numClasses) return;
  throw new BatchCamError(
    "E_CONFIG",
    `openWeights: classNames must hold a name for each of the model's ${counted(numClasses, "class")}, got ${classNames.length}`,
  );
}
