import { expectBoolean } from "../arguments.ts";
import { isGradEnabled } from "./autograd.ts";

/** Kernels that do the work of several layers: those of inference, and those that record a graph. */
const enabled = { inference: true, training: true };

/** Switches the fused kernels of inference on (as they are) or off; returns how they were. */
export function setFusedInference(value: boolean): boolean {
  return change("inference", value, "setFusedInference: enabled");
}

/** Switches the fused kernels of training on (as they are) or off, back to the layers one by one; returns how they were. */
export function setFusedTraining(value: boolean): boolean {
  return change("training", value, "setFusedTraining: enabled");
}

function change(purpose: keyof typeof enabled, value: boolean, place: string): boolean {
  expectBoolean(place, value);
  const before = enabled[purpose];
  enabled[purpose] = value;
  return before;
}

/** Whether fused kernels are wanted now: those of training where a graph is recorded. */
export const wantsFused = (): boolean => enabled[isGradEnabled() ? "training" : "inference"];
