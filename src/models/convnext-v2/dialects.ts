import type { Dialect } from "../family.ts";

/** The layers of a block in timm, by their names in transformers, which are those of the authors' code. */
const BLOCK: Readonly<Record<string, string>> = {
  dwconv: "conv_dw",
  layernorm: "norm",
  norm: "norm",
  pwconv1: "mlp.fc1",
  pwconv2: "mlp.fc2",
  "grn.weight": "mlp.grn.weight",
  "grn.bias": "mlp.grn.bias",
  "grn.gamma": "mlp.grn.weight",
  "grn.beta": "mlp.grn.bias",
  gamma: "gamma",
  layer_scale_parameter: "gamma",
};

function blockName(stage: string, block: string, layer: string, part: string): string {
  const known = BLOCK[`${layer}${part}`] ?? (BLOCK[layer] === undefined ? `${layer}${part}` : `${BLOCK[layer]}${part}`);
  return `stages.${stage}.blocks.${block}.${known}`;
}

/** The names that other libraries give to timm's layers. */
export const CONVNEXT_DIALECTS: readonly Dialect[] = [
  {
    of: "transformers' ConvNeXt",
    as: "timm",
    sign: /^(?:convnext(?:v2)?\.)?embeddings\.patch_embeddings\./,
    prefix: /^convnext(?:v2)?\./,
    rules: [
      [/^embeddings\.patch_embeddings\.(.+)$/, (part) => `stem.0.${part}`],
      [/^embeddings\.layernorm\.(.+)$/, (part) => `stem.1.${part}`],
      [
        /^encoder\.stages\.(\d+)\.downsampling_layer\.(\d+)\.(.+)$/,
        (stage, index, part) => `stages.${stage}.downsample.${index}.${part}`,
      ],
      [/^encoder\.stages\.(\d+)\.layers\.(\d+)\.(\w+)((?:\.\w+)*)$/, blockName],
      [/^layernorm\.(.+)$/, (part) => `head.norm.${part}`],
      [/^classifier\.(weight|bias)$/, (part) => `head.fc.${part}`],
    ],
  },
  {
    of: "the ConvNeXt authors' repository",
    as: "timm",
    sign: /^downsample_layers\.0\./,
    rules: [
      [/^downsample_layers\.0\.(.+)$/, (rest) => `stem.${rest}`],
      [/^downsample_layers\.(\d+)\.(.+)$/, (stage, rest) => `stages.${stage}.downsample.${rest}`],
      [/^stages\.(\d+)\.(\d+)\.(\w+)((?:\.\w+)*)$/, blockName],
      [/^norm\.(.+)$/, (part) => `head.norm.${part}`],
      [/^head\.(weight|bias)$/, (part) => `head.fc.${part}`],
    ],
  },
];
