import { describeValue } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { type Named, type Registry, registryOf } from "../registry.ts";
import { Adam, AdamW } from "./adam.ts";
import { OPTIMIZERS, type OptimizerName, SCHEDULES, type ScheduleName } from "./description.ts";
import type { Optimizer } from "./optimizer.ts";
import type { ParameterGroup } from "./parameter-groups.ts";
import { constant, cosine, oneCycle, type Schedule } from "./schedules.ts";
import { SGD } from "./sgd.ts";

/** The train options that optimizers read. Each optimizer uses some of them. */
export interface OptimizerOptions {
  lr: number;
  weightDecay: number;
  momentum: number;
  nesterov: boolean;
}

/** The train options that schedules read, and the number of steps after the warm-up. */
export interface ScheduleOptions {
  lr: number;
  minLr: number;
  steps: number;
}

/** An optimizer that users choose by its name. */
export interface NamedOptimizer extends Named {
  create(groups: readonly ParameterGroup[], options: OptimizerOptions): Optimizer;
}

/** A schedule that users choose by its name. */
export interface NamedSchedule extends Named {
  create(options: ScheduleOptions): Schedule;
}

const CREATE_OPTIMIZER: Readonly<Record<OptimizerName, NamedOptimizer["create"]>> = {
  adam: (params, { lr, weightDecay }) => new Adam(params, { lr, weightDecay }),
  adamw: (params, { lr, weightDecay }) => new AdamW(params, { lr, weightDecay }),
  sgd: (params, { lr, weightDecay, momentum, nesterov }) => new SGD(params, { lr, weightDecay, momentum, nesterov }),
};

const CREATE_SCHEDULE: Readonly<Record<ScheduleName, NamedSchedule["create"]>> = {
  constant: ({ lr }) => constant(lr),
  cosine: ({ lr, minLr, steps }) => cosine({ lr, minLr, steps }),
  onecycle: ({ lr, steps }) => oneCycle({ maxLr: lr, steps }),
};

const OPTIMIZER_REGISTRY: Registry<NamedOptimizer> = registryOf(
  OPTIMIZERS.map(({ name }) => ({ name, create: CREATE_OPTIMIZER[name] })),
);
const SCHEDULE_REGISTRY: Registry<NamedSchedule> = registryOf(
  SCHEDULES.map(({ name }) => ({ name, create: CREATE_SCHEDULE[name] })),
);

/** Looks up an optimizer by its name in `known`. */
export function optimizerNamed(name: string, known = OPTIMIZER_REGISTRY): NamedOptimizer {
  return named("optimizer", name, known);
}

/** Looks up a schedule by its name in `known`. */
export function scheduleNamed(name: string, known = SCHEDULE_REGISTRY): NamedSchedule {
  return named("schedule", name, known);
}

function named<T extends Named>(what: string, name: string, known: Registry<T>): T {
  const found = known.find(name);
  if (found !== undefined) return found;
  const problem = `unknown ${what} ${describeValue(name)}${known.hint(name)}; known: ${known.names.join(", ")}`;
  throw new BatchCamError("E_CONFIG", problem);
}
