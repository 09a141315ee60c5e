import { setImmediate } from "node:timers/promises";
import { expectFunction, expectSignal, expectString, optionsOf } from "../../arguments.ts";
import { batchCam, deadMaps, explain, normalizeMaps } from "../../cam/index.ts";
import { batchIndices, gatherPixels, normalize, type Split } from "../../data/index.ts";
import { expectSplit } from "../../data/internal.ts";
import { crossEntropy, distanceOf, l1, l2 } from "../../losses/index.ts";
import { distances } from "../../losses/internal.ts";
import { Coherence, EnergyInMask, foregroundMask } from "../../metrics/index.ts";
import { MOST_FOREGROUND } from "../../metrics/internal.ts";
import { expectModule } from "../../models/internal.ts";
import { inEvaluation, type Module } from "../../nn/index.ts";
import { interpolate, noGrad, type Tensor, tensor, tidy } from "../../tensor/index.ts";
import { expectTensor } from "../../tensor/internal.ts";
import type { MapSamples, SplitRecord } from "../run/events.ts";
import type { ModelWithData } from "../run/session-state.ts";
import { closedFormAt, closedFormOf } from "./objective.ts";
import { inPrecision, type Precision } from "./precision.ts";

export interface SplitEvaluationOptions {
  camLayer: string;
  /** (C, H, W): the prototypes that the maps are compared with. */
  prototypes: Tensor;
  amp?: boolean;
  channelsLast?: boolean;
  batchSize?: number;
  /** Called after each batch with its number of images. */
  onImages?: (count: number) => void;
  /** Aborting it rejects with its reason, between two batches. */
  signal?: AbortSignal | undefined;
}

/**
 * The eps of the normalisation, relative to the map's range. It is small enough to preserve the contrast of every map; training uses a
 * larger one.
 */
const SCALING = { eps: 1e-6, relative: true } as const;

const SSIM = distanceOf("ssim");

interface Explained {
  logits: Tensor;
  labels: Tensor;
  /** (B, C, H, W) in [0, 1] */
  pixels: Tensor;
  /** (B, H, W): the map of each image's own class, normalised */
  maps: Tensor;
  /** (B), bool */
  dead: Tensor;
}

function expectEvaluation(
  operation: string,
  model: Module,
  { split, options }: { split: Split; options: SplitEvaluationOptions },
): void {
  expectModule(operation, model);
  expectSplit(operation, split);
  const { camLayer, prototypes, onImages, signal } = optionsOf(operation, options, [
    ...(["camLayer", "prototypes", "amp", "channelsLast"] as const),
    ...(["batchSize", "onImages", "signal"] as const),
  ]);
  expectString(`${operation}: camLayer`, camLayer);
  expectTensor(prototypes, `${operation}: prototypes`);
  if (onImages !== undefined) expectFunction(`${operation}: onImages`, onImages);
  expectSignal(`${operation}: signal`, signal);
}

/** Computes logits and maps of some images of a split in evaluation mode, for all metrics of the trainer. Call it inside `tidy`. */
export function explainTrueClasses(
  model: Module,
  split: Split,
  indices: Int32Array,
  { camLayer, ...precision }: Precision & { camLayer: string },
): Explained {
  const pixels = gatherPixels(split, indices);
  const labels = split.labels.indexSelect(0, tensor(indices));
  const normalized = normalize(pixels, split.normalization);
  const { maps, logits } = inPrecision(normalized, precision, (images) => rawMaps(model, images, { camLayer, labels }));
  const size = pixels.sizes.slice(-2) as [number, number];
  return {
    logits,
    labels,
    pixels,
    maps: normalizeMaps(interpolate(maps, { size }), SCALING),
    dead: deadMaps(maps),
  };
}

/**
 * Grad-CAM maps of the true classes before resizing, (B, h, w), and the logits. If the head has a closed form, as in training, the
 * maps take no backward pass.
 */
function rawMaps(
  model: Module,
  images: Tensor,
  { camLayer, labels }: { camLayer: string; labels: Tensor },
): { maps: Tensor; logits: Tensor } {
  const head = closedFormAt(model, camLayer);
  if (head === null)
    return explain(model, images, { targets: labels, layer: camLayer, upsample: false, normalize: false });
  // If the layer gives the logits, it need not be tapped: its gradient, without a graph, is known.
  const hasReadout = head.readout !== undefined;
  return noGrad(() => {
    const { logits, taps } = model.forwardWith(images, { taps: hasReadout ? [camLayer, head.layer] : [camLayer] });
    const scores = logits.to("float32");
    const closedForm = hasReadout ? closedFormOf(head, taps[head.layer] as Tensor) : { weight: head.weight };
    const maps = batchCam(scores, taps[camLayer] as Tensor, labels, { head: closedForm, createGraph: false });
    return { maps, logits: scores };
  });
}

