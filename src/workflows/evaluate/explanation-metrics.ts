import { setImmediate } from "node:timers/promises";
import { deadMaps, explain, type MethodName } from "../../cam/index.ts";
import { batchIndices, gatherPixels, normalize, type Split } from "../../data/index.ts";
import { placesOfAllClasses } from "../../data/internal.ts";
import { l1, l2, ssim } from "../../losses/index.ts";
import { EXPLANATION_MEASURES, fullDefinition, MEASURES } from "../../measures.ts";
import {
  Coherence,
  confidence,
  definedMean,
  deletionCurve,
  energyInMask,
  foregroundMask,
  insertionCurve,
  maxSensitivity,
  parameterRandomisation,
  pointingGame,
  relevanceRankAccuracy,
  road,
  sparseness,
} from "../../metrics/index.ts";
import { MOST_FOREGROUND } from "../../metrics/internal.ts";
import { traitsOf } from "../../models/internal.ts";
import { inEvaluation, type Module } from "../../nn/index.ts";
import { type Tensor, tensor, tidy } from "../../tensor/index.ts";
import { inPrecision } from "../../train/internal.ts";
import type { LoadedRun } from "../loaded-model.ts";

export interface ExplanationMetricsOptions {
  method: MethodName;
  /** The class that the maps explain: the true class or the predicted class. */
  target: "label" | "prediction";
  /** Number of images, spread over all classes of the split. */
  limit: number;
  batchSize: number;
  /** Steps of the insertion and deletion curves. */
  steps: number;
  /** Whether to run the parameter-randomisation check. */
  randomise: boolean;
  seed: number;
  /** Called after each batch with its number of images. */
  onImages?: (count: number) => void;
  /** Called after each step of the randomisation check, with the number of steps. */
  onRandomised?: (total: number) => void;
  signal?: AbortSignal | undefined;
}

/** The mean over the images for which a metric is defined, and the number of the other images. A dead map has no maximum, for example. */
export interface MetricValue {
  mean: number;
  undefined: number;
}

/** The metrics of one method's maps on a split. `METRIC_DEFINITIONS` defines each of them. */
export interface ExplanationMetrics {
  method: MethodName;
  layer: string;
  target: "label" | "prediction";
  images: number;
  /** Steps of the insertion and deletion curves, and the seed of all noise. */
  steps: number;
  seed: number;
  /** Metrics that this split cannot support, because it has no masks, are left out. */
  values: Partial<Record<MetricName, MetricValue>>;
  /**
   * The mean Spearman correlation of the maps with themselves after layers were randomised from the last to the first, or null if the check
   * was not run.
   */
  randomisation: { layer: string; spearman: MetricValue }[] | null;
}

export type MetricName = (typeof EXPLANATION_MEASURES)[number];

/** The definition of each metric with its source and direction, in the order of the table. */
export const METRIC_DEFINITIONS = Object.fromEntries(
  EXPLANATION_MEASURES.map((name) => [name, fullDefinition(MEASURES[name])]),
) as Readonly<Record<MetricName, string>>;

/** The number of images in the randomisation check, which explains them once for each layer. */
const RANDOMISED = 100;

/** Computes the metrics of one method's maps on some images of a split, batch by batch, in the run's precision. */
export async function explanationMetrics(
  subject: LoadedRun,
  split: Split,
  options: ExplanationMetricsOptions,
): Promise<ExplanationMetrics> {
  const { method, target, limit, batchSize, steps, seed } = options;
  const chosen = chosenIndices(split, Math.min(limit, split.labels.numel));
  const count = chosen.length;
  const gathered = new Map<MetricName, number[]>();
  using coherence = new Coherence(split.numClasses);
  const metrics = new MethodMetrics(subject, split, options);
  return await inEvaluation(subject.model, async () => {
    for (const places of batchIndices(count, { batchSize, shuffle: false })) {
      const indices = places.map((place) => chosen[place] as number);
      tidy(() => {
        const { values, maps, labels } = metrics.batch(indices);
        for (const [name, value] of Object.entries(values) as [MetricName, Tensor][]) {
          const gatheredSoFar = gathered.get(name) ?? [];
          gatheredSoFar.push(...(value.to("float64").data() as Float64Array));
          gathered.set(name, gatheredSoFar);
        }
        coherence.update(maps, labels);
      });
      options.onImages?.(indices.length);
      await setImmediate(); // gives pending signals a chance to be handled
      options.signal?.throwIfAborted();
    }
    const meanOfAll = (values: readonly number[]) => tidy(() => meanOf(tensor(values, { dtype: "float64" })));
    const means = Array.from(gathered, ([name, values]) => [name, meanOfAll(values)] as const);
    const found = new Map([...means, ["coherence", { mean: coherence.summary().mean, undefined: 0 }] as const]);
    const names = EXPLANATION_MEASURES.filter((name) => found.has(name));
    const values = Object.fromEntries(names.map((name) => [name, found.get(name)])) as ExplanationMetrics["values"];
    const randomisation = options.randomise
      ? metrics.randomisation(chosenIndices(split, Math.min(RANDOMISED, count)))
      : null;
    return { method, layer: subject.camLayer, target, images: count, steps, seed, values, randomisation };
  });
}

function meanOf(values: Tensor): MetricValue {
  const { mean, undefined: missing } = definedMean(values);
  return { mean, undefined: missing };
}

