import { createWriteStream } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { replaceFile, writeFileAtomically } from "../../atomic-file.ts";
import type { TrainConfig, TrainConfigInput } from "../../config/index.ts";
import { usesOption } from "../../config/internal.ts";
import { counted } from "../../counted.ts";
import { BatchCamError } from "../../errors.ts";
import { type ExportedModel, loadExportedModel } from "../../models/index.ts";
import { exportedName, isExportedPath } from "../../models/internal.ts";
import { readRegularText, sha256OfFile } from "../../regular-file.ts";
import type { ImagesAndClasses } from "./from-config.ts";
import type { OpenRun } from "./run-directory.ts";
import { EXPORTED_FILE, EXPORTED_RECORD } from "./run-file-names.ts";

// A run whose `model` is a .pt2 file keeps a copy of it, and the hash of that copy, so that it can be resumed, explained and moved
// without the original.

/** The record that a run keeps of the file it began with. */
interface ExportedRecord {
  /** The path as the config named it. */
  file: string;
  /** SHA-256 of the file and of the run's copy, in hexadecimal digits. */
  sha256: string;
  /** The version of torch that wrote it. */
  torchVersion: string;
}

/** The exported model that the config of a new run names; null for the name of a model, and for a run that is resumed. */
export async function exportedOfConfig({ model, resume }: TrainConfigInput): Promise<ExportedModel | null> {
  if (model === undefined || !isExportedPath(model) || (resume !== undefined && resume !== false)) return null;
  const sha256 = await sha256OfFile(model).catch(() => null); // a file that cannot be read is refused by the next line, in its words
  const exported = await openFloat32(model);
  if (sha256 !== null) HASHES.set(exported, sha256);
  return exported;
}

/** The hash of the file that each model of a new run was read from. */
const HASHES = new WeakMap<ExportedModel, string>();

/**
 * An exported model for images of float32, whatever dtype its file has. Training in less would lose small changes of the weights; the
 * option `amp` decides the dtype that a network computes in.
 */
export const openFloat32 = (path: string): Promise<ExportedModel> => loadExportedModel(path, { dtype: "float32" });

/**
 * The exported model of a run, from the run's copy; null for a run of another model.
 *
 * @throws E_CHECKPOINT if the copy is missing or is not the one that the run began with
 */
export async function exportedOfRun(directory: string, { model }: TrainConfig): Promise<ExportedModel | null> {
  if (!isExportedPath(model)) return null;
  const path = join(directory, EXPORTED_FILE);
  const record = await readRecord(directory);
  const found = await sha256OfFile(path).catch(() => null);
  if (found === record.sha256) return openFloat32(path);
  const problem = found === null ? "cannot be read" : "is not the file that the run began with";
  throw new BatchCamError(
    "E_CHECKPOINT",
    `${path} ${problem}: restore it from ${record.file}, whose SHA-256 was ${record.sha256}, or start a new run`,
  );
}

async function readRecord(directory: string): Promise<ExportedRecord> {
  const path = join(directory, EXPORTED_RECORD);
  try {
    const record = JSON.parse(await readRegularText(path)) as ExportedRecord;
    if (typeof record.sha256 !== "string" || typeof record.file !== "string") throw new Error("a field is missing");
    return record;
  } catch (cause) {
    const problem = `cannot read ${path}: ${(cause as Error).message}`;
    throw new BatchCamError("E_CHECKPOINT", `${problem}; restore it, or start a new run`, { cause });
  }
}

