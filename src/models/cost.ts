import { wrongArgument } from "../arguments.ts";
import { inEvaluation, type Module, recordOutputs } from "../nn/index.ts";
import { noGrad, tidy, zeros } from "../tensor/index.ts";
import { isTensor } from "../tensor/internal.ts";
import { expectModel, type Model, traitsOf } from "./model.ts";

/**
 * Number of multiply-adds of one forward pass for one image (channels, height, width). It is the sum over all layers
 * whose weight has two or more dimensions (convolutions and linear layers) of the number of weights times the number of
 * positions at which they are applied. Norms, activations and sums are not counted, as in papers and in torchvision's
 * figures.
 *
 * @throws E_SHAPE for images that the model cannot take
 */
export function multiplyAdds(model: Model, image: readonly [number, number, number]): number {
  expectModel("multiplyAdds", model);
  if (!Array.isArray(image) || image.length !== 3)
    throw wrongArgument("multiplyAdds: image", "[channels, height, width]", image);
  return costsInOrder(model, image).reduce((sum, { cost }) => sum + cost, 0);
}

/**
 * The share of a network's multiply-adds, 0 to 1, in the layers that run after a layer has given its output. Counted as in `multiplyAdds`;
 * NaN for a network without layers that count.
 */
export function shareBehind(model: Module, image: readonly [number, number, number], path: string): number {
  const layer = model.moduleAt(path, "shareBehind");
  const costs = costsInOrder(model, image, layer);
  const place = costs.findLastIndex(({ module }) => module === layer);
  const sum = (list: readonly LayerCost[]) => list.reduce((total, { cost }) => total + cost, 0);
  return sum(costs.slice(place + 1)) / sum(costs);
}

interface LayerCost {
  module: Module;
  cost: number;
}

/** The multiply-adds of each layer, in the order in which their outputs are ready. A layer that is asked for is included even if it has none. */
function costsInOrder(model: Module, image: readonly [number, number, number], asked?: Module): LayerCost[] {
  const weights = new Map<Module, { numel: number; rows: number }>();
  for (const module of model.namedModules().values()) {
    const weight = module.namedParameters().get("weight");
    if (weight !== undefined && weight.ndim >= 2)
      weights.set(module, { numel: weight.numel, rows: weight.sizes[0] as number });
  }
  const wanted = new Set([...weights.keys(), ...(asked === undefined ? [] : [asked])]);
  const batch = traitsOf(model).fixedBatch ?? 1;
  const images = () => zeros([batch, ...image], { dtype: model.parameters()[0]?.dtype ?? "float32" });
  return inEvaluation(model, () =>
    tidy(() =>
      noGrad(() => {
        const { outputs } = recordOutputs(wanted, () => model.forward(images()));
        return Array.from(outputs, ([module, output]) => {
          const weight = weights.get(module);
          const places = isTensor(output) && weight !== undefined ? output.numel / weight.rows / batch : 0;
          return { module, cost: (weight?.numel ?? 0) * places };
        });
      }),
    ),
  );
}
