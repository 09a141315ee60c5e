import { expectString, wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { Module } from "../nn/index.ts";
import type { Tensor } from "../tensor/index.ts";
import { watchOutputs } from "./recorded-forward.ts";

type NamedLayer = readonly [path: string, module: Module];

/**
 * The layers that are asked for, with their paths: those given, else the model's `camLayer`, else its last layer that gives maps of
 * more than one cell.
 *
 * @throws E_CONFIG for a path or a module that the model lacks, or a model without any map
 */
export function layersOf(
  model: Module,
  x: Tensor,
  { layer, layers }: { layer?: string | Module; layers?: readonly (string | Module)[] },
): NamedLayer[] {
  if (layer !== undefined && layers !== undefined)
    throw new BatchCamError(
      "E_ARGUMENT",
      "explain: layer and layers both name what is explained; leave one of them out",
    );
  if (layers !== undefined && (!Array.isArray(layers) || layers.length === 0))
    throw wrongArgument("explain: layers", "an array of at least one path or module", layers);
  const asked = layers ?? (layer === undefined ? [defaultLayer(model, x)] : [layer]);
  return asked.map((one) => (one instanceof Module ? pathOf(model, one) : byPath(model, one)));
}

function byPath(model: Module, path: string): NamedLayer {
  expectString("explain: layer", path);
  return [path, model.moduleAt(path, "explain")];
}

function pathOf(model: Module, module: Module): NamedLayer {
  for (const [path, candidate] of model.namedModules()) if (candidate === module) return [path, module];
  throw new BatchCamError("E_CONFIG", `explain: layer, a ${module.constructor.name}, is no part of the model`);
}

function defaultLayer(model: Module, x: Tensor): string {
  const { camLayer } = model as { camLayer?: unknown };
  if (typeof camLayer === "string") return camLayer;
  let last: string | undefined;
  watchOutputs(model, x, ({ ndim, sizes }, path) => {
    const [, , height = 0, width = 0] = ndim === 4 ? sizes : [];
    if (height * width > 1) last = path;
  });
  if (last !== undefined) return last;
  throw new BatchCamError("E_CONFIG", "explain: no layer of the model gives maps of more than one cell: name a layer");
}
