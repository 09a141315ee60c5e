import type { ConvNextV2Options } from "./convnext-v2.ts";
import type { ResNetOptions } from "./resnet.ts";
import type { SimpleCnnOptions } from "./simple-cnn.ts";

/** What a model may be told; one that the architecture does not have is refused. */
export type ModelOptions = SimpleCnnOptions & ResNetOptions & ConvNextV2Options;
