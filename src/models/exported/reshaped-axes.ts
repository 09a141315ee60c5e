import type { CellAxes } from "./cell-axes.ts";
import type { Sizes } from "./program.ts";

/** In the place of the sizes that the file leaves open: prime numbers that no size has. */
const OPEN = [1_000_003, 1_000_033, 1_000_037];

/**
 * The cells of a tensor that `view` or `reshape` gave other sizes; null if rows or columns were divided or joined with anything else. A
 * dimension of the result is one of before if it has its size, and if as many values follow it.
 */
export function reshapedAxes(axes: CellAxes, before: Sizes, after: Sizes): CellAxes | null {
  const open = [...new Set([...before, ...after].filter((size) => typeof size === "string"))];
  if (open.length > OPEN.length) return null;
  const [from, to] = [before, after].map((sizes) =>
    dimensionsOf(sizes.map((size) => (typeof size === "string" ? (OPEN[open.indexOf(size)] as number) : size))),
  ) as [Dimension[], Dimension[]];
  const placeOf = (size: number, stride: number) => to.findIndex((dim) => dim.size === size && dim.stride === stride);
  if (!("row" in axes)) {
    const cells = from[axes.cells];
    const place = cells === undefined ? -1 : placeOf(cells.size, cells.stride);
    if (place >= 0) return { ...axes, cells: place };
    return cells === undefined || axes.prefix > 0 ? null : rowsAndColumns(axes, cells.stride, to);
  }
  const [row, column] = [from[axes.row], from[axes.column]];
  if (row === undefined || column === undefined) return null;
  const places = [row, column].map(({ size, stride }) => placeOf(size, stride)) as [number, number];
  if (places.every((place) => place >= 0)) return { row: places[0], column: places[1] };
  if (row.stride !== column.stride * column.size) return null;
  const place = placeOf(row.size * column.size, column.stride);
  return place >= 0 ? { cells: place, prefix: 0, height: row.size, width: column.size } : null;
}

interface Dimension {
  readonly size: number;
  /** Values that follow one step in this dimension. */
  readonly stride: number;
}

function dimensionsOf(sizes: readonly number[]): Dimension[] {
  let stride = 1;
  const dimensions = [...sizes].reverse().map((size) => {
    const dimension = { size, stride };
    stride *= size;
    return dimension;
  });
  return dimensions.reverse();
}

/** Cells in one dimension that became rows and columns again. Any other division, such as that into windows, loses them. */
function rowsAndColumns(
  { height, width }: { height: number; width: number },
  stride: number,
  to: readonly Dimension[],
): CellAxes | null {
  const column = to.findIndex((dim, i) => dim.size === width && dim.stride === stride && to[i - 1]?.size === height);
  return column > 0 ? { row: column - 1, column } : null;
}
