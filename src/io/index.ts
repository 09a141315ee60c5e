export { loadSafetensors, readSafetensorsMetadata, saveSafetensors } from "./safetensors.ts";
export { type LoadTorchOptions, loadTorchFile } from "./torch-file.ts";
