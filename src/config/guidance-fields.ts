import { z } from "zod";
import { expectNumber, objectOf } from "../arguments.ts";
import { byValue, choiceOf, type Features, namesOf } from "./features.ts";
import { count, group } from "./fields.ts";

const PROTOTYPE_SOURCES = ["class", "shuffled", "global", "constant", "clean"] as const;

const weight = () => z.number().nonnegative();

/** The fields of the guidance of the maps. */
export const guidanceFieldsOf = <const D extends Features["distances"], const B extends Features["baselines"]>(
  distances: D,
  baselines: B,
) => {
  const names = namesOf(distances);
  const lambdas = byValue(distances.map(({ name, lambda }) => [name, lambda]));
  const published = baselines.map(({ name, summary }) => `${summary} (${name})`).join(", ");
  return group("Guidance", {
    plain: z
      .boolean()
      .default(false)
      .describe("train without guidance; the same as setting lambdaPrototype and lambdaBatch to 0"),
    distance: choiceOf(names)
      .default(names[0] as never)
      .describe("distance between a map and its class's prototype"),
    lambdaPrototype: weight()
      .optional()
      .describe(
        `weight of the Prototype Loss, the distance of each map from its class's prototype (default: ${lambdas})`,
      ),
    lambdaBatch: weight()
      .default(0)
      .describe(
        "weight of the Batch-CAM Loss, the distance between each class's mean map in the batch and its prototype (but see batchTarget)",
      ),
    lambdaWarmup: z
      .int()
      .nonnegative()
      .optional()
      .describe(
        "steps over which both guidance weights rise linearly from 0 (default: a third of the run's steps, at most 150)",
      ),
    baseline: choiceOf(namesOf(baselines))
      .optional()
      .describe(
        `train with a published guidance method for comparison; it replaces the Prototype Loss unless lambdaPrototype is given: ${published}`,
      ),
    lambdaBaseline: weight().default(1).describe("weight of the baseline's loss"),
    batchTarget: z
      .enum(["prototype", "batch-mean"])
      .default("prototype")
      .describe(
        "prototype: the Batch-CAM Loss compares each class's mean map in the batch with its prototype; batch-mean: it compares each map with its class's mean map in the batch",
      ),
    detachBatchMean: z
      .boolean()
      .default(true)
      .describe("treat the batch mean as a constant, through which no gradient flows"),
    order: z
      .enum(["second", "first"])
      .default("second")
      .describe(
        "second: the loss's gradient also flows through the channel weights of the maps; first: they are treated as constants, which is cheaper",
      ),
    guideEvery: z
      .union([z.enum(["auto"]), count()])
      .default("auto")
      .describe(
        "guide the maps at every Nth step, with N times the weight; the other steps cost as much as plain ones (auto: 1, or 2 or 4 if much of the network is behind the target layer, so that guidance adds about a tenth to the time of training; 1 in short runs, and with a baseline)",
      ),
    guideShare: z
      .number()
      .positive()
      .max(1)
      .default(1)
      .describe("fraction of each batch whose maps are guided; the other images take part in the cross-entropy alone"),
    camEps: z
      .number()
      .positive()
      .default(1e-2)
      .describe("constant added to max - min when a training map is normalised"),
    statistic: z
      .enum(["mean", "median", "trimmed", "cam-ema"])
      .default("mean")
      .describe(
        "how a class's prototype is computed: the mean, median or trimmed mean of its images, or a running mean of its maps (cam-ema)",
      ),
    prototypes: z
      .enum(PROTOTYPE_SOURCES)
      .default("class")
      .describe(
        "prototype that a map is guided to: that of its own class (class) or, as a control, that of another class (shuffled), the mean of all classes (global), a uniform grey (constant), or that of its class without the decoy patch (clean, for decoy data sets)",
      ),
    trim: z
      .number()
      .min(0)
      .lt(0.5)
      .default(0.1)
      .describe("fraction of the values that the trimmed mean leaves out at each end"),
    emaDecay: z.number().min(0).lt(1).default(0.99).describe("decay of the running mean that cam-ema uses"),
  });
};

/** A longer warm-up was not better in any run that was measured. */
const MOST_STEPS = 150;

/**
 * Number of steps over which the weights of the guidance rise: the configured number, otherwise a third of the run's
 * steps and at most 150, so that a short run is guided too.
 *
 * @param steps number of steps of the run
 */
export function lambdaWarmupOf(config: { readonly lambdaWarmup?: number | undefined }, steps: number): number {
  const { lambdaWarmup } = objectOf("lambdaWarmupOf: config", config);
  expectNumber("lambdaWarmupOf: steps", steps);
  return lambdaWarmup ?? Math.min(MOST_STEPS, Math.floor(steps / 3));
}
