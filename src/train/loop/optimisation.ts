import type { TrainConfig } from "../../config/index.ts";
import { BatchCamError } from "../../errors.ts";
import { traitsOf } from "../../models/internal.ts";
import type { Module } from "../../nn/index.ts";
import { SCHEDULES } from "../../optim/description.ts";
import {
  linearWarmup,
  type Optimizer,
  parameterGroups,
  type Schedule,
  sequential,
  type WeightEma,
} from "../../optim/index.ts";
import { optimizerNamed, scheduleNamed } from "../../optim/internal.ts";
import { disposeAll } from "../run/checkpoint.ts";

/** The optimizer that a config names, for the model's trainable parameters. */
export function createOptimizer(config: TrainConfig, model: Module): Optimizer {
  const { lr, weightDecay, momentum, nesterov, layerDecay, decayNormAndBias } = config;
  const trained = [...model.namedParameters()].filter(([, parameter]) => parameter.requiresGrad);
  const params = parameterGroups(new Map(trained), {
    lr,
    weightDecay,
    layerDecay,
    layers: traitsOf(model).layerPatterns,
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
  // Step t of the warm-up uses the rate that is reached after it, because with a rate of zero the first step would have
  // no effect.
  const rise = linearWarmup({ lr, steps: warmup });
  return sequential((step) => rise(step + 1), warmup, after);
}

/**
 * Freezes the modules at some paths, separated by commas, so that their parameters get no gradient. Returns the modules. They must stay
 * in evaluation mode, so that their running statistics do not change.
 *
 * @throws E_CONFIG for a path that the model does not have, or if nothing is left to train
 */
export function freeze(model: Module, paths: string): Module[] {
  const modules = paths.split(",").map((path) => model.moduleAt(path.trim(), "freeze"));
  for (const module of modules) module.requiresGrad_(false);
  if (model.parameters().every((parameter) => !parameter.requiresGrad)) {
    throw new BatchCamError("E_CONFIG", `freeze: with ${JSON.stringify(paths)} frozen, no parameter is left to train`);
  }
  return modules;
}

/** Runs fn with the averaged weights in the model, if there is an average, and restores the trained ones bit for bit. */
export async function withAverage<T>(model: Module, average: WeightEma | null, fn: () => Promise<T>): Promise<T> {
  if (average === null) return fn();
  const live = model.stateDict();
  const trained = new Map(Array.from(live, ([name, tensor]) => [name, tensor.clone()]));
  disposeAll(live);
  try {
    model.loadStateDict(average.state());
    return await fn();
  } finally {
    model.loadStateDict(trained);
    disposeAll(trained);
  }
}
