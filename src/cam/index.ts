export { batchCam, type BatchCamOptions } from "./batch-cam.ts";
export { deadMaps, type NormalizeOptions, normalizeMaps } from "./normalize.ts";
