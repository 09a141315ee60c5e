import { BatchCamError } from "../../errors.ts";
import { inEvaluation } from "../../nn/index.ts";
import type { MapTransform, Model } from "../model.ts";
import type { CellAxes } from "./cell-axes.ts";
import { cellDistances } from "./cell-response.ts";
import { cellAxes } from "./follow-cells.ts";
import { axesOfLayout, layoutOfAxes, type MapLayout, mapLayout, toMaps } from "./map-layout.ts";
import type { ModuleOutput, OutputSizes } from "./module-outputs.ts";
import type { Program, ValueName } from "./program.ts";

/** The model whose layers' maps are asked for, and the facts by which they are found. */
export interface LayoutSources {
  readonly model: Model;
  readonly program: Program;
  /** Sizes of example images. */
  readonly images: readonly number[];
  readonly outputs: readonly OutputSizes[];
  /** The value that the last call of a module gives. */
  outputOf(path: string): ValueName | null;
}

/** The largest `cellDistances` of cells in the order of the image; those of cells in another order are about 1. */
const NEAR = 0.6;

/**
 * How each module's output holds maps. The shape alone does not tell: the 256 tokens of a window order look like a raster of 16 x 16. So
 * the rows and columns of the image are followed through the graph, and where that ends, an experiment decides (`cellDistances`), which
 * runs when such a layer is first asked for.
 */
export class ModuleLayouts {
  readonly #sources: LayoutSources;
  readonly #outputs = new Map<string, { sizes: readonly number[]; claimed: MapLayout | null }>();
  #axes: ReadonlyMap<ValueName, CellAxes>;
  #isTested = false;

  constructor(sources: LayoutSources) {
    this.#sources = sources;
    const { outputs, images, program } = sources;
    for (const { path, sizes } of outputs) this.#outputs.set(path, { sizes, claimed: mapLayout(sizes, images) });
    this.#axes = cellAxes(program.graph, program.input.value);
  }

  /** Null for an output that holds no maps, or not in the order of the image. */
  layoutOf(path: string): MapLayout | null {
    const output = this.#outputs.get(path);
    if (output === undefined || output.sizes[0] !== this.#sources.images[0]) return null;
    const known = this.#known(path);
    if (known !== undefined) return layoutOfAxes(known, output.sizes);
    if (output.claimed === null || this.#isTested) return null;
    this.#test();
    return this.layoutOf(path);
  }

  #known(path: string): CellAxes | undefined {
    const name = this.#sources.outputOf(path);
    return name === null ? undefined : this.#axes.get(name);
  }

  /** Tries the outputs that could not be followed; what follows from one that is in order is so too. */
  #test(): void {
    const { model, images, program, outputOf } = this.#sources;
    const open = Array.from(this.#outputs, ([path, { claimed }]) => [path, claimed] as const).filter(
      (entry): entry is [string, MapLayout] => entry[1] !== null && this.#known(entry[0]) === undefined,
    );
    const layouts = new Map(open);
    const distances = inEvaluation(model, () => cellDistances(model, images, { layouts, batch: model.fixedBatch }));
    const seeds = new Map<ValueName, CellAxes>();
    for (const [path, layout] of open) {
      const name = outputOf(path);
      if (name !== null && (distances.get(path) ?? 1) <= NEAR) seeds.set(name, axesOfLayout(layout));
    }
    this.#isTested = true;
    this.#axes = cellAxes(program.graph, program.input.value, seeds);
  }

  /** Takes the output of a layer to maps; undefined for one that is a map itself, or that does not look like maps at all. */
  transformOf(path: string): MapTransform | undefined {
    const layout = this.layoutOf(path);
    if (layout !== null) return toMaps(layout);
    const output = this.#outputs.get(path);
    return output === undefined || output.claimed === null ? undefined : refusing(path, output.sizes);
  }

  all(): ModuleOutput[] {
    return this.#sources.outputs.map(({ path, sizes }) => ({ path, sizes, layout: this.layoutOf(path) }));
  }
}

/** An output that only looks like maps must not be drawn over an image. */
function refusing(path: string, sizes: readonly number[]): MapTransform {
  const refuse = (): never => {
    throw new BatchCamError(
      "E_CONFIG",
      `ExportedModel: the output [N, ${sizes.slice(1).join(", ")}] of ${path} does not have its cells in the order of the image's rows and columns (windows, heads of an attention, or tokens in another order), so it gives no map of the image: choose another layer (batch-cam models --model FILE lists those with maps), or put it into maps yourself (reshapeTransform)`,
    );
  };
  return Object.assign(refuse, { channelDim: 1 });
}
