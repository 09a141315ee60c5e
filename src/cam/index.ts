export { type ActivationMapsOptions, activationMaps } from "./activation-maps.ts";
export { type BatchCamOptions, batchCam, type CamHead } from "./batch-cam.ts";
export { CONVENTIONS, type Convention } from "./convention.ts";
export { type ExplainOptions, type Explanation, explain } from "./explain.ts";
export { METHODS, type MethodName, methodOf } from "./methods.ts";
export { deadMaps, type NormalizeOptions, normalizeMaps } from "./normalize.ts";
export type { ReshapeTransform } from "./pass.ts";
export type { MethodSettings } from "./settings.ts";
export type { ScoreFunction, Targets } from "./targets.ts";
