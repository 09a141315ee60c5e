export { type ActivationMapsOptions, activationMaps } from "./activation-maps.ts";
export { type BatchCamOptions, batchCam, type CamHead, deadMaps } from "./batch-cam.ts";
export type { MethodName } from "./description.ts";
export { type ExplainOptions, type Explanation, explain, type MapsOf } from "./explain.ts";
export { METHODS, methodOf } from "./methods.ts";
export { type NormalizeOptions, normalizeMaps } from "./normalize.ts";
export type { MethodSettings, ScoreFunction, Targets } from "./options.ts";
export { CONVENTIONS, type Convention } from "./options.ts";
export type { ReshapeTransform } from "./pass.ts";
