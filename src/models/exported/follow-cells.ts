import { outputNames } from "./aliases.ts";
import type { CellAxes } from "./cell-axes.ts";
import { RULES } from "./cell-rules.ts";
import { NodeCells } from "./node-cells.ts";
import { partsOf } from "./node-names.ts";
import type { Graph, ValueName } from "./program.ts";

/**
 * Follows the rows and columns of the image through a graph. A value whose cells may have left the order of the image, such as the windows
 * of Swin or the unrolled tokens of Hiera, is not in the result, and neither is one behind an operator without a rule.
 *
 * @param seeds values whose cells are known from elsewhere
 */
export function cellAxes(
  graph: Graph,
  images: ValueName,
  seeds: ReadonlyMap<ValueName, CellAxes> = new Map(),
): ReadonlyMap<ValueName, CellAxes> {
  const found = new Map<ValueName, CellAxes>([[images, { row: 2, column: 3 }]]);
  for (const node of graph.nodes) {
    const base = partsOf(node.target).base.replace(/_$/, "");
    const axes = RULES.get(base)?.(new NodeCells(node, found, graph.sizes)) ?? null;
    for (const name of node.outputs.flatMap(outputNames)) {
      const known = axes ?? seeds.get(name);
      if (known !== undefined) found.set(name, known);
    }
  }
  return found;
}