/**
 * Accuracy of a model on a split, and its maps of the true classes compared with the prototypes. Leaves parameters, gradients,
 * mode and batch-norm statistics unchanged.
 */
export async function evaluateSplit(
  model: Module,
  split: Split,
  options: SplitEvaluationOptions,
): Promise<SplitRecord> {
  expectEvaluation("evaluateSplit", model, { split, options });
  const sums = { crossEntropy: 0, l1: 0, l2: 0, ssim: 0, foreground: 0 };
  const [seen, right] = [new Array<number>(split.numClasses).fill(0), new Array<number>(split.numClasses).fill(0)];
  using coherence = new Coherence(split.numClasses);
  const energy = new EnergyInMask();
  const images = split.labels.numel;
  await inEvaluation(model, async () => {
    for (const indices of batchIndices(images, { batchSize: options.batchSize ?? 250, shuffle: false })) {
      tidy(() => {
        const { logits, labels, pixels, maps } = explainTrueClasses(model, split, indices, options);
        const own = options.prototypes.indexSelect(0, labels);
        const hits = logits.argmax(1).eq(labels).data() as Uint8Array;
        for (const [i, label] of (labels.data() as BigInt64Array).entries()) {
          seen[Number(label)] = (seen[Number(label)] as number) + 1;
          right[Number(label)] = (right[Number(label)] as number) + (hits[i] as number);
        }
        sums.crossEntropy += crossEntropy(logits, labels, { reduction: "sum" }).item();
        sums.l1 += l1(maps, own).sum().item();
        sums.l2 += l2(maps, own).sum().item();
        sums.ssim += labels.numel - noGrad(() => distances(SSIM, [maps, own]).sum().item());
        const foreground = foregroundMask(pixels);
        sums.foreground += foreground.to("float32").mean([1, 2]).sum().item();
        energy.update(maps, foreground);
        coherence.update(maps, labels);
      });
      options.onImages?.(indices.length);
      await setImmediate(); // gives signals a chance to be handled
      options.signal?.throwIfAborted();
    }
  });
  const mean = (sum: number) => sum / images;
  const { mean: energyInForeground, dead } = energy.summary();
  return {
    split: split.name === "test" ? "test" : "val",
    images,
    accuracy: mean(right.reduce((sum, n) => sum + n, 0)),
    classAccuracy: right.map((hits, label) => hits / (seen[label] as number)),
    crossEntropy: mean(sums.crossEntropy),
    mapL1: mean(sums.l1),
    mapL2: mean(sums.l2),
    mapSsim: mean(sums.ssim),
    coherence: coherence.summary().mean,
    deadMaps: mean(dead),
    energyInForeground: mean(sums.foreground) > MOST_FOREGROUND ? Number.NaN : energyInForeground,
  };
}

/** The index of the first image of each class in a split, without classes that have no images. */
export function firstOfEachClass({ labels, numClasses }: Split): Int32Array {
  const all = Array.from(labels.data() as BigInt64Array, Number);
  const first = Array.from({ length: numClasses }, (_, label) => all.indexOf(label));
  return Int32Array.from(first.filter((index) => index >= 0));
}

/** The first image of each class of a split with its map, for figures: the same images at every epoch. */
export async function sampleMaps(model: Module, split: Split, options: SplitEvaluationOptions): Promise<MapSamples> {
  expectEvaluation("sampleMaps", model, { split, options });
  const [height, width] = split.images.sizes.slice(-2) as [number, number];
  const chosen = firstOfEachClass(split);
  const arrays = (stacked: Tensor) => stacked.unbind(0).map((image) => image.data() as Float32Array);
  return inEvaluation(model, () =>
    tidy(() => {
      const { logits, labels, pixels, maps, dead } = explainTrueClasses(model, split, chosen, options);
      return {
        classNames: split.classNames,
        height,
        width,
        images: arrays(pixels),
        labels: Array.from(labels.data() as BigInt64Array, Number),
        predictions: Array.from(logits.argmax(1).data() as BigInt64Array, Number),
        maps: arrays(maps),
        dead: Array.from(dead.data() as Uint8Array, Boolean),
        prototypes: arrays(options.prototypes),
      };
    }),
  );
}

/** The options by which a run validates and tests its model. */
export const validationOptions = (
  { camLayer, prototypes, amp, channelsLast }: ModelWithData,
  signal?: AbortSignal,
): SplitEvaluationOptions => ({
  camLayer,
  prototypes,
  amp,
  channelsLast,
  signal,
});
