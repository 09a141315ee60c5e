import { z } from "zod";

/** The facts about an optimizer that flags, help and documentation use. Its class is chosen in `by-name.ts`. */
export interface OptimizerDescription {
  readonly name: string;
  readonly summary: string;
  /** Train options of this optimizer alone, by key. */
  readonly options: Readonly<Record<string, z.ZodType>>;
}

/** Every optimizer, the default first. A new one is an entry here and a line in `by-name.ts`. */
export const OPTIMIZERS = [
  { name: "adam", summary: "Adam; weight decay is an L2 term", options: {} },
  { name: "adamw", summary: "Adam with decoupled weight decay", options: {} },
  {
    name: "sgd",
    summary: "gradient descent with momentum; weight decay is an L2 term",
    options: {
      momentum: z
        .number()
        .min(0)
        .lt(1)
        .default(0.9)
        .describe("fraction of the previous update that is added to the next"),
      nesterov: z.boolean().default(false).describe("Nesterov momentum"),
    },
  },
] as const satisfies readonly OptimizerDescription[];

export type OptimizerName = (typeof OPTIMIZERS)[number]["name"];

/** The facts about a learning-rate schedule that flags, help and documentation use. Its function is in `by-name.ts`. */
export interface ScheduleDescription {
  readonly name: string;
  readonly summary: string;
  /** Train options of this schedule alone, by key. */
  readonly options: Readonly<Record<string, z.ZodType>>;
  /** Whether it rises by itself, so that `warmupSteps` is not used. */
  readonly ownWarmup: boolean;
  /** Whether its rates depend on the number of steps; a resumed run must not change that number then. */
  readonly needsLength: boolean;
}

/** Every schedule, the default first. A new one is an entry here and a line in `by-name.ts`. */
export const SCHEDULES = [
  { name: "constant", summary: "lr at every step", options: {}, ownWarmup: false, needsLength: false },
  {
    name: "cosine",
    summary: "half a cosine from lr to minLr",
    options: { minLr: z.number().nonnegative().default(0).describe("learning rate at the end of the run") },
    ownWarmup: false,
    needsLength: true,
  },
  {
    name: "onecycle",
    summary: "a rise to lr, then a longer fall to almost 0",
    options: {},
    ownWarmup: true,
    needsLength: true,
  },
] as const satisfies readonly ScheduleDescription[];

export type ScheduleName = (typeof SCHEDULES)[number]["name"];
