export type { TappedForward } from "../nn/index.ts";
export { defaultCamLayer } from "./cam-layer.ts";
export {
  ConvNextV2,
  type ConvNextV2Name,
  type ConvNextV2Options,
  type Head as ConvNextV2Head,
} from "./convnext-v2/convnext-v2.ts";
export { multiplyAdds } from "./cost.ts";
export { createModel } from "./create.ts";
export type { ModelName } from "./description.ts";
export { ExportedModel } from "./exported/exported-model.ts";
export { type LoadExportedOptions, loadExportedModel } from "./exported/load.ts";
export type { MapLayout } from "./exported/map-layout.ts";
export type { ModuleOutput } from "./exported/module-outputs.ts";
export type {
  Argument as ProgramArgument,
  Graph as ProgramGraph,
  ModuleScope,
  Node as ProgramNode,
  Output as ProgramOutput,
  Program,
  ProgramInput,
  ProgramTensor,
  ValueName,
} from "./exported/program.ts";
export type { ModelOptions } from "./families.ts";
export { type LoadedWeights, type LoadWeightsOptions, loadWeights } from "./load-weights.ts";
export { type ClosedFormHead, type MapTransform, Model, mapSize, mapSizes } from "./model.ts";
export { type Adaptation, loadPretrained } from "./pretrained.ts";
export { describeWeights } from "./recognise.ts";
export { ResNet, type ResNetName, type ResNetOptions } from "./resnet/resnet.ts";
export { SimpleCNN, type SimpleCnnOptions } from "./simple-cnn/simple-cnn.ts";
