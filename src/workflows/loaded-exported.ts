import { expectInteger } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { type ExportedModel, loadExportedModel, loadWeights } from "../models/index.ts";
import { exportedName } from "../models/internal.ts";
import { disposeAll, normalizationNote, normalizationOfExported } from "../train/internal.ts";
import type { LoadedModel } from "./loaded-model.ts";
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
  const model = await loadExportedModel(path);
  try {
    const notes = weights === undefined ? [] : await replaceWeights(model, weights, key);
    const channels = channelsOf(model, path);
    const scale = { normalization, mean, std };
    const chosen = normalizationOf(normalizationOfExported(model, scale), { channels, scale });
    const scaled = chosen.source === null ? [] : [normalizationNote(chosen.normalization, chosen.source)];
    expectNames(classNames, model.numClasses);
    const layout = model.layoutOf(model.camLayer);
    return {
      ...{ checkpoint: weights ?? path, model, modelName: exportedName(path), channels },
      ...{ imageSize: sidesOf(model, path, imageSize), normalization: chosen.normalization },
      classNames: classNames ?? Array.from({ length: model.numClasses }, (_, label) => String(label)),
      notes: [...notes, `target layer: ${model.camLayer}, which gives ${layout}`, ...scaled],
      camLayer: model.camLayer,
      dispose: () => model.dispose(),
    };
  } catch (error) {
    model.dispose();
    throw error;
  }
}

export interface ExportedOptions extends Omit<WeightsOptions, "model"> {
  /** Weights for the model instead of those of its file: what `loadWeights` reads. */
  weights?: string | undefined;
}

async function replaceWeights(model: ExportedModel, path: string, key: string | undefined): Promise<string[]> {
  const { weights, notes } = await loadWeights(path, { key });
  try {
    const classes = weights.get(`${model.classifier}.weight`)?.sizes[0];
    if (classes !== undefined && classes !== model.numClasses) model.resetClassifier(classes);
    model.loadStateDict(weights);
    return notes.map((note) => `weights: ${note}`);
  } catch (error) {
    if (!(error instanceof BatchCamError)) throw error;
    throw new BatchCamError("E_CHECKPOINT", `openExported: ${path}: ${error.detail}`, { cause: error });
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