/** Copies the file into the folder of a new run, with a record of it. A run that starts again has its copy already. */
export async function keepExported(
  { directory, start }: Pick<OpenRun, "directory" | "start">,
  { model }: TrainConfig,
  exported: ExportedModel,
): Promise<void> {
  if (!isExportedPath(model)) return;
  const copy = join(directory, EXPORTED_FILE);
  if (start !== "restart") {
    const source = await open(model).catch((cause: Error) => {
      throw changed(model, `cannot be read any more (${cause.message})`);
    });
    // The stream closes the source.
    await replaceFile(copy, async (file) => {
      await pipeline(source.createReadStream(), createWriteStream("", { fd: file.fd, autoClose: false }));
    });
  }
  const sha256 = await sha256OfFile(copy);
  if (sha256 !== (HASHES.get(exported) ?? sha256)) throw changed(model, "has changed");
  const record: ExportedRecord = { file: model, sha256, torchVersion: exported.torchVersion };
  const text = JSON.stringify({ schemaVersion: 1, ...record }, null, 2);
  await writeFileAtomically(join(directory, EXPORTED_RECORD), `${text}\n`);
}

const changed = (path: string, how: string): BatchCamError =>
  new BatchCamError("E_IO", `train: model: ${path} ${how} since it was read: start the run again`, {
    options: ["model"],
  });

/**
 * The config with the size and channels of the model's images, if the data set resizes its images and the config leaves them open.
 *
 * @throws E_CONFIG if the model takes images that are not square, to which no data set resizes its images
 */
export function withImagesOf(exported: ExportedModel, input: TrainConfigInput): TrainConfigInput {
  if (!usesOption(input.dataset ?? "", "imageSize")) return input;
  const [channels, height, width] = exported.imageSize;
  if (height !== null && width !== null && height !== width)
    throw new BatchCamError(
      "E_CONFIG",
      `model: ${input.model} was exported for images of ${height}x${width} (height x width), and the images of the data set ${input.dataset} are made square: export the model for square images, or train it from a program, by train(config, { data }) of batch-cam/train`,
      { options: ["model"] },
    );
  const side = input.imageSize ?? height ?? width;
  const imageChannels = input.imageChannels ?? (channels === 1 ? 1 : undefined);
  return {
    ...input,
    ...(side === null ? {} : { imageSize: side }),
    ...(imageChannels === undefined ? {} : { imageChannels }),
  };
}

/**
 * Makes an exported model fit a data set. A model for another number of classes gets a new last layer. Returns messages on what was
 * changed.
 *
 * @param config of the run, which names the file and perhaps weights
 * @throws E_CONFIG if it takes images of another size
 */
export function fitExported(
  exported: ExportedModel,
  { numClasses, images }: ImagesAndClasses,
  { model: path, weights }: Pick<TrainConfig, "model" | "weights">,
): string[] {
  expectImagesFor(exported, images, { operation: "train", path });
  if (exported.numClasses === numClasses) return [];
  const before = exported.numClasses;
  exported.resetClassifier(numClasses);
  // Weights that are read afterwards may have the layer for these classes, and say so themselves if they do not.
  const start = weights === undefined ? ", which starts from random weights" : "";
  const change = `${exported.classifier} was replaced by a new layer${start}`;
  return [`model: ${exportedName(path)} has ${counted(before, "class")}, and the data have ${numClasses}: ${change}`];
}

/** Throws E_CONFIG unless an exported model takes these images, in batches of any number. */
export function expectImagesFor(
  { imageSize, fixedBatch }: Pick<ExportedModel, "imageSize" | "fixedBatch">,
  images: ImagesAndClasses["images"],
  { operation, path }: { operation: string; path: string },
): void {
  if (fixedBatch !== null)
    throw new BatchCamError(
      "E_CONFIG",
      `${operation}: model: ${path} was exported for exactly ${counted(fixedBatch, "image")} at a time, and the last batch of a split may have fewer: export it for any number of images; batch-cam export-recipe prints how`,
      { options: ["model"] },
    );
  const sizes = images.sizes.slice(1);
  if (imageSize.every((side, i) => side === null || side === sizes[i])) return;
  const wanted = imageSize.map((side) => side ?? "any").join("x");
  throw new BatchCamError(
    "E_CONFIG",
    `${operation}: model: ${path} was exported for ${wanted} (channels x height x width), and the data set gives ${sizes.join("x")}: leave imageSize and imageChannels out, so that images of your own are resized for the model, or export the model for these images`,
    { options: ["model"] },
  );
}
