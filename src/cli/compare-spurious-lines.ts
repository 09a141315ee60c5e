import type { SpuriousRow } from "../experiments/spurious-summary.ts";
import type { Spread } from "../experiments/summary.ts";
import { MEASURES, type MeasureName } from "../measures.ts";
import { columnHead } from "../report/text/measure-text.ts";
import { measureCell } from "./compare-lines.ts";
import { formatTable } from "./table.ts";

const COLUMNS: readonly (readonly [MeasureName, (row: SpuriousRow) => Spread])[] = [
  ["randomAccuracy", ({ accuracy }) => accuracy.random],
  ["worstClass", ({ worstClass }) => worstClass],
  ["cleanAccuracy", ({ accuracy }) => accuracy.clean],
  ["adversarialAccuracy", ({ accuracy }) => accuracy.adversarial],
  ["alignedAccuracy", ({ accuracy }) => accuracy.aligned],
  ["energyInPatch", ({ energyInPatch }) => energyInPatch],
  ["wrongReason", ({ wrongReason }) => wrongReason],
];
const HEADERS = ["data set", "method", "kind", ...COLUMNS.map(([name]) => columnHead(MEASURES[name])), "gap closed"];

/**
 * How far each method relies on the cue of its data set, model by model. References see annotations or clean images, so they are upper
 * bounds and not rivals. Only what a method gains beyond the controls beside it is its own.
 */
export function spuriousTable(rows: readonly SpuriousRow[]): string {
  const several = new Set(rows.map(({ model }) => model)).size > 1;
  const cells = rows.map((row) => [
    several ? `${row.model}, ${row.dataset}` : row.dataset,
    ...[row.method, row.kind],
    ...COLUMNS.map(([name, read]) => measureCell(name, read(row))),
    row.gapClosed === null ? "-" : `${Math.round(100 * row.gapClosed)}%`,
  ]);
  const note =
    "gap closed: the share of what plain training loses to the best reference on random cues. Judge a method beside the controls.";
  return `${formatTable(HEADERS, cells, 3)}${note}\n`;
}
