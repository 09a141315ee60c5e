import { BatchCamError } from "../errors.ts";
import { inEvaluation, type Module } from "../nn/index.ts";
import { handleOutputs, type OutputHandler } from "../nn/internal.ts";
import { noGrad, tidy, zeros } from "../tensor/index.ts";
import { isTensor } from "../tensor/internal.ts";
import { expectImageSize, expectModule, Model, mapSizes } from "./model.ts";

/** The smallest side, in pixels, of a map that is fine enough to be guided. */
const FINE = 7;

/**
 * The layer to take maps from at an image size (channels, height, width): the last of a `Model`'s `camLayers`, or of all layers
 * of any other module, whose map has at least 7 pixels on its smaller side; if none has, the last of those with the largest map.
 *
 * The resolution of a map limits how well it can match a prototype. Prototypes that are pooled to 4x4 and resized again have an SSIM of
 * 0.40 on MNIST and 0.52 on Fashion-MNIST; at 7x7 they have 0.68 and 0.67. Guided networks show the same: at the same accuracy, a narrow
 * ResNet-18 reaches 0.35 with its 4x4 map and 0.48 with the 7x7 map of an earlier layer, and ConvNeXt-V2 atto 0.53 at 7x7. Finer maps
 * improved little (0.64 at 14x14 instead of 0.60, and no accuracy under a decoy). They also cost more, because each stage after the
 * target layer is differentiated twice: 35 to 60 % of a step, compared with 0 to 10 % at the last map. So the choice is the latest layer
 * whose map is fine enough. If no map is, the largest map is chosen; among equal maps the later one depends on more of the network and
 * has fewer stages after it. `camLayer` is the usual layer for images of the architecture's own size, with maps of 7x7 at 224x224.
 *
 * @throws E_SHAPE for images that the model cannot take; E_CONFIG if no layer gives maps of more than one pixel
 */
export function defaultCamLayer(model: Module, image: readonly [number, number, number]): string {
  expectModule("defaultCamLayer", model);
  expectImageSize("defaultCamLayer", image);
  const found = model instanceof Model ? stagesOf(model, image) : layersWithMaps(model, image);
  const wanted = Math.min(FINE, Math.max(...found.map(({ side }) => side)));
  const layer = found.findLast(({ side }) => side >= wanted)?.path;
  if (layer !== undefined) return layer;
  if (model instanceof Model) return model.camLayer;
  throw new BatchCamError(
    "E_CONFIG",
    `defaultCamLayer: no layer of the model, a ${model.constructor.name}, gives maps (N, C, H, W) of more than one pixel for images of ${image.join("x")}: name a layer (camLayer), or call the layers by run(x), which shows their outputs`,
  );
}

interface MappedLayer {
  path: string;
  /** The smaller side of its map, in pixels. */
  side: number;
}

function stagesOf(model: Model, image: readonly [number, number, number]): MappedLayer[] {
  const sizes = mapSizes(model, image, model.camLayers);
  return model.camLayers.map((path, place) => ({
    path,
    side: Math.min(...(sizes[place] as readonly [number, number])),
  }));
}

/** The layers whose output is a map of more than one pixel, in the order in which they ran last. */
function layersWithMaps(model: Module, image: readonly [number, number, number]): MappedLayer[] {
  const found = new Map<string, number>();
  const watching = (path: string): OutputHandler => {
    return (output) => {
      const [, , height = 0, width = 0] = isTensor(output) && output.ndim === 4 ? output.sizes : [];
      found.delete(path); // a layer that runs twice takes the place of its last run
      if (height * width > 1) found.set(path, Math.min(height, width));
      return output;
    };
  };
  const everywhere = new Map(Array.from(model.namedModules(), ([path, module]) => [module, watching(path)]));
  const dtype = model.parameters()[0]?.dtype ?? "float32";
  const run = () => void model.forward(zeros([1, ...image], { dtype }));
  inEvaluation(model, () => tidy(() => noGrad(() => handleOutputs(everywhere, run))));
  return Array.from(found, ([path, side]) => ({ path, side }));
}
