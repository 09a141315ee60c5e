import type { TrainConfig } from "../../config/index.ts";
import { GIVEN, OWN_DATA } from "../../config/internal.ts";
import { counted, wordFor } from "../../counted.ts";
import { type PrototypeShape, prototypeShape, type Split } from "../../data/index.ts";
import { thinClasses } from "../../data/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { BASELINES } from "../../losses/description.ts";
import { baselineNeeds } from "../../losses/internal.ts";
import { mapSize } from "../../models/index.ts";
import { familyOf } from "../../models/internal.ts";
import type { Module } from "../../nn/index.ts";
import { inWords } from "../../registry.ts";
import { tidy } from "../../tensor/index.ts";
import type { ConfiguredData } from "../data/configured-data.ts";
import { imagesPerStep } from "../loop/step.ts";
import type { Progress } from "./checkpoint.ts";
import type { TrainEvent } from "./events.ts";
import { camLayerOf } from "./from-config.ts";

/** With fewer validation images than this, the choice of the best epoch is unreliable. */
const FEW_IMAGES = 50;

/** With fewer steps than this, the model hardly learns anything. */
const FEW_STEPS = 10;

/** Steps after which batch norm's running statistics have forgotten their initial values: 0.9 to the power of 50 is 0.5 %. */
const STEPS_OF_NORM = 50;

/** Warnings for validation results that are unreliable because the running statistics have not settled. */
function normWarnings({ fastDevRun, weights }: TrainConfig, steps: number, model: Module): string[] {
  if (fastDevRun || weights !== undefined || steps >= STEPS_OF_NORM) return [];
  // The tensors of the state dict are separate handles, which the tidy frees.
  if (!tidy(() => [...model.stateDict().keys()]).some((name) => name.endsWith("running_mean"))) return [];
  return [
    `the validation results may lag behind training in a run of ${counted(steps, "step")}: batch norm's running statistics, which validation uses, take about ${STEPS_OF_NORM} steps to settle`,
  ];
}

/** Warnings for a run whose number of steps or of validation images is so small that its results are unreliable. */
export function sizeWarnings(
  config: TrainConfig,
  steps: number,
  { train, val, model }: Pick<ConfiguredData, "train" | "val"> & { model: Module },
): string[] {
  if (config.fastDevRun || config.overfitBatches !== undefined) return normWarnings(config, steps, model);
  const [images, judges, perStep] = [train.labels.numel, val.labels.numel, imagesPerStep(config)];
  const warnings: string[] = [];
  const isShort = steps < FEW_STEPS && config.maxSteps === undefined;
  const norms = normWarnings(config, steps, model);
  // More steps help against both, so they are one warning.
  if (isShort || perStep > images)
    warnings.push([stepsWarning(config, { steps, images, perStep, isShort }), ...norms].join("; "));
  else warnings.push(...norms);
  // For the user's own data, a warning about classes with few validation images says as much, and more precisely.
  const isNamed = (OWN_DATA.has(config.dataset) || config.dataset === GIVEN) && thinClasses([val]).length > 0;
  if (judges < FEW_IMAGES && config.limitVal === undefined && !isNamed)
    warnings.push(
      `there ${wordFor(judges, "is", "are")} only ${counted(judges, "validation image")}: one image changes the accuracy by which the best epoch is chosen by ${(100 / judges).toFixed(1)} % (see valImages)`,
    );
  return warnings;
}

/** One warning about few steps and about a step that takes more images than there are, with a batch size that makes more steps. */
function stepsWarning(
  { gradAccumSteps, batchSize, limitTrainBatches }: TrainConfig,
  { steps, images, perStep, isShort }: { steps: number; images: number; perStep: number; isShort: boolean },
): string {
  const few = isShort ? [`the run has only ${counted(steps, "step")}`] : [];
  const large =
    perStep > images
      ? [
          `a step takes ${counted(perStep, "image")}, and there ${wordFor(images, "is", "are")} only ${images}, so that each epoch has one step`,
        ]
      : [];
  // The largest power of two that makes an epoch of ten steps or more, and no batch of a single image.
  const wanted = 2 ** Math.floor(Math.log2(Math.max(2, images / (FEW_STEPS * gradAccumSteps))));
  const remedy =
    wanted < batchSize && limitTrainBatches === undefined
      ? `a smaller batchSize, such as batchSize ${wanted}, or more epochs make more steps`
      : "train for more epochs";
  return `${[...few, ...large].join(": ")}; ${remedy}`;
}

