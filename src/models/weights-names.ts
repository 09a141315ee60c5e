import { counted, wordFor } from "../counted.ts";
import type { Tensor } from "../tensor/index.ts";

/** Weights under the names of this project's models, and what was changed for that. */
export interface NamedWeights {
  weights: Map<string, Tensor>;
  /** One sentence for each change, for people. */
  notes: string[];
}

/** What wrappers of a model put before every name: DataParallel, torch.compile and ModelEma. They say nothing about the model. */
const WRAPPERS = ["module", "_orig_mod"];
/** Under what names training code keeps its model. */
const HOLDERS = ["model", "backbone", "net", "network", "encoder", "base_model", "ema_model", "model_ema"];

/**
 * Brings names to those of torchvision and timm: prefixes that all names share are taken off, again and again
 * ("module._orig_mod."), and the names of transformers and of the ConvNeXt authors are translated. The tensors stay the same.
 */
export function namesOfModels(weights: ReadonlyMap<string, Tensor>): NamedWeights {
  const notes: string[] = [];
  const { names, taken } = withoutPrefixes([...weights.keys()]);
  const held = taken.filter((prefix) => !WRAPPERS.includes(prefix));
  if (held.length > 0) notes.push(`the prefix "${held.join(".")}." was taken off every name`);
  const dialect = DIALECTS.find(({ sign }) => names.some((name) => sign.test(name)));
  const translated = dialect === undefined ? names : names.map((name) => translate(name, dialect));
  if (dialect !== undefined) notes.push(`the names of ${dialect.of} are read as ${dialect.as}'s`);
  const plain = withoutHeadIndex(new Set(translated).size === names.length ? translated : names);
  if (plain !== translated && plain !== names) notes.push("the head is the one linear layer of a sequence");
  return { weights: new Map([...weights.values()].map((tensor, i) => [plain[i] as string, tensor])), notes };
}

function withoutPrefixes(original: readonly string[]): { names: string[]; taken: string[] } {
  let names = [...original];
  const taken: string[] = [];
  for (let prefix = sharedPrefix(names); prefix !== null; prefix = sharedPrefix(names)) {
    const shorter = names.map((name) => name.slice(prefix.length + 1));
    if (![...WRAPPERS, ...HOLDERS].includes(prefix) && !isKnown(shorter)) break;
    names = shorter;
    taken.push(prefix);
  }
  return { names, taken };
}

/** The part before the first dot that all names have; null where they differ. */
function sharedPrefix(names: readonly string[]): string | null {
  const prefix = /^([^.]+)\./.exec(names[0] ?? "")?.[1];
  return prefix !== undefined && names.every((name) => name.startsWith(`${prefix}.`)) ? prefix : null;
}

/** Whether names are those of a family of models that is known here, as they are or translated. */
function isKnown(names: readonly string[]): boolean {
  if (DIALECTS.some(({ sign }) => names.some((name) => sign.test(name)))) return true;
  return names.some((name) => /^(?:layer1\.0\.conv1|stages\.0\.blocks\.0\.conv_dw|conv3)\./.test(name));
}

/** How other code names the layers of a family of models. */
interface Dialect {
  of: string;
  as: string;
  /** A name that no other code has. */
  sign: RegExp;
  rules: readonly (readonly [RegExp, (...groups: string[]) => string])[];
}

const next = (index = "0") => Number(index) + 1;

/** Layers of a ConvNeXt block, whose names transformers took over from the authors. */
const BLOCK: Readonly<Record<string, string>> = {
  ...{ dwconv: "conv_dw", layernorm: "norm", norm: "norm", pwconv1: "mlp.fc1", pwconv2: "mlp.fc2" },
  ...{ "grn.weight": "mlp.grn.weight", "grn.bias": "mlp.grn.bias" },
  ...{ "grn.gamma": "mlp.grn.weight", "grn.beta": "mlp.grn.bias" },
  ...{ gamma: "gamma", layer_scale_parameter: "gamma" },
};

function convNextBlock(stage: string, block: string, layer: string, part: string): string {
  const known = BLOCK[`${layer}${part}`] ?? (BLOCK[layer] === undefined ? `${layer}${part}` : `${BLOCK[layer]}${part}`);
  return `stages.${stage}.blocks.${block}.${known}`;
}