/**
 * The parts of a model that are randomised one after another, from the last to the first: its stages, and the layers before and after them.
 */
function randomisedParts(model: Module): string[] {
  const part = (name: string) =>
    traitsOf(model).camLayers.find((layer) => name.startsWith(`${layer}.`)) ?? (name.split(".")[0] as string);
  return [...new Set(Array.from(model.namedParameters().keys(), part))].reverse();
}

/**
 * The indices of the images to evaluate. The user's own images are ordered by class, so images are picked from all classes; other data sets
 * are shuffled already, so the first images are used.
 */
function chosenIndices({ labels, paths }: Split, count: number): Int32Array {
  if (paths === undefined) return Int32Array.from({ length: count }, (_, place) => place);
  return placesOfAllClasses(Array.from(labels.data() as BigInt64Array, Number), count);
}

/** Computes one method's maps and their metrics for batches of a split. */
class MethodMetrics {
  readonly #subject: LoadedRun;
  readonly #split: Split;
  readonly #options: ExplanationMetricsOptions;

  constructor(subject: LoadedRun, split: Split, options: ExplanationMetricsOptions) {
    this.#subject = subject;
    this.#split = split;
    this.#options = options;
  }

  batch(indices: Int32Array): { values: Record<string, Tensor>; maps: Tensor; labels: Tensor } {
    const { steps, seed, batchSize } = this.#options;
    const pixels = gatherPixels(this.#split, indices);
    const x = normalize(pixels, this.#split.normalization);
    const labels = this.#split.labels.indexSelect(0, tensor(indices));
    const { maps, targets } = this.#explain(x, this.#options.target === "label" ? labels : "prediction");
    const predict = (images: Tensor) =>
      inPrecision(images, this.#subject, (laid) => this.#subject.model.forward(laid)).to("float32");
    // For a single logit the index of the target is 0, but the explained class is 1, the label.
    const labelled = this.#subject.prototypes.sizes[0] === 1 ? targets.add(1) : targets;
    const judged = [predict, x, maps, labelled] as const;
    const curves = { steps, batchSize };
    const drop = confidence(...judged, { batchSize });
    const { morf, lerf, combined } = road(...judged, { seed, batchSize });
    const foreground = foregroundMask(pixels);
    const vague = foreground.to("float32").mean([1, 2]).gt(MOST_FOREGROUND);
    const telling = (values: Tensor) => values.to("float64").maskedFill(vague, Number.NaN);
    const own = this.#subject.prototypes.indexSelect(0, targets);
    const again = (images: Tensor, positions: Tensor) => this.#explain(images, targets.indexSelect(0, positions)).maps;
    const values = {
      ...{ averageDrop: drop.drop, absoluteDrop: drop.absoluteDrop, increaseInConfidence: drop.increase },
      averageGain: drop.gain,
      deletionAuc: deletionCurve(...judged, curves).auc,
      insertionAuc: insertionCurve(...judged, curves).auc,
      ...{ roadMorf: morf.mean([1]), roadLerf: lerf.mean([1]), roadCombined: combined },
      pointingGame: telling(pointingGame(maps, foreground)),
      energyInForeground: telling(energyInMask(maps, foreground)),
      ...this.#energyInMask(maps, indices),
      relevanceRankAccuracy: telling(relevanceRankAccuracy(maps, foreground)),
      sparseness: sparseness(maps),
      ...{ prototypeL1: l1(maps, own), prototypeL2: l2(maps, own), prototypeSsim: ssim(maps, own) },
      maxSensitivity: maxSensitivity(again, x, { seed, batchSize }),
      deadMaps: deadMaps(maps),
    };
    return { values, maps, labels };
  }

  #energyInMask(maps: Tensor, indices: Int32Array): Record<string, Tensor> {
    const { masks } = this.#split;
    return masks === undefined ? {} : { energyInMask: energyInMask(maps, masks.indexSelect(0, tensor(indices))) };
  }

  /** Runs the randomisation check on some images of the split. The model's weights are restored at the end. */
  randomisation(indices: Int32Array): { layer: string; spearman: MetricValue }[] {
    return tidy(() => {
      const x = normalize(gatherPixels(this.#split, indices), this.#split.normalization);
      const labels = this.#split.labels.indexSelect(0, tensor(indices));
      const { targets } = this.#explain(x, this.#options.target === "label" ? labels : "prediction");
      const layers = randomisedParts(this.#subject.model);
      const explained = () => {
        const { maps } = this.#explain(x, targets);
        this.#options.onRandomised?.(layers.length + 1); // the first maps are those of the trained model
        return maps;
      };
      const rows = parameterRandomisation(this.#subject.model, explained, { seed: this.#options.seed, layers });
      return rows.map(({ layer, spearman }) => ({ layer, spearman: meanOf(spearman) }));
    });
  }

  #explain(x: Tensor, targets: Tensor | "prediction"): { maps: Tensor; targets: Tensor } {
    const { method, seed } = this.#options;
    const options = { method, targets, layer: this.#subject.camLayer, seed, normalize: { eps: 1e-6, relative: true } };
    const found = inPrecision(x, this.#subject, (laid) => explain(this.#subject.model, laid, options));
    return { maps: found.maps, targets: found.targets as Tensor };
  }
}
