import { describeValue, optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { autocast, type CrossEntropyOptions, type Tensor, tensor } from "../tensor/index.ts";
import { crossEntropyLoss, expectShapes, readLabels, upcastHalf } from "../tensor/internal.ts";
import type { DistanceName } from "./description.ts";
import { type Distance, distanceOf, expectFloating, expectMaps, meanDistance } from "./distance.ts";

/**
 * Prototype Loss: the mean distance of each map to its class's global average, `mean_b d(M_b, P_{y_b})`.
 *
 * @param maps M (B, H, W), normalised to [0, 1]
 * @param labels y (B)
 * @param prototypes P (C, H, W) in [0, 1]; they carry no gradient
 * @returns a scalar, float32 under autocast too; arXiv 2510.00664
 * @throws E_SHAPE, also for an empty batch; E_DTYPE; E_ARGUMENT for a label out of range or an unknown distance
 */
export function prototypeLoss(
  maps: Tensor,
  labels: Tensor | readonly number[],
  prototypes: Tensor,
  options: { distance?: DistanceName | Distance } = {},
): Tensor {
  const { distance = "ssim" } = optionsOf("prototypeLoss", options, ["distance"]);
  const of = distanceOf(distance, "prototypeLoss");
  const { B = 0, C = 0 } = expectShapes("prototypeLoss", { maps: [maps, "B H W"], prototypes: [prototypes, "C H W"] });
  expectMaps("prototypeLoss", maps);
  expectFloating("prototypeLoss", "prototypes", prototypes);
  const { tensor: classes } = readLabels("prototypeLoss", labels, { count: B, numClasses: C });
  const own = upcastHalf(prototypes.detach()).indexSelect(0, classes); // (B, H, W)
  return meanDistance("prototypeLoss", of, [upcastHalf(maps), own]);
}

export interface BatchCamLossOptions {
  distance?: DistanceName | Distance;
  /** The target that the maps of a class are compared with: its prototype, or their own mean in this batch. */
  target?: "prototype" | "batch-mean";
  /** P (C, H, W), for target "prototype"; they carry no gradient. */
  prototypes?: Tensor;
  /** For target "batch-mean": whether the mean is treated as a constant. */
  detach?: boolean;
}

/**
 * Batch-CAM Loss: consistency of the maps inside a batch, a scalar (arXiv 2510.00664). By `target`:
 *
 * - "prototype": mean over the classes present of `d(mean_{b: y_b=c} M_b, P_c)`
 * - "batch-mean": `mean_b d(M_b, mean of the maps of class y_b in this batch)`. Used alone, this loss makes all maps collapse to zeros,
 *   which agree perfectly. Combine it with the Prototype Loss, with at most a quarter of its weight.
 *
 * @param maps M (B, H, W), normalised to [0, 1]
 * @param labels y (B)
 * @returns a scalar, float32 under autocast too
 *  @throws E_SHAPE, also for an empty batch; E_DTYPE; E_ARGUMENT for a label out of range, an unknown distance or target,
 *   or missing prototypes
 */
export function batchCamLoss(
  maps: Tensor,
  labels: Tensor | readonly number[],
  options: BatchCamLossOptions = {},
): Tensor {
  const {
    distance = "ssim",
    target = "prototype",
    prototypes,
    detach = true,
  } = optionsOf("batchCamLoss", options, ["distance", "target", "prototypes", "detach"]);
  const of = distanceOf(distance, "batchCamLoss");
  if (target !== "prototype" && target !== "batch-mean") {
    throw new BatchCamError(
      "E_ARGUMENT",
      `batchCamLoss: target must be "prototype" or "batch-mean", got ${describeValue(target)}`,
    );
  }
  const { B = 0 } = expectShapes("batchCamLoss", { maps: [maps, "B H W"] });
  expectMaps("batchCamLoss", maps);
  if (target === "prototype") return againstPrototypes(maps, labels, { of, prototypes });
  const { values } = readLabels("batchCamLoss", labels, { count: B });
  const { means, rows } = classMeans(maps, values);
  const own = means.indexSelect(0, rows);
  return meanDistance("batchCamLoss", of, [upcastHalf(maps), detach ? own.detach() : own]);
}

interface PrototypeTarget {
  of: Distance;
  prototypes: Tensor | undefined;
}

function againstPrototypes(
  maps: Tensor,
  labels: Tensor | readonly number[],
  { of, prototypes }: PrototypeTarget,
): Tensor {
  if (prototypes === undefined) {
    throw new BatchCamError(
      "E_ARGUMENT",
      'batchCamLoss: prototypes (C, H, W) are missing, and target "prototype" needs them',
    );
  }
  const { B = 0, C = 0 } = expectShapes("batchCamLoss", { maps: [maps, "B H W"], prototypes: [prototypes, "C H W"] });
  expectFloating("batchCamLoss", "prototypes", prototypes);
  const { values } = readLabels("batchCamLoss", labels, { count: B, numClasses: C });
  const { means, classes } = classMeans(maps, values);
  const own = upcastHalf(prototypes.detach()).indexSelect(0, tensor(BigInt64Array.from(classes, BigInt)));
  return meanDistance("batchCamLoss", of, [means, own]);
}

interface ClassMeans {
  /** (P, H, W): the mean map of each class present */
  means: Tensor;
  classes: number[];
  /** (B): the row of each sample in `means` */
  rows: Tensor;
}

/** The mean of the maps of each class that occurs among the labels, as one product with the (P, B) membership matrix. */
export function classMeans(maps: Tensor, labels: readonly number[]): ClassMeans {
  const [batch, height, width] = maps.sizes as [number, number, number];
  const classes = [...new Set(labels)].sort((a, b) => a - b);
  const rowOf = new Map(classes.map((label, row) => [label, row]));
  const rows = labels.map((label) => rowOf.get(label) as number);
  const counts = new Float64Array(classes.length);
  for (const row of rows) counts[row] = (counts[row] as number) + 1;
  const membership = new Float64Array(classes.length * batch);
  for (const [sample, row] of rows.entries()) membership[row * batch + sample] = 1 / (counts[row] as number);
  const weights = tensor(membership, { shape: [classes.length, batch], dtype: upcastHalf(maps).dtype });
  const means = autocast({ enabled: false }, () => weights.matmul(upcastHalf(maps).flatten(1)));
  return {
    means: means.view([classes.length, height, width]),
    classes,
    rows: tensor(BigInt64Array.from(rows, BigInt)),
  };
}

/**
 * Cross-entropy of logits (N, C) against class indices (N): `mean_b −Σ_c q_c log softmax_c`, q the one-hot label
 * smoothed to `(1 − ε)·onehot + ε / C`, as in torch. Logits of 16 bits are converted to float32.
 */
export function crossEntropy(
  logits: Tensor,
  labels: Tensor | readonly number[],
  options: CrossEntropyOptions = {},
): Tensor {
  const { N = 0, C = 0 } = expectShapes("crossEntropy", { logits: [logits, "N C"] });
  expectFloating("crossEntropy", "logits", logits);
  if (N === 0) throw new BatchCamError("E_SHAPE", "crossEntropy: logits have no samples: an empty batch has no loss");
  if (optionsOf("crossEntropy", options).weight)
    expectShapes("crossEntropy", { logits: [logits, "N C"], weight: [options.weight as Tensor, "C"] });
  const { tensor: classes } = readLabels("crossEntropy", labels, { count: N, numClasses: C });
  return crossEntropyLoss(upcastHalf(logits), classes, options);
}
