import { describeValue } from "../arguments.ts";
import { hint, MODEL_NAMES, type ModelName } from "../config/index.ts";
import { BatchCamError } from "../errors.ts";
import { ConvNextV2, type ConvNextV2Name } from "./convnext-v2.ts";
import type { Model } from "./model.ts";
import type { ModelOptions } from "./options.ts";
import { ResNet, type ResNetName } from "./resnet.ts";
import { SimpleCNN } from "./simple-cnn.ts";

export type { TappedForward } from "../nn/index.ts";
export { defaultCamLayer } from "./cam-layer.ts";
export { ConvNextV2, type ConvNextV2Options } from "./convnext-v2.ts";
export { multiplyAdds } from "./cost.ts";
export { describeWeights } from "./from-weights.ts";
export { type LoadedWeights, type LoadWeightsOptions, loadWeights } from "./load-weights.ts";
export { Model, mapSize, mapSizes } from "./model.ts";
export type { ModelOptions } from "./options.ts";
export { type Adaptation, loadPretrained } from "./pretrained.ts";
export { ResNet, type ResNetOptions } from "./resnet.ts";
export { SimpleCNN, type SimpleCnnOptions } from "./simple-cnn.ts";

type Create = (options: ModelOptions) => Model;

const resnet =
  (name: ResNetName): Create =>
  (options) =>
    new ResNet(name, options);
const convnextV2 =
  (name: ConvNextV2Name): Create =>
  (options) =>
    new ConvNextV2(name, options);

const MODELS = {
  "simple-cnn": (options) => new SimpleCNN(options),
  resnet18: resnet("resnet18"),
  resnet34: resnet("resnet34"),
  convnextv2_atto: convnextV2("convnextv2_atto"),
  convnextv2_femto: convnextV2("convnextv2_femto"),
  convnextv2_pico: convnextV2("convnextv2_pico"),
  convnextv2_nano: convnextV2("convnextv2_nano"),
  convnextv2_tiny: convnextV2("convnextv2_tiny"),
  convnextv2_base: convnextV2("convnextv2_base"),
} satisfies Record<ModelName, Create>;

/**
 * A new model by name, initialised by the engine's generator: seed it with `manualSeed`.
 *
 * @throws E_CONFIG for an unknown name or option, with the nearest, or for values that leave no map
 */
export function createModel(name: ModelName | (string & {}), options: ModelOptions = {}): Model {
  if (typeof name !== "string" || !Object.hasOwn(MODELS, name)) {
    throw new BatchCamError(
      "E_CONFIG",
      `createModel: unknown model ${describeValue(name)}${typeof name === "string" ? hint(name, MODEL_NAMES) : ""}; known: ${MODEL_NAMES.join(", ")}`,
    );
  }
  return MODELS[name as ModelName](options);
}
