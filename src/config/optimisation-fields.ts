import { z } from "zod";
import { choiceOf, type Features, namesOf, optionFields } from "./features.ts";
import { count, group, path } from "./fields.ts";

/** The fields of the optimizer, its schedule and the classification loss. */
export const optimisationFieldsOf = <const O extends Features["optimizers"], const S extends Features["schedules"]>(
  optimizers: O,
  schedules: S,
) => {
  const [opt, sched] = [namesOf(optimizers), namesOf(schedules)];
  return group("Optimisation", {
    epochs: count().default(3).describe("passes over the training images"),
    batchSize: count().default(128).describe("images per step").meta({ short: "b" }),
    opt: choiceOf(opt)
      .default(opt[0] as never)
      .describe("optimizer"),
    lr: z.number().positive().default(1e-3).describe("learning rate"),
    ...optionFields(optimizers),
    weightDecay: z
      .number()
      .nonnegative()
      .default(0)
      .describe("weight decay: decoupled in adamw, an L2 term in adam and sgd"),
    sched: choiceOf(sched)
      .default(sched[0] as never)
      .describe("learning-rate schedule over the whole run"),
    ...optionFields(schedules),
    warmupSteps: z.int().nonnegative().default(0).describe("steps over which the learning rate rises linearly to lr"),
    layerDecay: z
      .number()
      .positive()
      .max(1)
      .default(1)
      .describe("factor of the learning rate from each layer to the preceding one, for fine-tuning"),
    decayNormAndBias: z
      .boolean()
      .default(false)
      .describe("apply the weight decay to normalisation layers and biases too"),
    gradAccumSteps: count().default(1).describe("number of batches whose gradients are accumulated for one step"),
    freeze: path()
      .optional()
      .describe("module paths, separated by commas, whose weights and running statistics are not changed"),
    modelEma: z.boolean().default(false).describe("evaluate and save a running average of the weights"),
    modelEmaDecay: z
      .number()
      .min(0)
      .lt(1)
      .default(0.9998)
      .describe("decay of the running average of the weights at each step"),
    modelEmaWarmup: z.boolean().default(true).describe("let the decay rise to its value over the first steps"),
    classWeights: z
      .enum(["none", "balanced"])
      .default("none")
      .describe("balanced: the loss of an image is weighted by the inverse frequency of its class"),
    mixup: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe(
        "mix each image with another of its batch, in a proportion drawn from Beta(mixup, mixup); not with guidance, because a map would have two classes",
      ),
    labelSmoothing: z
      .number()
      .min(0)
      .lt(1)
      .default(0)
      .describe("share of the target that is distributed uniformly over all classes"),
    clipGrad: z
      .number()
      .positive()
      .optional()
      .describe("largest norm of the gradient; a gradient with a larger norm is scaled down"),
  });
};
