import { wrongArgument } from "../arguments.ts";
import { inEvaluation, recordOutputs } from "../nn/index.ts";
import { noGrad, tidy, zeros } from "../tensor/index.ts";
import { expectModel, type Model } from "./model.ts";

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
  const layers = [...model.namedModules().values()].flatMap((module) => {
    const weight = module.namedParameters().get("weight");
    return weight !== undefined && weight.ndim >= 2 ? [{ module, weight }] : [];
  });
  return inEvaluation(model, () =>
    tidy(() =>
      noGrad(() => {
        const batch = model.fixedBatch ?? 1;
        const wanted = new Set(layers.map(({ module }) => module));
        const { outputs } = recordOutputs(wanted, () => model.forward(zeros([batch, ...image])));
        const places = ({ module, weight }: (typeof layers)[number]) =>
          (outputs.get(module)?.numel ?? 0) / (weight.sizes[0] as number) / batch;
        return layers.reduce((sum, layer) => sum + layer.weight.numel * places(layer), 0);
      }),
    ),
  );
}
