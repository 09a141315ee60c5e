import type { MeasureName } from "../../measures.ts";
import type { EpochRecord, StepMetrics } from "../../train/index.ts";
import type { Scale } from "./line-chart.ts";

type Validated = MeasureName & keyof EpochRecord["val"];

/** A curve over the training steps. */
export interface StepCurve {
  name: keyof StepMetrics & MeasureName;
  scale: Scale;
  /** Whether a formula determines the values. A moving mean would only blur them. */
  isSchedule?: boolean;
  /** The term that this is the weight of. Its curve shows the steps that have the term. */
  weightOf?: "prototypeLoss" | "batchCamLoss";
}

/** The curves of everything that training steps log, in the order of a report. */
export const STEP_CURVES: readonly StepCurve[] = [
  { name: "loss", scale: "zero" },
  { name: "crossEntropy", scale: "zero" },
  { name: "prototypeLoss", scale: "zero" },
  { name: "batchCamLoss", scale: "zero" },
  { name: "baselineLoss", scale: "zero" },
  { name: "lambdaPrototype", scale: "zero", isSchedule: true, weightOf: "prototypeLoss" },
  { name: "lambdaBatch", scale: "zero", isSchedule: true, weightOf: "batchCamLoss" },
  { name: "deadMaps", scale: "zero" },
  { name: "rawMapMax", scale: "log" },
  { name: "gradNorm", scale: "log" },
  { name: "lr", scale: "zero", isSchedule: true },
];

/** A curve over the epochs. */
export interface EpochCurve {
  name: MeasureName;
  split: "training" | "validation";
  of(record: EpochRecord): number | null | undefined;
}

const onValidation = (name: Validated): EpochCurve => ({
  ...{ name, split: "validation" },
  of: ({ val }) => (val as Partial<Record<Validated, number>> | undefined)?.[name],
});

/** The curves of the epochs, in the order in which a report shows them. */
export const EPOCH_CURVES: readonly EpochCurve[] = [
  { name: "accuracy", split: "training", of: ({ train }) => train?.accuracy },
  ...(["accuracy", "crossEntropy", "mapSsim", "mapL1", "mapL2", "coherence"] as const).map(onValidation),
  ...(["energyInForeground", "deadMaps"] as const).map(onValidation),
];
