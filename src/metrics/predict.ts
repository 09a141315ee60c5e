import { callSync, expectFunction, expectInteger, optionsOf, wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { arange, cat, noGrad, type Tensor, tidy } from "../tensor/index.ts";
import { expectShapes, type Labels, readLabels } from "../tensor/internal.ts";
import { expectPixels } from "./maps.ts";

/**
 * A function that returns the logits (N, C) of images (N, channels, H, W). The model must be in evaluation mode, so
 * that each row depends only on its image. It is called without recording a graph, with at most `batchSize` images.
 */
export type Predict = (images: Tensor) => Tensor;

export interface PredictOptions {
  /** Largest number of images that `predict` is called with (256). It bounds the memory. */
  batchSize?: number;
}

/** The model, images and classes that an explanation is evaluated on. */
export interface Explained {
  readonly predict: Predict;
  /** (N, channels, H, W) */
  readonly images: Tensor;
  readonly labels: Labels;
  readonly batchSize: number;
}

/**
 * Checks the arguments that these metrics share. The caller checks the names of options other than `batchSize`.
 * @throws E_ARGUMENT, E_DTYPE, or E_SHAPE, also if there are no images
 */
export function readExplained(
  operation: string,
  [predict, images, maps, labels]: readonly [Predict, Tensor, Tensor, Tensor | readonly number[]],
  options: PredictOptions,
): Explained {
  const { batchSize = 256 } = optionsOf(operation, options);
  expectFunction(`${operation}: predict`, predict);
  expectInteger(`${operation}: batchSize`, batchSize, 1);
  const { N } = expectShapes(operation, { images: [images, "N C H W"], maps: [maps, "N H W"] }) as { N: number };
  expectImages(operation, images);
  return { predict, images: images.detach(), labels: readLabels(operation, labels, { count: N }), batchSize };
}

/** Throws for images that are not floating point, or have no sample or no pixel. */
export function expectImages(operation: string, images: Tensor): void {
  if (!images.dtype.includes("float"))
    throw wrongArgument(`${operation}: images`, "normalised floating-point images", images.dtype, "E_DTYPE");
  if (images.sizes[0] === 0) throw new BatchCamError("E_SHAPE", `${operation}: images have no samples`);
  expectPixels(operation, "images", images);
}

/**
 * Computes the probability (or logit) of each image's class for several versions of the image.
 *
 * For a model with a single logit, label 1 has the sigmoid and label 0 its complement, as in `accuracy`.
 *
 * @param versionsOf makes the input of `predict`: row i is version `variants[i]` of image `samples[i]`. It is called
 *   for at most `batchSize` rows at a time.
 * @returns (N, variants), float64
 */
export function classScores(
  operation: string,
  { predict, images, labels, batchSize }: Explained,
  {
    variants,
    score = "probability",
    versionsOf,
  }: { variants: number; score?: "probability" | "logit"; versionsOf: (samples: Tensor, variants: Tensor) => Tensor },
): Tensor {
  const samples = images.sizes[0] as number;
  return tidy(() =>
    noGrad(() => {
      const sampleOf = arange(samples).unsqueeze(1).expand([samples, variants]).reshape([-1]);
      const variantOf = arange(variants).unsqueeze(0).expand([samples, variants]).reshape([-1]);
      const parts: Tensor[] = [];
      for (let start = 0; start < samples * variants; start += batchSize) {
        const length = Math.min(batchSize, samples * variants - start);
        const part = tidy(() => {
          const rows = sampleOf.narrow(0, start, length);
          const logits = logitsOf(operation, predict, versionsOf(rows, variantOf.narrow(0, start, length)), labels);
          const values = valuesOf(logits, score);
          return values.gather(1, labels.tensor.indexSelect(0, rows).unsqueeze(1)).squeeze(1);
        });
        parts.push(part);
      }
      return cat(parts).reshape([samples, variants]);
    }),
  );
}

/** One column for each label. A single logit s gives two columns: −s for label 0 and s for label 1. */
function valuesOf(logits: Tensor, score: "probability" | "logit"): Tensor {
  const both = logits.sizes[1] === 1;
  if (score === "logit") return both ? cat([logits.neg(), logits], 1) : logits;
  return both ? cat([probabilitiesOf(logits.neg()), probabilitiesOf(logits)], 1) : probabilitiesOf(logits);
}

function logitsOf(operation: string, predict: Predict, images: Tensor, labels: Labels): Tensor {
  const logits = callSync(operation, () => predict(images));
  const place = "the logits that predict returned";
  const { C } = expectShapes(operation, { images: [images, "N D H W"], [place]: [logits, "N C"] }) as { C: number };
  if (!logits.dtype.includes("float"))
    throw wrongArgument(`${operation}: ${place}`, "floating point", logits.dtype, "E_DTYPE");
  const numClasses = Math.max(C, 2); // a single logit distinguishes two classes
  if (labels.values.some((label) => label >= numClasses))
    readLabels(operation, labels.values, { count: labels.values.length, numClasses });
  return logits.detach().to("float64");
}

/**
 * Probabilities (N, C) of logits (N, C): the softmax over the classes. For a single logit it is the sigmoid, because
 * the softmax over one class is always 1.
 */
export function probabilitiesOf(logits: Tensor): Tensor {
  return logits.sizes[1] === 1 ? logits.sigmoid() : logits.softmax(1);
}
