import { createModel, type Model, type ModelOptions } from "../../src/models/index.ts";
import { tidy } from "../../src/tensor/index.ts";
import type { Fixture } from "./fixtures.ts";
import { hashedState } from "./hashed-weights.ts";

const GREY = { inChannels: 1 };
const NARROW_RESNET: [string, ModelOptions] = ["resnet18", { inChannels: 1, width: 4, stem: "small" }];
const TINY_CONVNEXT: [string, ModelOptions] = [
  "convnextv2_tiny",
  { inChannels: 1, dims: [6, 10, 14, 20], depths: [1, 1, 2, 1], stemStride: 2 },
];

const NETWORKS: Record<string, [string, ModelOptions]> = {
  model_resnet18_std: ["resnet18", {}],
  model_resnet18_small: ["resnet18", { ...GREY, stem: "small" }],
  model_narrow_resnet18: NARROW_RESNET,
  batchcam_resnet18_layer3: NARROW_RESNET,
  batchcam_resnet18_layer4: NARROW_RESNET,
  model_convnextv2_atto_patch4: ["convnextv2_atto", GREY],
  model_convnextv2_atto_stem2: ["convnextv2_atto", { ...GREY, stemStride: 2 }],
  model_convnextv2_atto_timm_patch2: ["convnextv2_atto", { ...GREY, patchSize: 2 }],
  model_tiny_convnextv2: TINY_CONVNEXT,
  cam_narrow_resnet18_layer4: NARROW_RESNET,
  cam_narrow_resnet18_two_layers: NARROW_RESNET,
  cam_tiny_convnextv2: TINY_CONVNEXT,
  batchcam_convnextv2_stages2: TINY_CONVNEXT,
  batchcam_convnextv2_stages3: TINY_CONVNEXT,
};

/** The registry's network for a fixture, with the fixture's weights. */
export function networkOf(reference: Fixture): Model {
  const [name, options] = NETWORKS[reference.case.name] as [string, ModelOptions];
  const logits = reference.has("out/logits") ? "out/logits" : "out/eval/logits";
  const numClasses = tidy(() => reference.tensor(logits).sizes[1] as number);
  const model = createModel(name, { ...options, numClasses });
  tidy(() => {
    const stored = ["param/", "buffer/"].flatMap((prefix) =>
      reference.names(prefix).map((path) => [path.slice(prefix.length), reference.tensor(path)] as const),
    );
    model.loadStateDict(stored.length > 0 ? new Map(stored) : hashedState(model.stateDict()));
  });
  return model;
}
