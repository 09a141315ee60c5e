import { setImmediate } from "node:timers/promises";
import { expectFunction, expectInteger, expectSignal, optionsOf } from "../../arguments.ts";
import { GIVEN } from "../../config/internal.ts";
import { batchIndices, disposeSplit, gatherPixels, normalize, type Split } from "../../data/index.ts";
import { CUE_SETS, type CuedImages, type CueSet, readCueSets } from "../../data/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { fullDefinition, MEASURES } from "../../measures.ts";
import { EnergyInMask, WrongReason } from "../../metrics/index.ts";
import { inEvaluation } from "../../nn/index.ts";
import { noGrad, type Tensor, tensor, tidy } from "../../tensor/index.ts";
import { datasetOptions, explainTrueClasses, inPrecision, limitTest } from "../../train/internal.ts";
import { type LoadedRun, openRun, type RunDataOptions } from "../loaded-model.ts";

export type { CueSet } from "../../data/internal.ts";

/** How much a model relies on a spurious cue of its training images. */
export interface SpuriousRecord {
  /** Number of images in each test set. */
  images: number;
  /** Accuracy on each test set, from 0 to 1. */
  accuracy: Record<CueSet, number>;
  /** The lowest accuracy of any class that has images, from 0 to 1. */
  worstClass: Record<CueSet, number>;
  /**
   * The mean fraction of a map's sum that is on the patch, over the random set without dead maps. Null if the cue has no position of its
   * own or if every map is dead. By chance it would be the patch's fraction of the image.
   */
  energyInPatch: number | null;
  /**
   * The fraction of the patch's pixels whose map value is above the mean of all maps of the random set (XIL), and the number of dead maps
   * that were left out. Null if the cue has no position of its own or if every map is dead.
   */
  wrongReason: { score: number; dropped: number } | null;
}

/** Definitions of the fields of a `SpuriousRecord`, for readers of the file. */
export const SPURIOUS_DEFINITIONS = {
  aligned: fullDefinition(MEASURES.alignedAccuracy),
  random: fullDefinition(MEASURES.randomAccuracy),
  clean: fullDefinition(MEASURES.cleanAccuracy),
  adversarial: fullDefinition(MEASURES.adversarialAccuracy),
  worstClass: fullDefinition(MEASURES.worstClass),
  energyInPatch: fullDefinition(MEASURES.energyInPatch),
  wrongReason: fullDefinition(MEASURES.wrongReason),
} as const;

export interface SpuriousOptions extends RunDataOptions {
  /** Images per forward pass (default: 250). */
  batchSize?: number;
  /** Called after each batch with its number of images and the number of images in all sets. */
  onImages?: (count: number, total: number) => void;
  /** If it is aborted, the promise rejects with its reason after the current batch. */
  signal?: AbortSignal | undefined;
}

/**
 * Opens a run's best epoch, or one of its checkpoints, and measures how much it relies on the cue of its data set: see `spuriousRecord`.
 * Returns null if the data set has no cue; `decoy-mnist`, `decoy-fashion-mnist` and `color-mnist` have one.
 *
 * @param runOrCheckpoint a run directory, or a file in its `checkpoints/`
 * @throws E_CHECKPOINT if there is no checkpoint or it does not fit its run's model; E_NUMERIC for logits that are not finite
 */
export async function evaluateSpurious(
  runOrCheckpoint: string,
  options: SpuriousOptions = {},
): Promise<SpuriousRecord | null> {
  const known = ["batchSize", "onImages", "signal", "dataDir", "acceptNewData", "data", "model", "onWarning"] as const;
  const { batchSize, onImages, signal, ...data } = optionsOf("evaluateSpurious", options, known);
  if (batchSize !== undefined) expectInteger("evaluateSpurious: batchSize", batchSize, 1);
  if (onImages !== undefined) expectFunction("evaluateSpurious: onImages", onImages);
  expectSignal("evaluateSpurious: signal", signal);
  const subject = await openRun(runOrCheckpoint, "evaluateSpurious", data);
  try {
    return await spuriousRecord(subject, options);
  } finally {
    subject.dispose();
  }
}

/**
 * Evaluates a run's model on four test sets that differ only in the cue. If the cue is a patch, it also evaluates the Grad-CAM maps of the
 * true class on the random set. Returns null for a run on a data set without a cue. The images are the run's own test images, in its
 * precision and memory layout and with the normalisation of its training images. A patch is in the same corner of an image in every set.
 *
 * - `aligned`: the cue of the image's own class, as in training;
 * - `random`: the cue of a class drawn uniformly from all ten, which is right for one image in ten; for decoys of the variant "rrr" this is
 * the run's test set;
 * - `clean`: no patch; for colours the grey image in all three channels, which is brighter than any training image;
 * - `adversarial`: the cue of class 9 − y, which is never right; for colours this is the run's test set. The variant "cdep" has a different
 * test set, with the grey 25·y, which is that of class 10 − y less 5: the run's own test accuracy is measured on it, and none of these
 * four.
 *
 * @throws E_NUMERIC for logits that are not finite
 */
