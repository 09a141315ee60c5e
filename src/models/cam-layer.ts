import { expectModel, type Model, mapSizes } from "./model.ts";

/** The smallest side, in pixels, of a map that is fine enough to be guided. */
const FINE = 7;

/**
 * The default target layer at an image size (channels, height, width): the last of the model's `camLayers` whose map has at least 7
 * pixels on its smaller side or, if no map is that large, the last of the layers with the largest map.
 *
 * The resolution of a map limits how well it can match a prototype. Prototypes that are pooled to 4x4 and resized again have an SSIM of
 * 0.40 on MNIST and 0.52 on Fashion-MNIST; at 7x7 they have 0.68 and 0.67. Guided networks show the same: at the same accuracy, a narrow
 * ResNet-18 reaches 0.35 with its 4x4 map and 0.48 with the 7x7 map of an earlier layer, and ConvNeXt-V2 atto 0.53 at 7x7. Finer maps
 * improved little (0.64 at 14x14 instead of 0.60, and no accuracy under a decoy). They also cost more, because each stage after the
 * target layer is differentiated twice: 35 to 60 % of a step, compared with 0 to 10 % at the last map. So the choice is the latest layer
 * whose map is fine enough. If no map is, the largest map is chosen; among equal maps the later one depends on more of the network and
 * has fewer stages after it. `camLayer` is the usual layer for images of the architecture's own size, with maps of 7x7 at 224x224.
 *
 * @throws E_SHAPE for images that the model cannot take
 */
export function defaultCamLayer(model: Model, image: readonly [number, number, number]): string {
  expectModel("defaultCamLayer", model);
  const layers = model.camLayers;
  const sides = mapSizes(model, image, layers).map((size) => Math.min(...size));
  const wanted = Math.min(FINE, Math.max(...sides));
  return layers[sides.findLastIndex((side) => side >= wanted)] ?? model.camLayer;
}
