import { defaultCamLayer, mapSizes, multiplyAdds } from "../../models/index.ts";
import { createModelOf, FAMILIES, optionsForImages } from "../../models/internal.ts";
import { manualSeed } from "../../tensor/index.ts";
import { ImagesTooSmall } from "../../tensor/internal.ts";
import { formatTable } from "../table.ts";

interface Images {
  imageSize: number;
  inChannels: number;
  numClasses: number;
}

const HEADERS = ["model", "parameters", "multiply-adds", "maps of the stages", "target layer", "stem"];

const LEGEND = `multiply-adds: of the forward pass of one image
target layer: whose maps guide the training and are explained, unless --cam-layer or --layer names another
stem: how the first layers are made for images of this size
`;

/** One row per model, with the stem and the target layer that `train` chooses for images of this size. */
export function modelTable(names: readonly string[], images: Images, families = FAMILIES): string {
  const { imageSize, inChannels, numClasses } = images;
  const head = `images of ${imageSize}x${imageSize}, channels ${inChannels}, classes ${numClasses}`;
  return `${head}\n\n${formatTable(
    HEADERS,
    names.map((name) => row(name, images, families)),
  )}
${LEGEND}`;
}

function row(name: string, { imageSize, inChannels, numClasses }: Images, families: typeof FAMILIES): string[] {
  const image = [inChannels, imageSize, imageSize] as const;
  const options = optionsForImages(name, imageSize, { families });
  manualSeed(0);
  try {
    using model = createModelOf(families, name, { numClasses, inChannels, ...options });
    const maps = mapSizes(model, image, model.camLayers).map(([height, width]) => `${height}x${width}`);
    const { imageSize: _, ...stem } = options;
    const chosen = Object.entries(stem).map(([key, value]) => `${key} ${value}`);
    return [
      name,
      short(model.numParameters()),
      short(multiplyAdds(model, image)),
      maps.join(" "),
      defaultCamLayer(model, image),
      chosen.join(", "),
    ];
  } catch (error) {
    if (error instanceof ImagesTooSmall) return [name, "", "", "images too small"];
    throw error;
  }
}

/** Formats 11.2 million as "11.2 M". */
export function short(value: number): string {
  const [unit, scale] = value >= 1e9 ? ["G", 1e9] : value >= 1e6 ? ["M", 1e6] : ["k", 1e3];
  return `${(value / (scale as number)).toFixed(2)} ${unit}`;
}
