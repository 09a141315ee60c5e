import type { SpuriousRow } from "../experiments/spurious-summary.ts";
import { spread } from "./compare-lines.ts";
import { formatTable } from "./table.ts";

const HEADERS = ["data set", "method", "kind", "random %", "worst class %", "clean %", "adversarial %", "aligned %"];
const hundred = (value: number): string => (100 * value).toFixed(1);

/**
 * How far each method leans on its data set's cue, model by model. References see annotations or clean images and are bounds, not
 * rivals; what a method wins beyond the controls beside it is its own.
 */
export function spuriousTable(rows: readonly SpuriousRow[]): string {
  const several = new Set(rows.map(({ model }) => model)).size > 1;
  const cells = rows.map((row) => [
    several ? `${row.model}, ${row.dataset}` : row.dataset,
    ...[row.method, row.kind],
    ...[row.accuracy.random, row.worstClass, row.accuracy.clean, row.accuracy.adversarial, row.accuracy.aligned].map(
      (value) => spread(value, hundred),
    ),
    ...[row.energyInPatch, row.wrongReason].map((value) => spread(value, hundred)),
    row.gapClosed === null ? "-" : `${Math.round(100 * row.gapClosed)}%`,
  ]);
  const table = formatTable([...HEADERS, "map in patch %", "wrong reason %", "gap closed"], cells, 3);
  return `${table}gap closed: of what plain training loses to the best reference on random cues. Judge a method beside the controls.\n`;
}
