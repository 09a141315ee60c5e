import { handleOutputs, type OutputHandler } from "../../nn/internal.ts";
import { enableGrad, grad, noGrad, type Tensor, tidy } from "../../tensor/index.ts";
import { isTensor } from "../../tensor/internal.ts";
import type { Model } from "../model.ts";
import type { ProgramCalls } from "./cut-values.ts";
import { type MapLayout, toMaps } from "./map-layout.ts";
import type { ModuleCall } from "./module-calls.ts";
import type { Program } from "./program.ts";

/** A module's output. */
export interface ModuleOutput {
  readonly path: string;
  readonly sizes: readonly number[];
  /** Null if it holds no maps. */
  readonly layout: MapLayout | null;
}

/** The sizes of a module's output. */
export type OutputSizes = Pick<ModuleOutput, "path" | "sizes">;

/**
 * The outputs of all modules in the order in which they end (that of its last run if a module runs twice), for example images of these
 * sizes, as the file names them; null if it leaves some open.
 */
export function outputsOfFile(
  { graph, input }: Program,
  { items }: ProgramCalls,
  images: readonly number[],
): OutputSizes[] | null {
  const all = graph.sizes;
  if (all === undefined) return null;
  const [batch] = all.get(input.value) ?? [];
  const found = new Map<string, OutputSizes | null>();
  const visit = (item: number | ModuleCall): void => {
    if (typeof item === "number") return;
    item.items.forEach(visit);
    if (item.output === null) return;
    const sizes = all.get(item.output)?.map((size) => sizeOf(size, { open: batch, batch: images[0] as number }));
    found.delete(item.path);
    found.set(
      item.path,
      sizes === undefined || sizes.includes(null) ? null : { path: item.path, sizes: sizes as number[] },
    );
  };
  items.forEach(visit);
  const outputs = [...found.values()];
  return outputs.includes(null) ? null : (outputs as OutputSizes[]);
}

/** A size for a batch of so many images: a number, the batch itself, or a multiple of it, such as that of windows. */
function sizeOf(
  size: number | string,
  { open, batch }: { open: number | string | undefined; batch: number },
): number | null {
  if (typeof size === "number") return size;
  const [, factor = "1", symbol = size] = /^(\d+)\*(.*)$/.exec(size) ?? [];
  return symbol === open ? Number(factor) * batch : null;
}

/** The same from a forward pass of example images, and the logits' sizes. */
export function outputsOfPass(model: Model, images: Tensor): { outputs: OutputSizes[]; logits: readonly number[] } {
  const found = new Map<string, OutputSizes>();
  const watch = (path: string): OutputHandler => {
    return (output) => {
      if (!isTensor(output)) return output;
      found.delete(path);
      found.set(path, { path, sizes: [...output.sizes] });
      return output;
    };
  };
  const handlers = new Map(Array.from(model.namedModules(), ([path, module]) => [module, watch(path)]));
  const logits = tidy(() => noGrad(() => [...handleOutputs(handlers, () => model.forward(images)).sizes]));
  return { outputs: [...found.values()], logits };
}

/**
 * Whether the logits depend on the cells of each layer's output, by the paths. Those of a ViT whose classifier reads the class token alone
 * do not depend on the other tokens of the last block.
 */
export function cellsMatter(
  model: Model,
  images: Tensor,
  outputs: readonly ModuleOutput[],
): ReadonlyMap<string, boolean> {
  return tidy(() =>
    enableGrad(() => {
      const { logits, taps } = model.forwardWith(images, { taps: outputs.map(({ path }) => path) });
      if (!logits.requiresGrad) return new Map(outputs.map(({ path }) => [path, true]));
      const tapped = outputs.map(({ path }) => taps[path] as Tensor);
      const gradients = grad(logits.square().sum(), tapped, { allowUnused: true });
      const isRead = ({ layout }: ModuleOutput, gradient: Tensor) => {
        const maps = layout === null ? undefined : toMaps(layout);
        return (maps?.(gradient) ?? gradient).abs().max().item() > 0;
      };
      return new Map(outputs.map((output, i) => [output.path, isRead(output, gradients[i] as Tensor)]));
    }),
  );
}
