export { type BatchCamOptions, batchCam, type CamHead } from "./batch-cam.ts";
export { deadMaps, type NormalizeOptions, normalizeMaps } from "./normalize.ts";
