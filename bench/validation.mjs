// Measures the time of a validation relative to forward passes of the same batches, which is the time that the network itself takes.

import { gatherBatch, loadDataset } from "batch-cam/data";
import { createModel } from "batch-cam/models";
import { autocast, capabilities, manualSeed, noGrad, rand, setNumThreads, tidy } from "batch-cam/tensor";
import { evaluateSplit } from "batch-cam/train";
import { spread } from "./statistics.mjs";

/** @import { Model } from "batch-cam/models" */
/** @import { Split } from "batch-cam/data" */
/** @import { NetworkSpec } from "./types.d.ts" */

const BATCH = 250;
const ROUNDS = 5;

/**
 * @param {NetworkSpec} spec
 * @param {{ threads: number, images: number, layerOf: (model: Model, image: readonly [number, number, number]) => string }} options
 */
export async function validationOverInference({ model: name, options, image }, { threads, images, layerOf }) {
  setNumThreads(threads);
  manualSeed(0);
  const { test } = await loadDataset("mnist");
  const split = { ...test, images: test.images.narrow(0, 0, images), labels: test.labels.narrow(0, 0, images) };
  const model = createModel(name, { numClasses: 10, inChannels: 1, ...options });
  const precision = { amp: capabilities().fastBfloat16, channelsLast: capabilities().fastBfloat16 };
  const settings = { camLayer: layerOf(model, image), prototypes: rand([10, 28, 28]), batchSize: BATCH, ...precision };
  /** @type {number[]} */
  const ratios = [];
  for (let round = -1; round < ROUNDS; round++) {
    const forward = timed(() => passes(model, split, precision));
    const began = performance.now();
    await evaluateSplit(model, split, settings);
    // The first round prepares kernels and memory.
    if (round >= 0) ratios.push((performance.now() - began) / forward);
  }
  return spread(ratios);
}

/** @param {() => void} fn */
function timed(fn) {
  const began = performance.now();
  fn();
  return performance.now() - began;
}

/**
 * Forward passes over a split, in evaluation mode.
 *
 * @param {Model} model
 * @param {Split} split
 * @param {{ amp: boolean, channelsLast: boolean }} precision
 */
function passes(model, split, { amp, channelsLast }) {
  model.eval();
  for (let from = 0; from < split.labels.numel; from += BATCH) {
    tidy(() =>
      noGrad(() => {
        const { images } = gatherBatch(
          split,
          Int32Array.from({ length: BATCH }, (_, i) => from + i),
        );
        const laid = channelsLast ? images.reshape([BATCH, 28, 28, 1]).permute([0, 3, 1, 2]) : images;
        const run = () => model.forward(laid);
        (amp ? autocast({ dtype: "bfloat16" }, run) : run()).argmax(1).data();
      }),
    );
  }
  model.train();
}