const DIALECTS: readonly Dialect[] = [
  {
    of: "transformers' ResNet",
    as: "torchvision",
    sign: /^(?:resnet\.)?embedder\.embedder\.convolution\./,
    rules: [
      [/^embedder\.embedder\.convolution\.(.+)$/, (part) => `conv1.${part}`],
      [/^embedder\.embedder\.normalization\.(.+)$/, (part) => `bn1.${part}`],
      [
        /^encoder\.stages\.(\d+)\.layers\.(\d+)\.shortcut\.(convolution|normalization)\.(.+)$/,
        (stage, block, layer, part) =>
          `layer${next(stage)}.${block}.downsample.${layer === "convolution" ? 0 : 1}.${part}`,
      ],
      [
        /^encoder\.stages\.(\d+)\.layers\.(\d+)\.layer\.(\d+)\.(convolution|normalization)\.(.+)$/,
        (stage, block, index, layer, part) =>
          `layer${next(stage)}.${block}.${layer === "convolution" ? "conv" : "bn"}${next(index)}.${part}`,
      ],
      [/^classifier\.1\.(.+)$/, (part) => `fc.${part}`],
    ],
  },
  {
    of: "transformers' ConvNeXt",
    as: "timm",
    sign: /^(?:convnext(?:v2)?\.)?embeddings\.patch_embeddings\./,
    rules: [
      [/^embeddings\.patch_embeddings\.(.+)$/, (part) => `stem.0.${part}`],
      [/^embeddings\.layernorm\.(.+)$/, (part) => `stem.1.${part}`],
      [
        /^encoder\.stages\.(\d+)\.downsampling_layer\.(\d+)\.(.+)$/,
        (stage, index, part) => `stages.${stage}.downsample.${index}.${part}`,
      ],
      [/^encoder\.stages\.(\d+)\.layers\.(\d+)\.(\w+)((?:\.\w+)*)$/, convNextBlock],
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
      [/^stages\.(\d+)\.(\d+)\.(\w+)((?:\.\w+)*)$/, convNextBlock],
      [/^norm\.(.+)$/, (part) => `head.norm.${part}`],
      [/^head\.(weight|bias)$/, (part) => `head.fc.${part}`],
    ],
  },
];

/** By the first rule that fits; a name that none fits stays as it is. */
function translate(name: string, { rules }: Dialect): string {
  const inner = name.replace(/^(?:resnet|convnext|convnextv2)\./, "");
  for (const [pattern, rule] of rules) {
    const found = pattern.exec(inner);
    if (found !== null) return rule(...found.slice(1));
  }
  return name;
}

/** `fc.1.weight` of a Sequential(Dropout, Linear) is `fc.weight`, where that is the only layer with weights in it. */
function withoutHeadIndex(names: readonly string[]): readonly string[] {
  const parts = names.flatMap(
    (name) => /^(fc|head\.fc)\.(\d+)\.(weight|bias)$/.exec(name)?.slice(1, 3).join(".") ?? [],
  );
  if (new Set(parts).size !== 1 || parts.length > 2) return names;
  return names.map((name) => name.replace(/^(fc|head\.fc)\.\d+\.(weight|bias)$/, "$1.$2"));
}

/** What most names begin with, where not all do: advice for weights that nothing else explains; "" where there is none. */
export function prefixHint(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) {
    const prefix = /^([^.]+)\./.exec(name)?.[1];
    if (prefix !== undefined) counts.set(prefix, (counts.get(prefix) ?? 0) + 1);
  }
  const [most] = [...counts].toSorted(([, a], [, b]) => b - a);
  if (most === undefined || most[1] === names.length) return "";
  let [key] = most;
  for (let next = sharedPrefix(innerNames(names, key)); next !== null; next = sharedPrefix(innerNames(names, key)))
    key = `${key}.${next}`;
  if (!isKnown(innerNames(names, key))) return "";
  return `; ${most[1]} of the ${counted(names.length, "name")} ${wordFor(most[1], "begins", "begin")} with "${key}.": read those alone by weightsKey "${key}"`;
}

const innerNames = (names: readonly string[], prefix: string): string[] =>
  names.filter((name) => name.startsWith(`${prefix}.`)).map((name) => name.slice(prefix.length + 1));
