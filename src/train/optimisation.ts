import type { TrainConfig } from "../config/index.ts";
import type { Model } from "../models/index.ts";
import { optimizerNamed, scheduleNamed } from "../optim/by-name.ts";
import { SCHEDULES } from "../optim/description.ts";
import { linearWarmup, type Optimizer, parameterGroups, type Schedule, sequential } from "../optim/index.ts";

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
  return optimizerNamed(config.opt).create(params, { lr, weightDecay, momentum, nesterov });
}

/** The learning rate at each of a run's steps. */
export function learningRate({ sched, lr, minLr, warmupSteps }: TrainConfig, steps: number): Schedule {
  const ownWarmup = SCHEDULES.find(({ name }) => name === sched)?.ownWarmup ?? false;
  const warmup = ownWarmup ? 0 : warmupSteps;
  const after = scheduleNamed(sched).create({ lr, minLr, steps: Math.max(1, steps - warmup) });
  if (warmup === 0) return after;
  // The first step moves too: step t of the warm-up uses the rate that is reached after it.
  const rise = linearWarmup({ lr, steps: warmup });
  return sequential((step) => rise(step + 1), warmup, after);
}