export async function spuriousRecord(
  subject: LoadedRun,
  options: SpuriousOptions = {},
): Promise<SpuriousRecord | null> {
  const { batchSize = 250, onImages = () => {}, signal } = options;
  const { model, config } = subject;
  if (config.dataset === GIVEN) return null;
  const cued = await readCueSets(config.dataset, datasetOptions(config));
  if (cued === null) return null;
  const maps = new PatchMetrics(subject);
  const judged = await inEvaluation(model, async () => {
    const found: [CueSet, SplitAccuracy][] = [];
    for (const set of CUE_SETS) {
      const split = splitOf(cued(set), subject);
      const logits = set === "random" && split.masks !== undefined ? maps.logits : plainLogits(subject);
      try {
        found.push([set, await accuracyOf(split, logits, { batchSize, onImages, signal })]);
      } finally {
        disposeSplit(split);
      }
    }
    return found;
  });
  const each = (figure: "accuracy" | "worstClass") =>
    Object.fromEntries(judged.map(([set, value]) => [set, value[figure]])) as Record<CueSet, number>;
  const images = subject.data.test.labels.numel;
  return { images, accuracy: each("accuracy"), worstClass: each("worstClass"), ...maps.figures() };
}

/** The images that the run is tested on, selected from all test images with a cue. It takes ownership of the tensors. */
function splitOf(cued: CuedImages, { config, data: { test } }: LoadedRun): Split {
  const { masks: _, ...about } = test;
  const whole: Split = { ...about, ...cued };
  const limited = limitTest(whole, config);
  if (limited !== whole) disposeSplit(whole);
  return limited;
}

/** Computes the logits (B, C) of some images of a split. */
type Logits = (split: Split, indices: Int32Array) => Tensor;

const plainLogits =
  (subject: LoadedRun): Logits =>
  (split, indices) =>
    noGrad(() => {
      const images = normalize(gatherPixels(split, indices), split.normalization);
      return inPrecision(images, subject, (laid) => subject.model.forward(laid));
    });

interface SplitAccuracy {
  accuracy: number;
  worstClass: number;
}

/** The accuracy on a split, over all images and for the class with the lowest accuracy. */
async function accuracyOf(
  split: Split,
  logitsOf: Logits,
  {
    batchSize,
    onImages,
    signal,
  }: Required<Pick<SpuriousOptions, "batchSize" | "onImages">> & Pick<SpuriousOptions, "signal">,
): Promise<SplitAccuracy> {
  const seen = new Array<number>(split.numClasses).fill(0);
  const right = new Array<number>(split.numClasses).fill(0);
  for (const indices of batchIndices(split.labels.numel, { batchSize, shuffle: false })) {
    tidy(() => {
      const logits = logitsOf(split, indices);
      if (logits.isfinite().all().item() === 0)
        throw new BatchCamError("E_NUMERIC", "spurious cue: the model gives logits that are not finite");
      const labels = split.labels.indexSelect(0, tensor(indices));
      const hits = logits.argmax(1).eq(labels).data() as Uint8Array;
      for (const [row, label] of (labels.data() as BigInt64Array).entries()) {
        const own = Number(label);
        (seen[own] as number)++;
        if (hits[row] !== 0) (right[own] as number)++;
      }
    });
    onImages(indices.length, CUE_SETS.length * split.labels.numel);
    await setImmediate(); // gives pending signals a chance to be handled
    signal?.throwIfAborted();
  }
  const shares = seen.flatMap((count, own) => (count === 0 ? [] : [(right[own] as number) / count]));
  const total = right.reduce((sum, count) => sum + count, 0);
  return { accuracy: total / split.labels.numel, worstClass: Math.min(...shares) };
}

/** Measures how much the maps show of a patch that is independent of the image's class. */
class PatchMetrics {
  readonly #subject: LoadedRun;
  readonly #energy = new EnergyInMask();
  readonly #wrongReason = new WrongReason();

  constructor(subject: LoadedRun) {
    this.#subject = subject;
  }

  readonly logits: Logits = (split, indices) => {
    const { logits, maps } = explainTrueClasses(this.#subject.model, split, indices, this.#subject);
    const patches = (split.masks as Tensor).indexSelect(0, tensor(indices));
    this.#energy.update(maps, patches);
    this.#wrongReason.update(maps, patches);
    return logits;
  };

  figures(): Pick<SpuriousRecord, "energyInPatch" | "wrongReason"> {
    const { mean, maps, dead } = this.#energy.summary();
    if (maps === dead) return { energyInPatch: null, wrongReason: null };
    return { energyInPatch: mean, wrongReason: { score: this.#wrongReason.summary().score, dropped: dead } };
  }
}
