import type { TrainConfig } from "../config/index.ts";
import type { Model } from "../models/index.ts";
import {
  Adam,
  AdamW,
  constant,
  cosine,
  linearWarmup,
  type Optimizer,
  oneCycle,
  parameterGroups,
  type Schedule,
  SGD,
  sequential,
} from "../optim/index.ts";

/** The optimizer that a config names, for what the model has to train. */
export function createOptimizer(config: TrainConfig, model: Model): Optimizer {
  const { lr, weightDecay, momentum, nesterov, layerDecay, decayNormAndBias } = config;
  const trained = [...model.namedParameters()].filter(([, parameter]) => parameter.requiresGrad);
  const params = parameterGroups(new Map(trained), {
    lr,
    weightDecay,
    layerDecay,
    layers: model.layerPatterns,
    filterBiasAndBn: !decayNormAndBias,
  });
  if (config.opt === "sgd") return new SGD(params, { lr, weightDecay, momentum, nesterov });
  return config.opt === "adamw" ? new AdamW(params, { lr, weightDecay }) : new Adam(params, { lr, weightDecay });
}

/** The learning rate at each of a run's steps. */
export function learningRate({ sched, lr, minLr, warmupSteps }: TrainConfig, steps: number): Schedule {
  if (sched === "onecycle") return oneCycle({ maxLr: lr, steps });
  const rest = Math.max(1, steps - warmupSteps);
  const after = sched === "cosine" ? cosine({ lr, minLr, steps: rest }) : constant(lr);
  if (warmupSteps === 0) return after;
  // The first step moves too: step t of the warm-up uses the rate that stands after it.
  const rise = linearWarmup({ lr, steps: warmupSteps });
  return sequential((step) => rise(step + 1), warmupSteps, after);
}
