import { classesOf, type Dialect, type ModelFamily, type Recognition, type WeightsView } from "../family.ts";
import { resnetDescription } from "./description.ts";
import { DEPTHS, ResNet, type ResNetName, type ResNetOptions } from "./resnet.ts";

export const resnet: ModelFamily<ResNetOptions> = {
  ...resnetDescription,
  create: (name, options) => new ResNet(name as ResNetName, options),
  recognise,
  sign: /^layer1\.0\.conv1\./,
  heads: ["fc"],
  *sketches() {
    for (const name of resnetDescription.models) yield [name, new ResNet(name, { width: 1, numClasses: 1 })];
  },
  dialects: [transformers()],
};

function recognise(view: WeightsView): Recognition<ResNetOptions> | null {
  const { has, shapeOf, count } = view;
  if (has(/^layer1\.0\.conv3\./))
    return { looksLike: "a ResNet with bottleneck blocks (50 or deeper), which this project does not have" };
  if (!has(/^layer1\.0\.conv2\./)) return null;
  const depths = [1, 2, 3, 4].map((stage) => count(new RegExp(`^layer${stage}\\.(\\d+)\\.`))).join();
  const name = resnetDescription.models.find((model) => DEPTHS[model].join() === depths);
  if (name === undefined) return { looksLike: "a ResNet of another depth" };
  const [width = 64, inChannels = 3, kernel] = shapeOf("conv1");
  return {
    name,
    options: { ...classesOf(view, "fc"), inChannels, width, stem: kernel === 3 ? "small" : "imagenet" },
  };
}

const next = (index = "0") => Number(index) + 1;

/** The names that transformers gives to torchvision's layers. */
function transformers(): Dialect {
  return {
    of: "transformers' ResNet",
    as: "torchvision",
    sign: /^(?:resnet\.)?embedder\.embedder\.convolution\./,
    prefix: /^resnet\./,
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
  };
}
