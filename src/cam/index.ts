export { type BatchCamOptions, batchCam } from "./batch-cam.ts";
export { deadMaps, type NormalizeOptions, normalizeMaps } from "./normalize.ts";
