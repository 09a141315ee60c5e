import type { ModuleOutput } from "./module-outputs.ts";

/** Cells on the smaller side of a map that is fine enough to be guided; see `defaultCamLayer`. */
const FINE = 7;

export interface LayerChoice {
  /** The layer whose maps are taken by default; null if no module gives maps. */
  readonly camLayer: string | null;
  /** The layers of which one is chosen for an image size: the one of each size of map, first to last. */
  readonly camLayers: readonly string[];
}

/**
 * The last module whose output is a map with at least 7 cells on its smaller side, else the last map. Only outputs that all of the
 * network's data pass through count (`isCut`), so that the layer is a block or a stage and not a part of a residual branch. Of
 * maps of one size, those of whole stages come before what the next stage begins with, such as the norm before a convolution that
 * halves the map; of modules that end with the same value, the outermost is taken. If no module gives such a map, any that gives a
 * map is taken.
 *
 * @param outputs in the order in which the modules end, inner ones before the outer
 * @param matters whether the logits depend on the cells of a layer's map
 */
export function chooseLayers(
  outputs: readonly ModuleOutput[],
  { isCut, matters }: { isCut: (path: string) => boolean; matters: (output: ModuleOutput) => boolean },
): LayerChoice {
  const withMaps = outputs.filter(({ layout }) => layout !== null);
  const onTheWay = withMaps.filter(({ path }) => isCut(path));
  const candidates = onTheWay.length > 0 ? onTheWay : withMaps;
  const sides = [...new Set(candidates.map(sideOf))];
  const bySide = new Map(sides.map((side) => [side, wholeStages(candidates, side, outputs)]));
  const best = (side: number) => bySide.get(side)?.findLast(matters);
  const lastFine = candidates.findLast((output) => sideOf(output) >= FINE);
  const last = candidates.at(-1);
  const wanted = lastFine ?? last;
  const chosen = wanted === undefined ? undefined : (best(sideOf(wanted)) ?? candidates.findLast(matters));
  const stages = sides.flatMap((side) => best(side)?.path ?? []);
  const isAlone = lastFine === undefined && chosen !== undefined;
  return { camLayer: chosen?.path ?? null, camLayers: isAlone ? [chosen.path] : stages };
}

const sideOf = ({ layout }: ModuleOutput): number => (layout === null ? 0 : Math.min(layout.height, layout.width));

/** The outputs with maps of one size that are inside the fewest modules whose output has another size. */
function wholeStages(candidates: readonly ModuleOutput[], side: number, all: readonly ModuleOutput[]): ModuleOutput[] {
  const sides = new Map(all.map((output) => [output.path, sideOf(output)]));
  const others = ({ path }: ModuleOutput) => {
    const names = path.split(".");
    const parents = names.slice(0, -1).map((_name, i) => names.slice(0, i + 1).join("."));
    return parents.filter((parent) => (sides.get(parent) ?? side) !== side).length;
  };
  const own = candidates.filter((output) => sideOf(output) === side);
  const fewest = Math.min(...own.map(others));
  return own.filter((output) => others(output) === fewest);
}
