import { expectModel, type Model, mapSizes } from "./model.ts";

/** Cells on the smaller side of a map that is fine enough to be guided. */
const FINE = 7;

/**
 * The layer to take maps from at an image size (channels, height, width): the last of the model's `camLayers` whose map has at
 * least 7 cells on its smaller side; if none has, the last of those with the largest map.
 *
 * A map can follow a prototype no closer than its grid allows. Prototypes pooled to 4x4 and resized again score SSIM 0.40 on
 * MNIST and 0.52 on Fashion-MNIST, at 7x7 they score 0.68 and 0.67, and guided networks behave alike: a narrow ResNet-18 at
 * the same accuracy reaches 0.35 with its 4x4 map and 0.48 with the 7x7 map before it, ConvNeXt-V2 atto 0.53 at 7x7. Finer
 * maps gained little (0.64 at 14x14 for 0.60, and no accuracy under a decoy), while each stage behind the map is
 * differentiated twice: 35 to 60 % on top of a step, against 0 to 10 % at the last map. So: fine enough, and as late as that
 * allows. If no map is fine enough, the grid is the limit, so the largest map is taken; among equal ones the later has more of
 * the network in it and less behind it. `camLayer` stays what is usual on images of the architecture's own size, 7x7 at
 * 224x224.
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
