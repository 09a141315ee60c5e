import { z } from "zod";

/** The options of `batch-cam demo`. */
export const DemoConfig = z.strictObject({
  seed: z.int().nonnegative().default(0).describe("seed of every training run"),
  epochs: z.int().positive().default(2).describe("passes over the MNIST training images"),
  limitTrain: z.int().positive().default(6_400).describe("number of MNIST training images to use"),
  threads: z
    .int()
    .positive()
    .optional()
    .describe("threads of the engine (default: the physical cores this process may use)"),
  output: z.string().min(1).default("runs/demo").describe("folder for the runs and report.html"),
});

export type DemoConfigInput = z.input<typeof DemoConfig>;
export type DemoConfig = z.output<typeof DemoConfig>;