/** With fewer images than this, the shape in their mean is due to chance. */
const FEWEST_SHAPED = 20;

/**
 * The amount of shape in the prototypes that a run guides its maps to; null if it guides them to prototypes other than
 * those of their classes, and for very few images.
 */
export function guidedShape(config: TrainConfig, train: Split): PrototypeShape | null {
  const { plain, statistic, prototypes, fastDevRun, overfitBatches } = config;
  if (plain || statistic === "cam-ema" || prototypes !== "class") return null;
  if (fastDevRun || overfitBatches !== undefined || train.labels.numel < FEWEST_SHAPED) return null;
  return prototypeShape(train);
}

export function expectAnnotations({ baseline, dataset }: TrainConfig, data: ConfiguredData): void {
  if (baseline === undefined || !baselineNeeds(baseline).masks || data.train.masks !== undefined) return;
  data.dispose();
  const others = BASELINES.flatMap(({ name, needs }) => (needs.masks ? [] : [`"${name}"`]));
  const advice = `use a decoy set, or ${inWords(others, "or")}, which needs none`;
  throw new BatchCamError("E_CONFIG", `baseline: ${baseline} needs masks, and ${dataset} has none: ${advice}`);
}

/** The layer whose maps are guided, and their size. If the model cannot take the data set's images, the error is about the config. */
export function guidedLayer(
  config: TrainConfig,
  model: Module,
  split: Split,
): { camLayer: string; size: readonly [number, number] } {
  try {
    const camLayer = camLayerOf(config, model, split);
    model.moduleAt(camLayer, "camLayer"); // an error here names the option; the pass for the map's size would name forwardWith
    return { camLayer, size: mapSize(model, split.images.sizes.slice(1) as [number, number, number], camLayer) };
  } catch (cause) {
    if (!(cause instanceof BatchCamError) || cause.code !== "E_SHAPE") throw aboutLayer(cause);
    const advice = familyOf(config.model)?.misfitAdvice ?? "choose another model";
    throw new BatchCamError("E_CONFIG", `${cause.message}: ${advice}`, { cause });
  }
}

/** If a layer gives no map, the error names `camLayer`, the option that chose it. */
function aboutLayer(error: unknown): unknown {
  const isPlain = error instanceof BatchCamError && error.code === "E_CONFIG" && error.operation === undefined;
  return isPlain ? new BatchCamError(error.code, `camLayer: ${error.message}`, { cause: error }) : error;
}

/** A map of one cell cannot show where the model looks; one under 4x4 shows little. */
export function checkMapSize(
  size: readonly [number, number],
  camLayer: string,
  emit: (event: TrainEvent) => void,
): void {
  const [height, width] = size;
  if (height * width === 1) {
    throw new BatchCamError(
      "E_CONFIG",
      `camLayer: the maps of ${camLayer} are 1x1 at this image size; choose an earlier layer`,
    );
  }
  if (Math.min(height, width) < 4) {
    emit({
      type: "warning",
      message: `the maps of ${camLayer} are only ${height}x${width}; an earlier layer guides better`,
    });
  }
}

/** A resumed run cannot have fewer epochs than it has already begun. */
export function expectReachable({ epochs }: TrainConfig, { epoch, batch }: Progress): void {
  const begun = batch > 0 ? epoch : epoch - 1;
  if (begun <= epochs) return;
  const state = batch > 0 ? `the run is in epoch ${begun}` : `the run has already trained ${counted(begun, "epoch")}`;
  const further = batch > 0 ? `${begun} or more to end it later` : `more than ${begun} to train it further`;
  throw new BatchCamError(
    "E_CONFIG",
    `epochs: ${state}, so it cannot end after ${epochs}: leave epochs out to keep its own number, give ${further}, or start a new run with { experiment: NAME, epochs: ${epochs} }`,
  );
}
