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
import type { PrecisionTiming, TermBalance, TrainEvent } from "./events.ts";
import type { MetricsLog, Rewound } from "./metrics-log.ts";
import type { OpenRun } from "./run-directory.ts";

/** The images of a run. */
export interface RunSplits {
  readonly train: Split;
  readonly val: Split;
  /** Null if a program passed no test split. */
  readonly test: Split | null;
}

/** A model with its data: a run in training, and a run that is opened again to be judged. */
export interface ModelWithData extends ModelInPrecision {
  readonly config: TrainConfig;
  readonly data: RunSplits;
  /** The layer whose maps are guided, or judged. */
  readonly camLayer: string;
  /** (C, H, W): the prototypes of the training images, which maps are compared with; training may use running maps instead. */
  readonly prototypes: Tensor;
}

/** How a network is trained. */
export interface Training {
  /** How training images are changed; null if they are not. */
  readonly augmentation: AugmentOptions | null;
  /** Modules that stay in evaluation mode and get no gradients during the whole run. */
  readonly frozen: readonly Module[];
  /** Frees a network that the run made; gives one that a program gave back in the mode that it came in. */
  readonly release: () => void;
}

/** The parts that update the weights from gradients. */
export interface Optimisation {
  readonly optimizer: Optimizer;
  /** The parameters of the network, whose gradients are clipped together. */
  readonly parameters: readonly Tensor[];
  readonly weightEma: WeightEma | null;
  /** The learning rate of a step, counted from 0. */
  rate: (step: number) => number;
}

/** The maps of a run. */
export interface RunMaps {
  /** [height, width] at the guided layer */
  readonly size: readonly [number, number];
  /** The amount of shape in the prototypes that the maps are guided to; null if it is not needed. */
  readonly prototypeShape: PrototypeShape | null;
}

/** The length of a run, in steps. */
export interface RunLength {
  /** The fewest images of one pass. A last batch that is smaller is joined to the one before it. */
  readonly smallestBatch: 1 | 2;
  readonly stepsPerEpoch: number;
  /** The step at which the last epoch ends. */
  totalSteps: number;
  /** The step at which the run ends. */
  lastStep: number;
}

/** The files and events that a run writes while it trains. */
export interface Reporting {
  readonly emit: (event: TrainEvent) => void;
  readonly log: MetricsLog;
  /** The times of a step by which the precision was chosen; null if it was not measured. */
  readonly timings: readonly PrecisionTiming[] | null;
  /** Null if nothing is to be profiled. */
  readonly profiler: StepProfiler | null;
  /** The part of the log that was removed on resuming, because it was written after the last checkpoint. */
  rewound: Rewound;
  /** The balance of the terms in the step in progress, if it has to be logged. The code that logs it resets it to null. */
  balance: TermBalance[] | null;
}

/** The complete state of a run while it trains. */
export interface Session {
  readonly run: OpenRun;
  readonly config: TrainConfig;
  readonly trained: ModelWithData;
  readonly training: Training;
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
export const environmentOf = ({ config, trained }: Session): Environment =>
  environment({
    seed: config.seed,
    precision: trained.amp ? "bfloat16" : "float32",
    layout: trained.channelsLast ? "channels last" : "channels first",
  });

/** The contents of a checkpoint at this moment. */
export function snapshot({ trained, optimisation, guidance, progress }: Session): Snapshot {
  const { optimizer, weightEma } = optimisation;
  const state = new Map<string, Tensor>([["rng", getRngState()]]);
  for (const [name, tensor] of optimizer.stateTensors()) state.set(`optimizer.${name}`, tensor.detach());
  for (const [name, tensor] of weightEma?.state() ?? []) state.set(`ema.${name}`, tensor.detach());
  for (const [name, tensor] of guidance.camEma?.state() ?? []) state.set(name, tensor.detach());
  return { model: trained.model.stateDict(), state, progress };
}
