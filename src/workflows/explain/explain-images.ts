import { setImmediate } from "node:timers/promises";
import { type ExplainOptions, explain, type MethodName, type Targets } from "../../cam/index.ts";
import { normalize } from "../../data/index.ts";
import { BatchCamError } from "../../errors.ts";
import { probabilitiesOf } from "../../metrics/internal.ts";
import { interpolate, type Tensor, tensor, tidy } from "../../tensor/index.ts";
import { inPrecision } from "../../train/internal.ts";
import type { LoadedModel } from "../loaded-model.ts";
import type { ShownPicture, SourceBatch, SourceImage } from "./image-source.ts";

/**
 * The class to explain for each image: the predicted class, the true class, a class by number, the k-th most probable class, or every
 * class.
 */
export type TargetChoice = "prediction" | "label" | "all" | { readonly kth: number } | number;

export interface ExplainImagesOptions {
  methods: readonly MethodName[];
  layers: readonly string[];
  target: TargetChoice;
  /** Options that are passed on to `explain`. */
  options?: ExplainOptions;
  /** Whether to run the network in bfloat16 (autocast), with activations in channels-last format. */
  amp?: boolean;
  signal?: AbortSignal | undefined;
}

/** The map of one column of a report: that of a method, or of a method and a class with target "all". */
export interface ExplainedMap {
  readonly method: MethodName;
  /** The class that the map explains. */
  readonly target: number;
  /** (H, W) in [0, 1], at the model's image size. */
  readonly map: Float32Array;
  /** The same map at the size of the picture that is shown. */
  readonly shown: Float32Array;
}

/** One image, the model's prediction and its maps, as plain values. */
export interface ExplainedImageRecord {
  readonly image: SourceImage;
  readonly picture: ShownPicture;
  readonly prediction: number;
  /** The probability of the prediction, from 0 to 1: the softmax of the logits, or the sigmoid of a single logit. */
  readonly confidence: number;
  /** The probability of each class. */
  readonly probabilities: Float32Array;
  readonly maps: readonly ExplainedMap[];
}

/**
 * Explains images batch by batch and yields one record for each image. It disposes of the batches.
 * @throws E_CONFIG for a target that the images or the model do not have
 */
export async function* explainImages(
  subject: LoadedModel,
  batches: AsyncIterable<SourceBatch>,
  options: ExplainImagesOptions,
): AsyncGenerator<ExplainedImageRecord> {
  for await (const batch of batches) {
    try {
      const explained = explainedColumns(subject, batch, options);
      for (const [row, image] of batch.images.entries()) {
        options.signal?.throwIfAborted();
        yield await explainedImage(explained, { image, row });
      }
    } finally {
      batch.pixels.dispose();
    }
    await setImmediate(); // gives pending signals a chance to be handled
  }
}

interface Column {
  readonly method: MethodName;
  /** The map (H, W) of each row. */
  readonly maps: readonly Float32Array[];
  /** The class that each row's map explains. */
  readonly targets: readonly number[];
}

interface ExplainedBatch {
  /** (B, C) */
  probabilities: Float32Array;
  numClasses: number;
  columns: readonly Column[];
  size: readonly [number, number];
}

function explainedColumns(subject: LoadedModel, batch: SourceBatch, wanted: ExplainImagesOptions): ExplainedBatch {
  const { methods, layers, target, options = {}, amp = false } = wanted;
  return tidy(() => {
    const normalized = normalize(batch.pixels, subject.normalization);
    const targets = targetsOf(target, batch, subject.classNames.length);
    const {
      maps,
      logits,
      targets: classes,
    } = inPrecision(normalized, { amp, channelsLast: amp }, (x) =>
      explain(subject.model, x, { ...options, method: methods, layers, targets }),
    );
    const [count, numClasses] = logits.sizes as [number, number];
    const size = maps[methods[0] as MethodName].sizes.slice(-2) as [number, number];
    const rows = (stacked: Tensor) => stacked.unbind(0).map((map) => map.contiguous().data() as Float32Array);
    const column = (method: MethodName, label: number): Column => ({
      ...{ method, maps: rows(maps[method].select(1, label)) },
      targets: new Array<number>(count).fill(label),
    });
    const columns = methods.flatMap((method): Column[] => {
      if (target === "all") return Array.from({ length: numClasses }, (_, label) => column(method, label));
      return [
        { method, maps: rows(maps[method]), targets: Array.from((classes as Tensor).data() as BigInt64Array, Number) },
      ];
    });
    return { probabilities: probabilitiesOf(logits).data() as Float32Array, numClasses, columns, size };
  });
}

function targetsOf(target: TargetChoice, { images }: SourceBatch, numClasses: number): Targets {
  if (target !== "label") {
    if (typeof target !== "number" || (Number.isInteger(target) && target >= 0 && target < numClasses)) return target;
    throw new BatchCamError("E_CONFIG", `explain: target must be a class from 0 to ${numClasses - 1}, got ${target}`);
  }
  return images.map(({ name, label }) => {
    if (label !== null) return label;
    throw new BatchCamError(
      "E_CONFIG",
      `explain: target label needs images of a split: the class of ${name} is not known`,
    );
  });
}

async function explainedImage(
  { probabilities, numClasses, columns, size }: ExplainedBatch,
  { image, row }: { image: SourceImage; row: number },
): Promise<ExplainedImageRecord> {
  const picture = await image.shown();
  const own = probabilities.slice(row * numClasses, (row + 1) * numClasses);
  const prediction = own.indexOf(Math.max(...own));
  if (prediction < 0)
    throw new BatchCamError(
      "E_NUMERIC",
      `explain: the model's logits for ${image.name} are not finite: its weights, or the image's values, contain NaN or infinity`,
    );
  const maps = columns.map(({ method, maps, targets }) => {
    const map = maps[row] as Float32Array;
    return { method, map, shown: resized(map, size, picture), target: targets[row] as number };
  });
  return { image, picture, prediction, confidence: own[prediction] as number, probabilities: own, maps };
}

function resized(map: Float32Array, [h, w]: readonly [number, number], { height, width }: ShownPicture): Float32Array {
  if (h === height && w === width) return map;
  return tidy(() => interpolate(tensor(map, { shape: [h, w] }), { size: [height, width] }).data()) as Float32Array;
}
