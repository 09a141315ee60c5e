import { classesOf, type ModelFamily, type Recognition, type WeightsView } from "../family.ts";
import { ConvNextV2, type ConvNextV2Name, type ConvNextV2Options, VARIANTS } from "./convnext-v2.ts";
import { convNextV2Description } from "./description.ts";
import { CONVNEXT_DIALECTS } from "./dialects.ts";

/** One model for each set of parameter names. The other models have the same names as one of these. */
const SKETCHED = ["convnextv2_atto", "convnextv2_nano", "convnextv2_tiny", "convnextv2_base"] as const;

export const convNextV2: ModelFamily<ConvNextV2Options> = {
  ...convNextV2Description,
  create: (name, options) => new ConvNextV2(name as ConvNextV2Name, options),
  recognise,
  sign: /^stages\.0\.blocks\.0\.conv_dw\./,
  heads: ["head.fc"],
  *sketches() {
    for (const name of SKETCHED) yield [name, new ConvNextV2(name, { dims: [1, 1, 1, 1], numClasses: 1 })];
  },
  dialects: CONVNEXT_DIALECTS,
};

function recognise(view: WeightsView): Recognition<ConvNextV2Options> | null {
  const { has, shapeOf, count } = view;
  if (has(/^downsample_layers\./))
    return { looksLike: "a ConvNeXt with the names of its authors' repository; timm's are needed" };
  if (!has(/^stages\.0\.blocks\.0\.conv_dw\./)) return null;
  if (!has(/\.mlp\.grn\./)) return { looksLike: "a ConvNeXt of the first version, which this project does not have" };
  const depths = [0, 1, 2, 3].map((stage) => count(new RegExp(`^stages\\.${stage}\\.blocks\\.(\\d+)\\.`))).join();
  const [width] = shapeOf("stages.0.blocks.0.conv_dw");
  const fits = ({ depths: blocks, dims }: (typeof VARIANTS)[ConvNextV2Name]) =>
    blocks.join() === depths && dims[0] === width;
  const name = convNextV2Description.models.find((model) => fits(VARIANTS[model]));
  if (name === undefined) return { looksLike: "a ConvNeXt V2 of another size" };
  const [, inChannels = 3, patch = 4] = shapeOf("stem.0");
  // With timm's patch size 2, the first stage halves the map too; with a plain stem of stride 2 it does not.
  const plain = patch === 2 && !has(/^stages\.0\.downsample\.1\.weight$/);
  const stem = plain ? { stemStride: 2 as const } : { patchSize: patch as 1 | 2 | 4 };
  return { name, options: { ...classesOf(view, "head.fc"), inChannels, ...stem } };
}
