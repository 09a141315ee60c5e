/**
 * The dimensions in which a value holds the cells of the image: rows and columns apart, or all cells in one dimension, row by row, behind
 * `prefix` tokens that belong to no cell.
 */
export type CellAxes =
  | { readonly row: number; readonly column: number }
  | { readonly cells: number; readonly prefix: number; readonly height: number; readonly width: number };

export const axisList = (axes: CellAxes): readonly number[] => ("row" in axes ? [axes.row, axes.column] : [axes.cells]);

/** The same cells after their dimensions got other places; null if one has none. */
export function movedAxes(axes: CellAxes | null, place: (axis: number) => number): CellAxes | null {
  if (axes === null) return null;
  const places = axisList(axes).map(place);
  if (places.some((axis) => !(axis >= 0))) return null;
  const [first = 0, second = 0] = places;
  return "row" in axes ? { row: first, column: second } : { ...axes, cells: first };
}
