import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseTrainConfig, type TrainConfig } from "../config/index.ts";
import { type Dataset, disposeDataset, loadDataset } from "../data/index.ts";
import { BatchCamError } from "../errors.ts";
import { createModel } from "../models/index.ts";
import { loadSafetensors, type Tensor } from "../tensor/index.ts";
import { disposeAll } from "../train/checkpoint.ts";
import type { MapSamples, SplitRecord } from "../train/events.ts";
import { evaluateSplit, sampleMaps } from "../train/validation.ts";

export interface EvaluateOptions {
  /** Images at a time. */
  batchSize?: number;
}

/** What a checkpoint is worth on the test split. */
export interface Evaluation {
  checkpoint: string;
  config: TrainConfig;
  test: SplitRecord;
  samples: MapSamples;
}

/**
 * Evaluates a run's best epoch, or one checkpoint of it, on the test split.
 *
 * @param runOrCheckpoint a run directory, or a file in its `checkpoints/`
 * @throws E_CHECKPOINT where there is none, or it does not fit its run's model
 */
export async function evaluate(
  runOrCheckpoint: string,
  { batchSize = 250 }: EvaluateOptions = {},
): Promise<Evaluation> {
  const isFile = runOrCheckpoint.endsWith(".safetensors");
  const run = isFile ? dirname(dirname(runOrCheckpoint)) : runOrCheckpoint;
  const checkpoint = isFile ? runOrCheckpoint : join(run, "checkpoints", "best.safetensors");
  const config = await configOf(run, checkpoint);
  const dataset = await loadDataset(config.dataset, config.dataDir === undefined ? {} : { dataDir: config.dataDir });
  const saved = await loadSafetensors(join(run, "prototypes.safetensors"));
  const weights = await loadSafetensors(checkpoint);
  const model = modelOf(config, dataset);
  try {
    model.loadStateDict(weights);
    const options = {
      camLayer: config.camLayer ?? model.camLayer,
      prototypes: saved.get("prototypes") as Tensor,
      batchSize,
    };
    return {
      checkpoint,
      config,
      test: evaluateSplit(model, dataset.test, options),
      samples: sampleMaps(model, dataset.test, options),
    };
  } finally {
    model.dispose();
    disposeAll(saved, weights);
    disposeDataset(dataset);
  }
}

function modelOf({ model, head, norm }: TrainConfig, dataset: Dataset) {
  const [, inChannels = 1, imageSize = 28] = dataset.test.images.sizes;
  return createModel(model, { numClasses: dataset.numClasses, inChannels, imageSize, head, norm });
}

async function configOf(run: string, checkpoint: string): Promise<TrainConfig> {
  const path = join(run, "config.json");
  for (const file of [path, checkpoint]) {
    if (!existsSync(file))
      throw new BatchCamError("E_CHECKPOINT", `evaluate: ${run} is no finished run: it has no ${file}`);
  }
  return parseTrainConfig(JSON.parse(await readFile(path, "utf8")), { what: path });
}
