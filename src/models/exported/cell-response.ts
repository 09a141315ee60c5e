import { handleOutputs, type OutputHandler } from "../../nn/internal.ts";
import { cat, noGrad, type Tensor, tidy } from "../../tensor/index.ts";
import { isTensor } from "../../tensor/internal.ts";
import type { Model } from "../model.ts";
import { exampleImages } from "./example-images.ts";
import { type MapLayout, toMaps } from "./map-layout.ts";

// Whether a layer's cells are in the order of the image, by experiment: parts of an image are changed one by one, and the cells that
// change most have to be at the place of that part.

/** The image is divided into 4 x 4 parts, and these are changed: each row and each column twice, always in other pairs. */
const SIDE = 4;
const PARTS = [0, 1, 2, 3].flatMap((row) => [
  [row, [1, 3, 0, 2][row] as number] as const,
  [row, [2, 0, 3, 1][row] as number] as const,
]);

/**
 * How far from the changed part the changes of a layer's cells are, relative to their distance from the other parts: about 0 for cells
 * in the order of the image, and 1 for any other order. The larger value of rows and columns counts.
 *
 * @param layouts the layouts to try, by the paths of the modules
 * @param batch the number of images that the model takes at once
 */
export function cellDistances(
  model: Model,
  image: readonly number[],
  { layouts, batch }: { layouts: ReadonlyMap<string, MapLayout>; batch: number | null },
): ReadonlyMap<string, number> {
  const changes = new Map<string, Float64Array[]>();
  const reference = model.parameters()[0] ?? { dtype: "float32", device: "cpu" };
  const bases = new Map<string, Tensor>();
  tidy(() =>
    noGrad(() => {
      const sizes = [1, ...image.slice(1)];
      const [base, other] = [exampleImages(sizes, reference), exampleImages(sizes, reference, 1.3)];
      const images = PARTS.map(([row, column]) => withPart(base, other, [row, column]));
      watch(
        model,
        layouts,
        cat(
          Array.from({ length: batch ?? 2 }, () => base),
          0,
        ),
        (path, maps) => {
          bases.set(path, maps.narrow(0, 0, 1));
        },
      );
      const step = batch ?? PARTS.length;
      for (let first = 0; first < PARTS.length; first += step) {
        const own = images.slice(first, first + step);
        const filled = [...own, ...Array.from({ length: step - own.length }, () => base)];
        const chunk = new Map<string, Float64Array[]>();
        watch(
          model,
          layouts,
          cat(filled, 0),
          (path, maps) => void chunk.set(path, changesOf(maps, bases.get(path), own.length)),
        );
        for (const [path, rows] of chunk) changes.set(path, [...(changes.get(path) ?? []), ...rows]);
      }
    }),
  );
  return new Map(Array.from(changes, ([path, rows]) => [path, distanceOf(rows, layouts.get(path) as MapLayout)]));
}

/** Calls `see` with the maps (N, C, h, w) of each layer; of a module that runs several times, its last output counts. */
function watch(
  model: Model,
  layouts: ReadonlyMap<string, MapLayout>,
  images: Tensor,
  see: (path: string, maps: Tensor) => void,
): void {
  const handlers = new Map<ReturnType<Model["moduleAt"]>, OutputHandler>();
  for (const [path, layout] of layouts)
    handlers.set(model.moduleAt(path), (output) => {
      if (isTensor(output)) see(path, toMaps(layout)?.(output as Tensor) ?? (output as Tensor));
      return output;
    });
  handleOutputs(handlers, () => model.forward(images));
}

/** The image with one of its parts taken from another. */
function withPart(base: Tensor, other: Tensor, part: readonly [number, number]): Tensor {
  const changed = base.clone();
  const [height = 1, width = 1] = base.sizes.slice(2);
  const range = (size: number, at: number) => [Math.floor((size * at) / SIDE), Math.ceil((size * (at + 1)) / SIDE)];
  const [[top = 0, bottom = 1], [left = 0, right = 1]] = [range(height, part[0]), range(width, part[1])] as const;
  const cut = (image: Tensor) => image.narrow(2, top, bottom - top).narrow(3, left, right - left);
  cut(changed).copy_(cut(other));
  return changed;
}

/** ‖change‖ of each cell, for the first `count` images. */
function changesOf(maps: Tensor, base: Tensor | undefined, count: number): Float64Array[] {
  if (base === undefined || String(base.sizes.slice(1)) !== String(maps.sizes.slice(1))) return [];
  const all = maps.narrow(0, 0, count).sub(base).to("float64").square().sum([1]).sqrt();
  return Array.from({ length: count }, (_item, i) => Float64Array.from(all.select(0, i).data() as Float64Array));
}

/** See `cellDistances`. What a cell changes by on average says nothing of its place and is subtracted. */
function distanceOf(changes: readonly Float64Array[], { height, width }: MapLayout): number {
  if (changes.length < PARTS.length) return Number.NaN;
  const axes = [height > 1 ? 0 : null, width > 1 ? 1 : null].filter((axis) => axis !== null);
  const centre = (cell: number, axis: number) =>
    axis === 0 ? (Math.floor(cell / width) + 0.5) / height : ((cell % width) + 0.5) / width;
  const own = [0, 0];
  const any = [0, 0];
  for (let cell = 0; cell < height * width; cell++) {
    const mean = changes.reduce((sum, row) => sum + (row[cell] as number), 0) / changes.length;
    for (const [i, row] of changes.entries()) {
      const more = Math.max(0, (row[cell] as number) - mean);
      for (const axis of axes) {
        const far = (part: readonly number[]) => Math.abs(centre(cell, axis) - ((part[axis] as number) + 0.5) / SIDE);
        own[axis] = (own[axis] as number) + more * far(PARTS[i] as readonly number[]);
        any[axis] = (any[axis] as number) + (more * PARTS.reduce((sum, part) => sum + far(part), 0)) / PARTS.length;
      }
    }
  }
  return Math.max(...axes.map((axis) => (own[axis] as number) / (any[axis] as number)));
}
