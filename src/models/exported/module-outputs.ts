import { handleOutputs, type OutputHandler } from "../../nn/internal.ts";
import { arange, enableGrad, grad, noGrad, type Tensor, tidy } from "../../tensor/index.ts";
import { isTensor } from "../../tensor/internal.ts";
import type { Model } from "../model.ts";
import { type MapLayout, mapLayout, toMaps } from "./map-layout.ts";

/** A module's output, as a forward pass showed it. */
export interface ModuleOutput {
  readonly path: string;
  readonly sizes: readonly number[];
  /** Null if it holds no maps. */
  readonly layout: MapLayout | null;
}

/** Images that are not constant, so that no layer's output is either. */
export function exampleImages(sizes: readonly number[], { dtype, device }: Pick<Tensor, "dtype" | "device">): Tensor {
  const count = sizes.reduce((product, size) => product * size, 1);
  return arange(0, count, { dtype: "float32" })
    .mul(0.7)
    .sin()
    .reshape([...sizes])
    .to(dtype)
    .to(device);
}

/** The outputs of all modules in the order in which they end (that of its last run if a module runs twice), and the logits' sizes. */
export function moduleOutputs(model: Model, images: Tensor): { outputs: ModuleOutput[]; logits: readonly number[] } {
  const found = new Map<string, ModuleOutput>();
  const watch = (path: string): OutputHandler => {
    return (output) => {
      if (!isTensor(output)) return output;
      found.delete(path);
      found.set(path, { path, sizes: [...output.sizes], layout: mapLayout(output.sizes, images.sizes) });
      return output;
    };
  };
  const handlers = new Map(Array.from(model.namedModules(), ([path, module]) => [module, watch(path)]));
  const logits = tidy(() => noGrad(() => [...handleOutputs(handlers, () => model.forward(images)).sizes]));
  return { outputs: [...found.values()], logits };
}

/**
 * Whether the logits depend on the cells of a layer's output. Those of a ViT whose classifier reads the class token alone do not
 * depend on the other tokens of the last block.
 */
export function cellsMatter(model: Model, images: Tensor, { path, layout }: ModuleOutput): boolean {
  return tidy(() =>
    enableGrad(() => {
      const { logits, taps } = model.forwardWith(images, { taps: [path] });
      const tap = taps[path] as Tensor;
      if (!logits.requiresGrad) return true;
      const [gradient] = grad(logits.square().sum(), [tap], { allowUnused: true });
      const maps = layout === null ? undefined : toMaps(layout);
      return (maps?.(gradient) ?? gradient).abs().max().item() > 0;
    }),
  );
}
