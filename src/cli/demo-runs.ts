import type { DemoConfig, TrainConfigInput } from "../config/index.ts";

/** The demo's runs by name of their directory, in the order in which they are trained: two on MNIST, three on its decoy set. */
export const DEMO_RUNS = ["plain", "guided", "decoy-plain", "decoy-guided", "decoy-control"] as const;

export type DemoRun = (typeof DEMO_RUNS)[number];

/** The runs of demos from before the decoy set was a part of them. */
export const FIRST_DEMO_RUNS: readonly DemoRun[] = ["plain", "guided"];

/** What is said before each run trains. */
export const DEMO_HEADINGS: Record<DemoRun, string> = {
  plain: "MNIST, plain",
  guided: "MNIST, guided",
  "decoy-plain": "MNIST with a decoy patch, plain",
  "decoy-guided": "MNIST with a decoy patch, guided",
  "decoy-control": "MNIST with a decoy patch, control: guided to one mean image for all classes",
};

/** As the study of docs/reproduction.md has it (`compare --preset decoy`), where five seeds of each were measured. */
const DECOY = {
  dataset: "decoy-mnist",
  epochs: 3,
  limitTrain: 5120,
  valImages: 1000,
  limitVal: 500,
  limitTest: 2000,
  lambdaWarmup: 0,
  distance: "ssim",
} as const satisfies TrainConfigInput;

/** The train options of a run; `epochs` and `limitTrain` of the demo are those of its MNIST runs. */
export function demoRunOptions(name: DemoRun, config: DemoConfig): TrainConfigInput {
  const { epochs, limitTrain, ...shared } = config;
  const experiment = { ...shared, experiment: name };
  switch (name) {
    case "plain":
    case "guided":
      return { ...experiment, epochs, limitTrain, limitVal: 2000, plain: name === "plain" };
    case "decoy-plain":
      return { ...experiment, ...DECOY, plain: true };
    case "decoy-guided":
      return { ...experiment, ...DECOY, lambdaPrototype: 5, lambdaBatch: 5 };
    case "decoy-control":
      return { ...experiment, ...DECOY, lambdaPrototype: 5, prototypes: "global" };
  }
}
