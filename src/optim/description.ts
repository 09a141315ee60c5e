import { z } from "zod";

/** The facts about an optimizer that flags, help and documentation use. Its class is chosen in `by-name.ts`. */
export interface OptimizerDescription {
  readonly name: string;
  readonly summary: string;
  /** The train options that only this optimizer uses, by key. */
  readonly options: Readonly<Record<string, z.ZodType>>;
}

/** Every optimizer, the default first. A new optimizer needs an entry here and a line in `by-name.ts`. */
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
  /** The train options that only this schedule uses, by key. */
  readonly options: Readonly<Record<string, z.ZodType>>;
  /** Whether the schedule contains a warm-up of its own, so that `warmupSteps` is not used. */
  readonly ownWarmup: boolean;
  /** Whether the rates depend on the total number of steps. A resumed run must then keep that number. */
  readonly needsLength: boolean;
}

/** Every schedule, the default first. A new schedule needs an entry here and a line in `by-name.ts`. */
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
