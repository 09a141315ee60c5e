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
    batchSize: count().default(128).describe("images per batch").meta({ short: "b" }),
    opt: choiceOf(opt)
      .default(opt[0] as never)
      .describe("optimizer"),
    lr: z.number().positive().default(1e-3).describe("learning rate"),
    ...optionFields(optimizers),
    weightDecay: z
      .number()
      .nonnegative()
      .default(0)
      .describe("weight decay: decoupled for adamw, an L2 term of the loss for adam and sgd"),
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
      .describe("for fine-tuning: each layer's learning rate is this factor times that of the layer after it"),
    decayNormAndBias: z.boolean().default(false).describe("also apply weight decay to normalisation layers and biases"),
    gradAccumSteps: count()
      .default(1)
      .describe("number of batches whose gradients are accumulated for one optimizer step"),
    freeze: path()
      .optional()
      .describe("module paths, separated by commas, whose weights and running statistics are not trained"),
    modelEma: z
      .boolean()
      .default(false)
      .describe(
        "keep an exponential moving average of the weights, and validate and save it instead of the weights themselves",
      ),
    modelEmaDecay: z.number().min(0).lt(1).default(0.9998).describe("decay of the moving average of the weights"),
    modelEmaWarmup: z.boolean().default(true).describe("raise the decay to its value over the first steps"),
    classWeights: z
      .enum(["none", "balanced"])
      .default("none")
      .describe("balanced: weight each image's loss by the inverse frequency of its class"),
    mixup: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe(
        "mix each image with another of its batch, in a proportion drawn from Beta(mixup, mixup); only without guidance, because a mixed image's map would have two classes",
      ),
    labelSmoothing: z
      .number()
      .min(0)
      .lt(1)
      .default(0)
      .describe("fraction of the target probability that is spread evenly over all classes"),
    clipGrad: z
      .number()
      .positive()
      .optional()
      .describe("largest norm of the gradient; a larger gradient is scaled down to it"),
  });
};
