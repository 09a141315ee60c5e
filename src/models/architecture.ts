import type { Tensor } from "../tensor/index.ts";

/** Blocks of the stages, and channels of the first, by which weights are told apart. */
const CONVNEXT_V2 = new Map([
  ["2,2,6,2 40", "convnextv2_atto"],
  ["2,2,6,2 48", "convnextv2_femto"],
  ["2,2,6,2 64", "convnextv2_pico"],
  ["2,2,8,2 80", "convnextv2_nano"],
  ["3,3,9,3 96", "convnextv2_tiny"],
  ["3,3,27,3 128", "convnextv2_base"],
]);
const RESNET = new Map([
  ["2,2,2,2", "resnet18"],
  ["3,4,6,3", "resnet34"],
]);

/** The model that weights were most likely made for, judged by their names and shapes; null where none fits. */
export function likeliestArchitecture(weights: ReadonlyMap<string, Tensor>): string | null {
  const names = [...weights.keys()];
  const has = (pattern: RegExp) => names.some((name) => pattern.test(name));
  if (has(/^layer1\.0\.conv3\./)) return "a ResNet with bottleneck blocks (50 or deeper), which this project lacks";
  if (has(/^layer1\.0\.conv2\./)) {
    const depths = [1, 2, 3, 4].map((stage) => blocks(names, new RegExp(`^layer${stage}\\.(\\d+)\\.`)));
    return RESNET.get(depths.join()) ?? "a ResNet of another depth";
  }
  if (has(/^stages\.0\.blocks\.0\.conv_dw\./)) {
    if (!has(/\.mlp\.grn\./)) return "a ConvNeXt of the first version, which this project lacks";
    const depths = [0, 1, 2, 3].map((stage) => blocks(names, new RegExp(`^stages\\.${stage}\\.blocks\\.(\\d+)\\.`)));
    const width = weights.get("stages.0.blocks.0.conv_dw.weight")?.sizes[0];
    return CONVNEXT_V2.get(`${depths.join()} ${width}`) ?? "a ConvNeXt V2 of another size";
  }
  if (has(/^downsample_layers\./)) return "a ConvNeXt with the names of its authors' repository; timm's are needed";
  if (has(/^conv3\.weight$/) && has(/^conv2\.weight$/) && !has(/^layer\d/)) return "simple-cnn";
  if (has(/^(?:model\.|module\.|encoder\.)/)) return "weights with a prefix before every name; take it off";
  return null;
}

function blocks(names: readonly string[], pattern: RegExp): number {
  return new Set(names.flatMap((name) => pattern.exec(name)?.[1] ?? [])).size;
}
