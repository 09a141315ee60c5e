import { z } from "zod";

/** What `batch-cam demo` takes. */
export const DemoConfig = z.strictObject({
  seed: z.int().nonnegative().default(0).describe("seed of both trainings"),
  epochs: z.int().positive().default(2).describe("passes over the training images"),
  limitTrain: z.int().positive().default(20_000).describe("training images used"),
  threads: z
    .int()
    .positive()
    .optional()
    .describe("threads of the engine (default: the physical cores this process may use)"),
  output: z.string().min(1).default("runs/demo").describe("folder for the two runs and report.html"),
});

export type DemoConfigInput = z.input<typeof DemoConfig>;
export type DemoConfig = z.output<typeof DemoConfig>;
