import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expectInteger, expectPath, optionsOf } from "../arguments.ts";
import { parseTrainConfig, type TrainConfig } from "../config/index.ts";
import type { Split } from "../data/index.ts";
import { BatchCamError } from "../errors.ts";
import type { Model } from "../models/index.ts";
import { loadSafetensors, type Tensor } from "../tensor/index.ts";
import { disposeAll } from "../train/checkpoint.ts";
import type { MapSamples, SplitRecord } from "../train/events.ts";
import { camLayerOf, loadData, modelFor, usesBfloat16, usesChannelsLast } from "../train/from-config.ts";
import { evaluateSplit, type SplitEvaluationOptions, sampleMaps } from "../train/validation.ts";

export interface EvaluateOptions {
  /** Images at a time. */
  batchSize?: number;
}

/** What a checkpoint is worth on its run's test split. */
export interface Evaluation {
  checkpoint: string;
  config: TrainConfig;
  test: SplitRecord;
  samples: MapSamples;
}

/**
 * Evaluates a run's best epoch, or one checkpoint of it, on the test split and in the precision that its config names: on
 * the machine that trained it, the run's own test figures come out again.
 *
 * @param runOrCheckpoint a run directory, or a file in its `checkpoints/`
 * @throws E_CHECKPOINT where there is none, or it does not fit its run's model
 */
export async function evaluate(runOrCheckpoint: string, options: EvaluateOptions = {}): Promise<Evaluation> {
  return withCheckpoint(runOrCheckpoint, options, async ({ model, split, ...rest }) => ({
    checkpoint: rest.checkpoint,
    config: rest.config,
    test: await evaluateSplit(model, split, rest.options),
    samples: await sampleMaps(model, split, rest.options),
  }));
}

/** As `evaluate`, but only the maps of one test image of each class: a moment's work. */
export async function evaluateSamples(
  runOrCheckpoint: string,
  options: EvaluateOptions = {},
): Promise<Omit<Evaluation, "test">> {
  return withCheckpoint(runOrCheckpoint, options, async ({ model, split, ...rest }) => ({
    checkpoint: rest.checkpoint,
    config: rest.config,
    samples: await sampleMaps(model, split, rest.options),
  }));
}

interface Loaded {
  checkpoint: string;
  config: TrainConfig;
  model: Model;
  split: Split;
  options: SplitEvaluationOptions;
}

async function withCheckpoint<T>(
  runOrCheckpoint: string,
  given: EvaluateOptions,
  fn: (loaded: Loaded) => Promise<T>,
): Promise<T> {
  expectPath("evaluate: runOrCheckpoint", runOrCheckpoint);
  const { batchSize = 250 } = optionsOf("evaluate", given);
  expectInteger("evaluate: batchSize", batchSize, 1);
  const isFile = runOrCheckpoint.endsWith(".safetensors");
  const run = isFile ? dirname(dirname(runOrCheckpoint)) : runOrCheckpoint;
  const checkpoint = isFile ? runOrCheckpoint : join(run, "checkpoints", "best.safetensors");
  const config = await configOf(run, checkpoint);
  const saved = await loadSafetensors(join(run, "prototypes.safetensors"));
  const weights = await loadSafetensors(checkpoint);
  const data = await loadData(config);
  const model = modelFor(config, data.test);
  try {
    model.loadStateDict(weights);
    const camLayer = camLayerOf(config, model, data.test);
    const prototypes = saved.get("prototypes") as Tensor;
    const options = {
      ...{ camLayer, prototypes, batchSize },
      ...{ amp: usesBfloat16(config), channelsLast: usesChannelsLast(config) },
    };
    return await fn({ checkpoint, config, model, split: data.test, options });
  } finally {
    model.dispose();
    disposeAll(saved, weights);
    data.dispose();
  }
}

async function configOf(run: string, checkpoint: string): Promise<TrainConfig> {
  const path = join(run, "config.json");
  for (const file of [path, checkpoint]) {
    if (!existsSync(file))
      throw new BatchCamError("E_CHECKPOINT", `evaluate: ${run} is no finished run: it has no ${file}`);
  }
  return parseTrainConfig(JSON.parse(await readFile(path, "utf8")), { what: path });
}
