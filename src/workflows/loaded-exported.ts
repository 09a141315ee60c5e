import { expectInteger } from "../arguments.ts";
import { parseTrainConfig, type TrainConfigInput } from "../config/index.ts";
import { counted } from "../counted.ts";
import { prototypes as classPrototypes, type Split } from "../data/index.ts";
import { BatchCamError } from "../errors.ts";
import { type ExportedModel, loadWeights } from "../models/index.ts";
import { exportedName } from "../models/internal.ts";
import { withoutStrictAdvice } from "../nn/internal.ts";
import { keep } from "../tensor/index.ts";
import {
  camLayerOf,
  disposeAll,
  expectImagesFor,
  type JudgedSplit,
  loadData,
  normalizationNote,
  normalizationOfExported,
  openFloat32,
  precisionOf,
  prototypeOptions,
  withImagesOf,
} from "../train/internal.ts";
import type { LoadedModel, LoadedRun } from "./loaded-model.ts";
import { expectNames, normalizationOf, USUAL_SIDE, type WeightsOptions } from "./loaded-weights.ts";

/**
 * Opens a model that torch.export wrote, with its own weights or others. The caller disposes of the result.
 *
 * @throws what `loadExportedModel` throws; E_CHECKPOINT for weights that are not the model's; E_CONFIG for images that it does not take
 */
export async function openExported(
  path: string,
  { weights, key, imageSize, classNames, normalization, mean, std }: ExportedOptions = {},
): Promise<LoadedModel> {
  const model = await openFloat32(path);
  try {
    const notes = weights === undefined ? [] : await replaceWeights({ model, file: path }, weights, key);
    const channels = channelsOf(model, path);
    const scale = { normalization, mean, std };
    const chosen = normalizationOf(normalizationOfExported(model, scale), { channels, scale });
    const scaled = chosen.source === null ? [] : [normalizationNote(chosen.normalization, chosen.source)];
    expectNames(classNames, model.numClasses);
    const camLayer = model.camLayers.length === 0 ? null : model.camLayer;
    return {
      ...{ checkpoint: weights ?? path, model, modelName: exportedName(path), channels },
      ...{ imageSize: sidesOf(model, path, imageSize), normalization: chosen.normalization },
      classNames: classNames ?? Array.from({ length: model.numClasses }, (_, label) => String(label)),
      notes: [...notes, ...layerNote(model, camLayer), ...scaled],
      camLayer,
      dispose: () => model.dispose(),
    };
  } catch (error) {
    model.dispose();
    throw error;
  }
}

const layerNote = (model: ExportedModel, layer: string | null): string[] =>
  layer === null ? [] : [`target layer: ${layer}, which gives ${model.layoutOf(layer)}`];

/**
 * Opens an exported model with the data set that a config names, as `openRun` opens a run. The prototypes are those of the training
 * images. The caller disposes of the result.
 *
 * @param operation the operation at the start of errors
 * @param judged the split that it is judged on, which the notes are about
 * @throws E_CONFIG for images of another size; E_DATA for data with another number of classes
 */
export async function openExportedOn(
  input: TrainConfigInput & { model: string },
  operation: string,
  judged: JudgedSplit = "test",
): Promise<LoadedRun> {
  const path = input.model;
  const model = await openFloat32(path);
  const dispose: (() => void)[] = [() => model.dispose()];
  const disposeEach = () => {
    for (const one of dispose.splice(0)) one();
  };
  try {
    const chosen = normalizationOfExported(model, input)?.choice ?? {};
    const config = parseTrainConfig({ ...withImagesOf(model, input), ...chosen, plain: true }, { what: operation });
    const found = await loadData(config, { judged });
    dispose.push(() => found.dispose());
    const test = found.test ?? found.val;
    expectImagesFor(model, test.images, { operation, path });
    expectClassesOf(model, test, { operation, path });
    const prototypes = keep(
      await classPrototypes(
        found.train,
        prototypeOptions(config, () => {}),
      ),
    );
    dispose.push(() => prototypes.dispose());
    const [, channels, ...imageSize] = test.images.sizes as readonly [number, 1 | 3, number, number];
    return {
      ...{ checkpoint: path, model, modelName: exportedName(path), channels, imageSize, notes: found.warnings },
      ...{ normalization: test.normalization, classNames: test.classNames, camLayer: camLayerOf(config, model, test) },
      ...{ config, data: { ...found, test, config, differences: [] }, prototypes, ...precisionOf(config) },
      dispose: disposeEach,
    };
  } catch (error) {
    disposeEach();
    throw error;
  }
}

function expectClassesOf(
  model: ExportedModel,
  { numClasses }: Split,
  { operation, path }: { operation: string; path: string },
): void {
  if (model.numClasses === numClasses) return;
  throw new BatchCamError(
    "E_DATA",
    `${operation}: ${path} has ${counted(model.numClasses, "class")}, and the data have ${numClasses}: give data with the model's classes, or train it on these first`,
  );
}

export interface ExportedOptions extends Omit<WeightsOptions, "model"> {
  /** Weights for the model instead of those of its file: what `loadWeights` reads. */
  weights?: string | undefined;
}

async function replaceWeights(
  { model, file }: { model: ExportedModel; file: string },
  path: string,
  key: string | undefined,
): Promise<string[]> {
  const { weights, notes } = await loadWeights(path, { key });
  try {
    const classes = weights.get(`${model.classifier}.weight`)?.sizes[0];
    if (classes !== undefined && classes !== model.numClasses) model.resetClassifier(classes);
    model.loadStateDict(weights);
    return notes.map((note) => `weights: ${note}`);
  } catch (error) {
    if (!(error instanceof BatchCamError)) throw error;
    throw new BatchCamError(
      "E_CHECKPOINT",
      `openExported: ${path} has the weights of another model than ${file} (${withoutStrictAdvice(error.detail)}): give weights that were saved from this model, or leave the weights out to use those of the .pt2 file`,
      { cause: error },
    );
  } finally {
    disposeAll(weights);
  }
}

function channelsOf({ imageSize: [channels] }: ExportedModel, path: string): 1 | 3 {
  if (channels === 1 || channels === 3 || channels === null) return channels ?? 3;
  throw new BatchCamError(
    "E_DATA",
    `openExported: ${path}: pictures have 1 or 3 channels, the model takes ${channels}`,
  );
}

/** Height and width of the images: those of the file or, if it leaves them open, the chosen side. */
function sidesOf(model: ExportedModel, path: string, side: number | undefined): [number, number] {
  const [, height, width] = model.imageSize;
  if (side !== undefined) expectInteger("openExported: imageSize", side, 1);
  const fixed = [height, width].find((length) => length !== null && side !== undefined && length !== side);
  if (fixed !== undefined)
    throw new BatchCamError(
      "E_CONFIG",
      `openExported: imageSize: ${path} was exported for images of ${height ?? "any"}x${width ?? "any"}: leave imageSize out`,
    );
  return [height ?? side ?? USUAL_SIDE, width ?? side ?? USUAL_SIDE];
}
