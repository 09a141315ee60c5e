import type { TrainConfig } from "../../config/index.ts";
import type { PrototypeShape, Split } from "../../data/index.ts";
import type { Model } from "../../models/index.ts";
import type { Module } from "../../nn/index.ts";
import type { Optimizer, WeightEma } from "../../optim/index.ts";
import type { StepProfiler } from "../../profile/index.ts";
import { getRngState, type Tensor } from "../../tensor/index.ts";
import type { Guidance } from "../loop/objective.ts";
import type { Progress, Snapshot } from "./checkpoint.ts";
import { type Environment, environment } from "./environment.ts";
import type { TermBalance, TrainEvent } from "./events.ts";
import type { MetricsLog, Rewound } from "./metrics-log.ts";
import type { OpenRun } from "./run-directory.ts";

/** Everything that a run holds while it trains. */
export interface Session {
  run: OpenRun;
  config: TrainConfig;
  train: Split;
  val: Split;
  test: Split;
  model: Model;
  /** In evaluation mode and without gradients throughout. */
  frozen: readonly Module[];
  optimizer: Optimizer;
  weightEma: WeightEma | null;
  guidance: Guidance;
  /** How much shape the prototypes carry that maps are guided to; null if nothing asks for it. */
  prototypeShape: PrototypeShape | null;
  /** What evaluation compares the maps with: the images' prototypes, also if training uses running maps. */
  references: Tensor;
  /** Learning rate of a step, from 0. */
  rate: (step: number) => number;
  /** The fewest images of one pass: a last batch that is smaller is joined to the one before it. */
  smallestBatch: 1 | 2;
  stepsPerEpoch: number;
  /** The step at which the last epoch ends. */
  totalSteps: number;
  /** The step at which the run ends. */
  lastStep: number;
  mapSize: readonly [number, number];
  amp: boolean;
  channelsLast: boolean;
  log: MetricsLog;
  /** Null if nothing is to be profiled. */
  profiler: StepProfiler | null;
  progress: Progress;
  /** From where on an earlier part of the run is void. */
  rewound: Rewound;
  /** Of the step in progress, if one is due; its reader sets it back to null. */
  balance: TermBalance[] | null;
  /** Step of the last checkpoint; null before the first. */
  savedStep: number | null;
  emit: (event: TrainEvent) => void;
  close: () => void;
}

/** The machine, the versions and the precision that the session runs with. */
export const environmentOf = ({ config, amp }: Session): Environment =>
  environment({ seed: config.seed, precision: amp ? "bfloat16" : "float32" });

/** What a checkpoint of this moment holds. */
export function snapshot({ model, optimizer, weightEma, guidance, progress }: Session): Snapshot {
  const state = new Map<string, Tensor>([["rng", getRngState()]]);
  for (const [name, tensor] of optimizer.stateTensors()) state.set(`optimizer.${name}`, tensor.detach());
  for (const [name, tensor] of weightEma?.state() ?? []) state.set(`ema.${name}`, tensor.detach());
  for (const [name, tensor] of guidance.camEma?.state() ?? []) state.set(name, tensor.detach());
  return { model: model.stateDict(), state, progress };
}
