import { setImmediate } from "node:timers/promises";
import { type ExplainOptions, explain, type MethodName, type Targets } from "../../cam/index.ts";
import { normalize } from "../../data/index.ts";
import { BatchCamError } from "../../errors.ts";
import { probabilitiesOf } from "../../metrics/internal.ts";
import { interpolate, type Tensor, tensor, tidy } from "../../tensor/index.ts";
import { inPrecision } from "../../train/loop/precision.ts";
import type { Subject } from "../loaded-model.ts";
import type { ShownPicture, SourceBatch, SourceImage } from "./image-source.ts";

/** What is explained of each image: the predicted class, the true one, a class, the k-th most probable, or every class. */
export type TargetChoice = "prediction" | "label" | "all" | { readonly kth: number } | number;

export interface ExplainImagesOptions {
  methods: readonly MethodName[];
  layers: readonly string[];
  target: TargetChoice;
  /** Passed on to `explain`. */
  options?: ExplainOptions;
  /** bfloat16 autocast of the network, with activations channels last. */
  amp?: boolean;
  signal?: AbortSignal | undefined;
}

/** The maps of one column of a report: a method, and with target "all" a class. */
export interface ExplainedMap {
  readonly method: MethodName;
  /** Class that the map explains. */
  readonly target: number;
  /** (H, W) in [0, 1], at the model's image size. */
  readonly map: Float32Array;
  /** The same at the size of the picture that is shown. */
  readonly shown: Float32Array;
}

/** One image, what the model says of it, and why, in plain values. */
export interface ExplainedImageRecord {
  readonly image: SourceImage;
  readonly picture: ShownPicture;
  readonly prediction: number;
  /** Probability of the prediction, 0 to 1: the softmax of the logits, or the sigmoid of a single one. */
  readonly confidence: number;
  /** Probability of each class. */
  readonly probabilities: Float32Array;
  readonly maps: readonly ExplainedMap[];
}

/**
 * Explains images batch by batch, one record for each. Disposes of the batches.
 *
 * @throws E_CONFIG for a target that the images or the model do not have
 */
export async function* explainImages(
  subject: Subject,
  batches: AsyncIterable<SourceBatch>,
  options: ExplainImagesOptions,
): AsyncGenerator<ExplainedImageRecord> {
  for await (const batch of batches) {
    try {
      const explained = explainBatch(subject, batch, options);
      for (const [row, image] of batch.images.entries()) {
        options.signal?.throwIfAborted();
        yield await recordOf(explained, { image, row });
      }
    } finally {
      batch.pixels.dispose();
    }
    await setImmediate(); // lets signals have their turn
  }
}

interface Column {
  readonly method: MethodName;
  /** (H, W) of each row */
  readonly maps: readonly Float32Array[];
  /** Class that each row's map explains. */
  readonly targets: readonly number[];
}

interface ExplainedBatch {
  /** (B, C) */
  probabilities: Float32Array;
  numClasses: number;
  columns: readonly Column[];
  size: readonly [number, number];
}

function explainBatch(subject: Subject, batch: SourceBatch, wanted: ExplainImagesOptions): ExplainedBatch {
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

async function recordOf(
  { probabilities, numClasses, columns, size }: ExplainedBatch,
  { image, row }: { image: SourceImage; row: number },
): Promise<ExplainedImageRecord> {
  const picture = await image.shown();
  const own = probabilities.slice(row * numClasses, (row + 1) * numClasses);
  const prediction = own.indexOf(Math.max(...own));
  if (prediction < 0)
    throw new BatchCamError(
      "E_NUMERIC",
      `explain: the model's answer to ${image.name} is not finite: its weights, or the image's values, hold NaN or infinity`,
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
