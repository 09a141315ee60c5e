import { MEASURES } from "../../measures.ts";
import type { EpochRecord } from "../../train/index.ts";
import type { AnalysisGroup, MethodKind } from "../../workflows/internal.ts";
import { EPOCH_CURVES, STEP_CURVES } from "../charts/curves.ts";
import type { FigurePlan, Panel } from "../charts/engine.ts";
import { type Line, linePanel, lineSample, lineStyles, type Scale } from "../charts/line-chart.ts";
import { lineStyle } from "../charts/palette.ts";
import { type Markup, markup } from "../page/markup.ts";
import { chartTitle, factorOf } from "../text/measure-text.ts";
import { isNumber, mean } from "../text/numbers.ts";
import { groupName } from "./input.ts";

interface GridCurve {
  title: string;
  factor: number;
  scale: Scale;
  of(record: EpochRecord): number | null | undefined;
}

const CURVES: readonly GridCurve[] = [
  ...STEP_CURVES.filter(({ isSchedule }) => isSchedule !== true).map(({ name, scale }) => ({
    title: chartTitle(MEASURES[name]),
    factor: factorOf(MEASURES[name]),
    scale,
    of: ({ train }: EpochRecord) => train?.[name],
  })),
  ...EPOCH_CURVES.map(({ name, split, of }) => ({
    title: chartTitle(MEASURES[name], split),
    factor: factorOf(MEASURES[name]),
    scale: "linear" as const,
    of,
  })),
];

/** The largest number of lines that a reader can distinguish in one chart. */
const MOST_LINES = 10;

const LINE_SHEETS: readonly { name: string; kinds: readonly MethodKind[] }[] = [
  { name: "guided", kinds: ["guided"] },
  { name: "controls", kinds: ["control"] },
  { name: "references", kinds: ["baseline", "reference"] },
];

/**
 * Divides the methods of a group into figures of curves: one figure if there are few methods; otherwise one figure for each kind,
 * together with plain training.
 */
export function curveSheets(group: AnalysisGroup): { name: string; group: AnalysisGroup }[] {
  const methods = group.methods.filter(({ done }) => done.length > 0);
  if (methods.length <= MOST_LINES) return [{ name: "", group: { ...group, methods } }];
  return LINE_SHEETS.flatMap(({ name, kinds }) => {
    if (!methods.some(({ kind }) => kinds.includes(kind))) return [];
    const shown = methods.filter(({ kind }) => kind === "plain" || kinds.includes(kind));
    return [{ name, group: { ...group, methods: shown } }];
  });
}

/**
 * The terms of the objective and the validation measures by epoch, as means over the seeds of each method. Null if no epoch has ended.
 */
export function curveFigure(group: AnalysisGroup, slug: string, sheet = ""): FigurePlan | null {
  const panels = CURVES.flatMap((curve) => {
    const lines = linesOf(group, curve);
    const isThere = lines.some(({ points }) => points.some(({ y }) => y !== 0));
    const { title, scale } = curve;
    return isThere ? [linePanel({ title, lines, scale, xLabel: "epoch", size: { width: 225, height: 130 } })] : [];
  });
  if (panels.length === 0) return null;
  return {
    name: sheet === "" ? `curves-${slug}` : `curves-${slug}-${sheet}`,
    title: `Curves of every term: ${groupName(group)}${sheet === "" ? "" : `, ${sheet}`}`,
    caption:
      "Means over seeds by epoch. Colours and dashes distinguish methods, not their kinds. Terms that no method has, or that are zero throughout, are left out.",
    panels,
    columns: 3,
    key: legendPanel(linesOf(group)),
  };
}

/** The legend of a figure on the page. */
export function curveKey(group: AnalysisGroup): Markup {
  const items = linesOf(group).map(({ name, style }) => markup`<li>${lineSample(style)}${name}</li>`);
  return markup`<ul class="key">${items}</ul>`;
}

/** A line for each method that has finished a run. It has no points if no curve is given. */
function linesOf({ methods }: AnalysisGroup, curve?: GridCurve): Line[] {
  const shown = methods.filter(({ done }) => done.length > 0);
  return shown.map(({ method, done }, index) => ({
    name: method,
    points: curve === undefined ? [] : meanCurve(done.flatMap(({ history }) => history), curve), // biome-ignore format: one line
    style: lineStyle(index, shown.length),
  }));
}

function meanCurve(records: readonly EpochRecord[], { of, factor }: GridCurve): { x: number; y: number }[] {
  const byEpoch = new Map<number, number[]>();
  for (const record of records) {
    const value = of(record);
    if (isNumber(value)) byEpoch.set(record.epoch, [...(byEpoch.get(record.epoch) ?? []), value * factor]);
  }
  return Array.from(byEpoch, ([x, values]) => ({ x, y: mean(values) ?? 0 })).sort((a, b) => a.x - b.x);
}

/** The legend of a figure's file. */
function legendPanel(lines: readonly Line[]): Panel {
  const values = lines.flatMap(({ name }) => [0, 1].map((end) => ({ name, end })));
  const y = { field: "name", type: "nominal", sort: null, title: null, axis: null };
  const x = { field: "end", type: "quantitative", axis: null };
  return {
    title: "Methods",
    width: 225,
    height: { step: 18 },
    data: { values },
    layer: [
      {
        mark: { type: "line", strokeWidth: 1.7 },
        encoding: { y, x: { ...x, scale: { domain: [0, 7] } }, ...lineStyles(lines) },
      },
      {
        transform: [{ filter: "datum.end == 1" }],
        mark: { type: "text", align: "left", dx: 8, limit: 185 },
        encoding: { y, x, text: { field: "name" } },
      },
    ],
  };
}
