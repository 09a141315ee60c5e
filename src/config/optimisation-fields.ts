import { z } from "zod";
import { choiceOf, type Features, namesOf, optionFields } from "./features.ts";
import { count, group, path } from "./fields.ts";

/** How the weights are learned: the optimizer, its schedule, and the loss of the classes. */
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
      .describe("factor of the learning rate from each layer to the one before it, for fine-tuning"),
    decayNormAndBias: z.boolean().default(false).describe("let the weight decay act on norms and biases too"),
    gradAccumSteps: count().default(1).describe("batches whose gradients are added up for one step"),
    freeze: path()
      .optional()
      .describe("module paths, separated by commas, whose weights and running statistics stay as they are"),
    modelEma: z.boolean().default(false).describe("judge and keep a running average of the weights"),
    modelEmaDecay: z
      .number()
      .min(0)
      .lt(1)
      .default(0.9998)
      .describe("share that the average of the weights keeps at each step"),
    modelEmaWarmup: z.boolean().default(true).describe("let that share rise to its value over the first steps"),
    classWeights: z
      .enum(["none", "balanced"])
      .default("none")
      .describe("balanced: the loss of an image weighs the less, the more images its class has"),
    mixup: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe(
        "mix each image with another of its batch, by a share drawn from Beta(mixup, mixup); only without maps, which would have two classes",
      ),
    labelSmoothing: z.number().min(0).lt(1).default(0).describe("share of the target spread evenly over all classes"),
    clipGrad: z
      .number()
      .positive()
      .optional()
      .describe("largest norm of the gradient; a larger one is scaled down to it"),
  });
};
