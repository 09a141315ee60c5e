import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { TrainConfig } from "../../config/index.ts";
import { figuresOf, type NormalizationChoice } from "../../config/internal.ts";
import { counted, wordFor } from "../../counted.ts";
import type { Dataset, Normalization, Split } from "../../data/index.ts";
import { IMAGENET_NORMALIZATION, NO_NORMALIZATION, normalizationForChannels } from "../../data/splits/split.ts";
import { BatchCamError } from "../../errors.ts";
import { readRegularText } from "../../regular-file.ts";
import type { Tensor } from "../../tensor/index.ts";

/** The figures that a choice names; null for those of the training images, the default. */
export function chosenNormalization({ normalization, mean, std }: NormalizationChoice): Normalization | null {
  const [means, deviations] = [mean, std].map((value) => (value === undefined ? null : figuresOf(value)));
  if (means && deviations) return { mean: means, std: deviations };
  if (normalization === "imagenet") return IMAGENET_NORMALIZATION;
  return normalization === "none" ? NO_NORMALIZATION : null;
}

/** A data set with the normalisation that a config chooses, over the same tensors. */
export function normalizedDataset(dataset: Dataset, config: TrainConfig): Dataset {
  const chosen = chosenNormalization(config);
  if (chosen === null) return dataset;
  const [, channels = 1] = dataset.train.images.sizes;
  const normalization = normalizationForChannels(chosen, channels);
  if (normalization === null)
    throw new BatchCamError(
      "E_CONFIG",
      `mean: ${counted(chosen.mean.length, "number")} ${wordFor(chosen.mean.length, "was", "were")} given for images of ${counted(channels, "channel")}: give one for each`,
      { options: ["mean"] },
    );
  const apply = (split: Split): Split => ({ ...split, normalization });
  const val = dataset.val === undefined ? {} : { val: apply(dataset.val) };
  return { ...dataset, normalization, train: apply(dataset.train), test: apply(dataset.test), ...val };
}

/** A choice that weights bring with them, and where it is from. */
export interface BroughtNormalization {
  choice: NormalizationChoice;
  source: string;
}

/**
 * The normalisation that weights were trained with, as far as it is known: their run's; what a folder of transformers or
 * timm says; ImageNet's for any others that take three channels; null for the rest, and where the config chooses itself.
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
    const source = run === null ? "as the folder of the weights says" : "as in the run of the weights";
    return { choice: { mean: known.mean.join(","), std: known.std.join(",") }, source };
  }
  if (run !== null || channelsOf(weights) !== 3) return null;
  const source = "ImageNet's, as weights of torchvision and timm expect; see --normalization for others";
  return { choice: { normalization: "imagenet" }, source };
}

/** "pixels are normalised by mean 0.5 and deviation 0.25, <source>" */
export const normalizationNote = (normalization: Normalization, source: string): string =>
  `normalization: pixels are normalised by ${figuresText(normalization)}, ${source}`;

const figuresText = ({ mean, std }: Normalization): string =>
  `mean ${mean.map(short).join(", ")} and deviation ${std.map(short).join(", ")}`;

const short = (figure: number): string => String(Number(figure.toPrecision(4)));

/** Channels that the first convolution takes. */
function channelsOf(weights: ReadonlyMap<string, Tensor>): number | undefined {
  return (weights.get("conv1.weight") ?? weights.get("stem.0.weight"))?.sizes[1];
}

/** The run directory that a path names, or whose checkpoint it names; null where there is none. */
async function runOf(path: string): Promise<string | null> {
  const parent = dirname(path);
  for (const folder of basename(parent) === "checkpoints" ? [path, dirname(parent)] : [path]) {
    const config = await readObject(join(folder, "config.json"));
    if (typeof config?.dataset === "string" && typeof config.experiment === "string") return folder;
  }
  return null;
}

/** What a run keeps in `data.json`, or chose in its config; null for a run of a version that kept none. */
async function ofRun(run: string): Promise<Normalization | null> {
  const data = asFigures((await readObject(join(run, "data.json")))?.normalization, "mean", "std");
  return data ?? chosenNormalization((await readObject(join(run, "config.json"))) ?? {});
}

/** What transformers keeps beside its weights in `preprocessor_config.json`, and timm in `config.json`. */
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

/** null where there is none, or it is damaged: then nothing is known. */
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
