import type { TrainConfig } from "../../config/index.ts";
import type { AugmentOptions, PrototypeShape, Split } from "../../data/index.ts";
import type { Module } from "../../nn/index.ts";
import type { Optimizer, WeightEma } from "../../optim/index.ts";
import type { StepProfiler } from "../../profile/index.ts";
import { getRngState, type Tensor } from "../../tensor/index.ts";
import type { ExtraLosses } from "../loop/extra-losses.ts";
import type { ObjectivePlan } from "../loop/objective.ts";
import type { ModelInPrecision } from "../loop/precision.ts";
import type { Progress, Snapshot } from "./checkpoint.ts";
import { type Environment, environment } from "./environment.ts";
import type { TermBalance, TrainEvent } from "./events.ts";
import type { MetricsLog, Rewound } from "./metrics-log.ts";
import type { OpenRun } from "./run-directory.ts";

/** The images of a run. */
export interface RunSplits {
  readonly train: Split;
  readonly val: Split;
  /** Null if a program gave none. */
  readonly test: Split | null;
  /** How training images are changed; null if they are not. */
  readonly augmentation: AugmentOptions | null;
}

/** The network of a run, and how it computes. */
export interface Network extends ModelInPrecision {
  /** Modules that stay in evaluation mode and without gradients throughout. */
  readonly frozen: readonly Module[];
  /** Frees a network that the run made; gives one that a program gave back in the mode that it came in. */
  readonly release: () => void;
}

/** The parts that turn gradients into new weights. */
export interface Optimisation {
  readonly optimizer: Optimizer;
  /** The parameters of the network, whose gradients are clipped together. */
  readonly parameters: readonly Tensor[];
  readonly weightEma: WeightEma | null;
  /** Learning rate of a step, from 0. */
  rate: (step: number) => number;
}

/** The maps of a run: what training guides them to is in its `Guidance`, what evaluation compares them with is here. */
export interface RunMaps {
  /** [height, width] at the guided layer */
  readonly size: readonly [number, number];
  /** (C, H, W): the prototypes of the images. Evaluation uses them also if training uses running maps. */
  readonly references: Tensor;
  /** How much shape the prototypes carry that maps are guided to; null if nothing asks for it. */
  readonly prototypeShape: PrototypeShape | null;
}

/** How long a run is. */
export interface RunLength {
  /** The fewest images of one pass. A last batch that is smaller is joined to the one before it. */
  readonly smallestBatch: 1 | 2;
  readonly stepsPerEpoch: number;
  /** The step at which the last epoch ends. */
  totalSteps: number;
  /** The step at which the run ends. */
  lastStep: number;
}

/** The outputs of a run while it trains. */
export interface Reporting {
  readonly emit: (event: TrainEvent) => void;
  readonly log: MetricsLog;
  /** Null if nothing is to be profiled. */
  readonly profiler: StepProfiler | null;
  /** The part of the log that resuming cut off, because the run had gone on after its last checkpoint. */
  rewound: Rewound;
  /** The balance of the terms in the step in progress, if one is due. Its reader sets it back to null. */
  balance: TermBalance[] | null;
}

/** Everything that a run holds while it trains. */
export interface Session {
  readonly run: OpenRun;
  readonly config: TrainConfig;
  readonly splits: RunSplits;
  readonly network: Network;
  readonly optimisation: Optimisation;
  readonly guidance: ObjectivePlan;
  /** The terms that a program adds to the loss. */
  readonly losses: ExtraLosses;
  readonly maps: RunMaps;
  readonly length: RunLength;
  readonly reporting: Reporting;
  progress: Progress;
  /** Step of the last checkpoint; null before the first. */
  savedStep: number | null;
  readonly close: () => void;
}

/** The machine, the versions and the precision that the session runs with. */
export const environmentOf = ({ config, network }: Session): Environment =>
  environment({ seed: config.seed, precision: network.amp ? "bfloat16" : "float32" });

/** The contents of a checkpoint taken now. */
export function snapshot({ network, optimisation, guidance, progress }: Session): Snapshot {
  const { optimizer, weightEma } = optimisation;
  const state = new Map<string, Tensor>([["rng", getRngState()]]);
  for (const [name, tensor] of optimizer.stateTensors()) state.set(`optimizer.${name}`, tensor.detach());
  for (const [name, tensor] of weightEma?.state() ?? []) state.set(`ema.${name}`, tensor.detach());
  for (const [name, tensor] of guidance.camEma?.state() ?? []) state.set(name, tensor.detach());
  return { model: network.model.stateDict(), state, progress };
}
