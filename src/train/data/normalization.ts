import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { figuresOf, type NormalizationChoice } from "../../config/internal.ts";
import { counted, wordFor } from "../../counted.ts";
import type { Normalization } from "../../data/index.ts";
import { IMAGENET_NORMALIZATION, NO_NORMALIZATION, normalizationForChannels } from "../../data/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { readRegularText } from "../../regular-file.ts";
import type { Tensor } from "../../tensor/index.ts";
import type { Parts } from "./owned-splits.ts";

/** The normalisation that an option names; null for that of the training images, the default. */
export function chosenNormalization({ normalization, mean, std }: NormalizationChoice): Normalization | null {
  const [means, deviations] = [mean, std].map((value) => (value === undefined ? null : figuresOf(value)));
  if (means && deviations) return { mean: means, std: deviations };
  if (normalization === "imagenet") return IMAGENET_NORMALIZATION;
  return normalization === "none" ? NO_NORMALIZATION : null;
}

/** Splits with the normalisation that a config chooses, which share the tensors of the given ones; the same splits if it chooses none. */
export function normalizedSplits(splits: Parts, config: NormalizationChoice): Parts {
  const chosen = chosenNormalization(config);
  if (chosen === null) return splits;
  const [, channels = 1] = splits.train.images.sizes;
  const normalization = normalizationForChannels(chosen, channels);
  if (normalization === null)
    throw new BatchCamError(
      "E_CONFIG",
      `mean: ${counted(chosen.mean.length, "number")} ${wordFor(chosen.mean.length, "was", "were")} given for images of ${counted(channels, "channel")}: give one for each`,
      { options: ["mean"] },
    );
  const entries = Object.entries(splits).map(([name, split]) => [name, { ...split, normalization }]);
  return Object.fromEntries(entries) as Parts;
}

/** The normalisation that weights were trained with, and the place where it is recorded. */
export interface BroughtNormalization {
  choice: NormalizationChoice;
  source: string;
}

/**
 * The normalisation that weights were trained with, as far as it is known: that of their run; that in a folder of transformers or timm;
 * ImageNet's for any other weights with three input channels. Null for other weights, and if the config sets the normalisation.
 *
 * @param path of the weights
 */
export async function broughtNormalization(
  path: string,
  weights: ReadonlyMap<string, Tensor>,
  config: NormalizationChoice = {},
): Promise<BroughtNormalization | null> {
  if (config.normalization !== undefined || config.mean !== undefined) return null;
  const run = await runOf(path);
  const known = run === null ? await ofFolder(path) : await ofRun(run);
  if (known !== null) {
    const source = run === null ? "as recorded in the folder of the weights" : "as recorded in the run of the weights";
    return { choice: { mean: known.mean.join(","), std: known.std.join(",") }, source };
  }
  return run !== null || channelsOf(weights) !== 3 ? null : OF_IMAGENET;
}

const OF_IMAGENET: BroughtNormalization = {
  choice: { normalization: "imagenet" },
  source: "ImageNet's, as weights of torchvision and timm expect; see --normalization for others",
};

/** The normalisation that an exported model expects: ImageNet's for three channels. Null for others, and if the config sets it. */
export function normalizationOfExported(
  { imageSize: [channels] }: { readonly imageSize: readonly (number | null)[] },
  { normalization, mean }: NormalizationChoice,
): BroughtNormalization | null {
  return normalization === undefined && mean === undefined && channels === 3 ? OF_IMAGENET : null;
}

/** "pixels are normalised by mean 0.5 and deviation 0.25, <source>" */
export const normalizationNote = (normalization: Normalization, source: string): string =>
  `normalization: pixels are normalised by ${figuresText(normalization)}, ${source}`;

const figuresText = ({ mean, std }: Normalization): string =>
  `mean ${mean.map(short).join(", ")} and deviation ${std.map(short).join(", ")}`;

const short = (figure: number): string => String(Number(figure.toPrecision(4)));

/** The number of input channels of the first convolution. */
function channelsOf(weights: ReadonlyMap<string, Tensor>): number | undefined {
  return (weights.get("conv1.weight") ?? weights.get("stem.0.weight"))?.sizes[1];
}

/** The run directory at a path, or the one that contains the checkpoint at that path; null if neither exists. */
async function runOf(path: string): Promise<string | null> {
  const parent = dirname(path);
  for (const folder of basename(parent) === "checkpoints" ? [path, dirname(parent)] : [path]) {
    const config = await readObject(join(folder, "config.json"));
    if (typeof config?.dataset === "string" && typeof config.experiment === "string") return folder;
  }
  return null;
}

/**
 * The normalisation that a run recorded in `data.json` or chose in its config; null for a run of a version that recorded none.
 */
async function ofRun(run: string): Promise<Normalization | null> {
  const data = asFigures((await readObject(join(run, "data.json")))?.normalization, "mean", "std");
  return data ?? chosenNormalization((await readObject(join(run, "config.json"))) ?? {});
}

/** The normalisation that transformers saves with its weights in `preprocessor_config.json`, and timm in `config.json`. */
async function ofFolder(path: string): Promise<Normalization | null> {
  const folder = existsSync(join(path, "config.json")) ? path : dirname(path);
  const own = (name: string) => readObject(join(folder, name));
  const transformers = asFigures(await own("preprocessor_config.json"), "image_mean", "image_std");
  return transformers ?? asFigures((await own("config.json"))?.pretrained_cfg, "mean", "std");
}

function asFigures(value: unknown, meanKey: string, stdKey: string): Normalization | null {
  const { [meanKey]: mean, [stdKey]: std } = (value ?? {}) as Record<string, unknown>;
  return isFigures(mean) && isFigures(std) && mean.length === std.length && std.every((one) => one > 0)
    ? { mean, std }
    : null;
}

const isFigures = (value: unknown): value is number[] => Array.isArray(value) && figuresOf(value as number[]) !== null;

/** Returns null if the file is missing or damaged. */
async function readObject(path: string): Promise<Record<string, unknown> | null> {
  try {
    const value: unknown = JSON.parse(await readRegularText(path));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}
