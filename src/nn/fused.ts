export { setFusedInference, setFusedTraining, wantsFused } from "../tensor/fused-switch.ts";

import type { Module } from "./module.ts";
import { isWatched } from "./recorder.ts";

type Kind = abstract new (...args: never[]) => Module;

/** Whether a layer is of just this class, with the forward of the class. */
export const isOf = (layer: Module, kind: Kind): boolean =>
  layer.constructor === kind && !Object.hasOwn(layer, "forward");

/** Whether a fused kernel may stand for a layer: one of just this class that nobody looks at. */
export const isPlain = (layer: Module, kind: Kind): boolean => isOf(layer, kind) && !isWatched(layer);
