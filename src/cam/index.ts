export { type ActivationMapsOptions, activationMaps } from "./activation-maps.ts";
export { type BatchCamOptions, batchCam, type CamHead, deadMaps } from "./batch-cam.ts";
export type { MethodName } from "./description.ts";
export { type Explanation, explain, type MapsOf } from "./explain.ts";
export { METHODS, methodOf } from "./methods.ts";
export { CONVENTIONS, type Convention, type NormalizeOptions, normalizeMaps } from "./normalize.ts";
export type { ExplainOptions, MethodSettings } from "./options.ts";
export type { ReshapeTransform } from "./recorded-forward.ts";
export type { ScoreFunction, Targets } from "./targets.ts";
