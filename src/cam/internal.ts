// Names that other folders of the project use, in addition to the public ones (index.ts). This is not an entry of the package.
export { guidanceMaps } from "./batch-cam.ts";
export { LAYERLESS_METHODS } from "./methods.ts";
