import { z } from "zod";
import { byValue, choiceOf, type Features, namesOf } from "./features.ts";
import { group } from "./fields.ts";

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
      .describe("train without guidance, which is the same as setting both weights to 0"),
    distance: choiceOf(names)
      .default(names[0] as never)
      .describe("distance between a map and its prototype"),
    lambdaPrototype: weight().optional().describe(`weight of the Prototype Loss (default: ${lambdas})`),
    lambdaBatch: weight().default(0).describe("weight of the Batch-CAM Loss"),
    lambdaWarmup: z
      .int()
      .nonnegative()
      .optional()
      .describe(
        "steps over which the weights of the guidance rise linearly from 0 (default: a third of the run's steps, at most 150)",
      ),
    baseline: choiceOf(namesOf(baselines))
      .optional()
      .describe(
        `a published guidance method to compare with, used alone unless lambdaPrototype is given: ${published}`,
      ),
    lambdaBaseline: weight().default(1).describe("weight of the baseline's term"),
    batchTarget: z
      .enum(["prototype", "batch-mean"])
      .default("prototype")
      .describe("target that the Batch-CAM Loss compares the mean map of a class with"),
    detachBatchMean: z.boolean().default(true).describe("treat the batch mean as a constant in the gradient"),
    order: z
      .enum(["second", "first"])
      .default("second")
      .describe("second: the gradient flows through the channel weights too; first: they are treated as constants"),
    camEps: z.number().positive().default(1e-2).describe("added to max - min when a training map is normalised"),
    statistic: z
      .enum(["mean", "median", "trimmed", "cam-ema"])
      .default("mean")
      .describe(
        "how the prototype of a class is computed: a statistic of its images, or a running mean of its maps (cam-ema)",
      ),
    prototypes: z
      .enum(PROTOTYPE_SOURCES)
      .default("class")
      .describe(
        "the prototype that a map is guided to: that of its class; or, as controls, that of another class (shuffled), the mean of all classes (global), a uniform grey (constant), or that of images without the decoy (clean, for decoy sets)",
      ),
    trim: z
      .number()
      .min(0)
      .lt(0.5)
      .default(0.1)
      .describe("share of the values that the trimmed mean discards at each end"),
    emaDecay: z
      .number()
      .min(0)
      .lt(1)
      .default(0.99)
      .describe("decay of the running mean of a cam-ema prototype at each step"),
  });
};
