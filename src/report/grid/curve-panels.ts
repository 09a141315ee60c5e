import type { AnalysisGroup } from "../../experiments/analysis.ts";
import type { MethodKind } from "../../experiments/records.ts";
import type { EpochRecord } from "../../train/events.ts";
import type { FigurePlan, Panel } from "../charts/engine.ts";
import { lineStyle } from "../charts/palette.ts";
import { isNumber } from "../text/numbers.ts";
import { groupName } from "./input.ts";

interface Curve {
  title: string;
  unit: string;
  of(record: EpochRecord): number | null | undefined;
}

const train = (title: string, key: keyof EpochRecord["train"], { unit = "", scale = 1 } = {}): Curve => ({
  ...{ title, unit },
  of: (record) => scaled(record.train?.[key], scale),
});
const val = (
  title: string,
  key: Exclude<keyof EpochRecord["val"], "split" | "classAccuracy">,
  { unit = "", scale = 1 } = {},
): Curve => ({
  ...{ title: `${title}, validation`, unit },
  of: (record) => scaled(record.val?.[key], scale),
});
const scaled = (value: number | null | undefined, scale: number) => (isNumber(value) ? value * scale : null);
const PERCENT = { unit: "%", scale: 100 };

const CURVES: readonly Curve[] = [
  train("Loss, the whole objective", "loss"),
  train("Cross-entropy", "crossEntropy"),
  train("Prototype Loss, before λ", "prototypeLoss"),
  train("Batch-CAM Loss, before λ", "batchCamLoss"),
  train("Baseline’s term, before λ", "baselineLoss"),
  train("Dead maps", "deadMaps", PERCENT),
  train("Largest raw map value", "rawMapMax"),
  train("Gradient norm", "gradNorm"),
  train("Accuracy, training", "accuracy", PERCENT),
  val("Accuracy", "accuracy", PERCENT),
  val("Cross-entropy", "crossEntropy"),
  val("SSIM of map and prototype", "mapSsim"),
  val("L1 of map and prototype", "mapL1"),
  val("Coherence", "coherence"),
  val("Energy in the foreground", "energyInForeground", PERCENT),
  val("Dead maps", "deadMaps", PERCENT),
];

/** More lines than this in a chart cannot be told apart. */
const MOST_LINES = 10;

const LINE_SHEETS: readonly { name: string; kinds: readonly MethodKind[] }[] = [
  { name: "guided", kinds: ["guided"] },
  { name: "controls", kinds: ["control"] },
  { name: "references", kinds: ["baseline", "reference"] },
];

/** The methods of a group by charts of curves: all in one where they are few, else each kind in its own, beside plain. */
export function curveSheets(group: AnalysisGroup): { name: string; group: AnalysisGroup }[] {
  const methods = group.methods.filter(({ done }) => done.length > 0);
  if (methods.length <= MOST_LINES) return [{ name: "", group: { ...group, methods } }];
  return LINE_SHEETS.flatMap(({ name, kinds }) => {
    if (!methods.some(({ kind }) => kinds.includes(kind))) return [];
    const shown = methods.filter(({ kind }) => kind === "plain" || kinds.includes(kind));
    return [{ name, group: { ...group, methods: shown } }];
  });
}

/** Every term of the objective and of validation by epoch: means over the seeds of each method. Null without an epoch. */
export function curveFigure(group: AnalysisGroup, slug: string, sheet = ""): FigurePlan | null {
  const names = group.methods.filter(({ done }) => done.length > 0).map(({ method }) => method);
  const panels = CURVES.flatMap((curve) => {
    const points = group.methods.flatMap(({ method, done }) =>
      meanCurve(
        method,
        done.map(({ history }) => history),
        curve,
      ),
    );
    return points.some(({ value }) => value !== 0) ? [curvePanel(curve, points, names)] : [];
  });
  if (panels.length === 0) return null;
  return {
    name: sheet === "" ? `curves-${slug}` : `curves-${slug}-${sheet}`,
    title: `Curves of every term: ${groupName(group)}${sheet === "" ? "" : `, ${sheet}`}`,
    ...{ panels, columns: 3 },
    ...{
      caption:
        "Means over seeds by epoch. Colours and dashes tell methods apart, not their kinds. Terms that no method has, or that are zero throughout, are left out.",
    },
    key: legendPanel(names),
  };
}

interface CurvePoint {
  method: string;
  epoch: number;
  value: number;
}

function meanCurve(method: string, histories: readonly (readonly EpochRecord[])[], curve: Curve): CurvePoint[] {
  const byEpoch = new Map<number, number[]>();
  for (const record of histories.flat()) {
    const value = curve.of(record);
    if (isNumber(value)) byEpoch.set(record.epoch, [...(byEpoch.get(record.epoch) ?? []), value]);
  }
  return Array.from(byEpoch, ([epoch, values]) => {
    return { method, epoch, value: values.reduce((sum, value) => sum + value, 0) / values.length };
  }).sort((a, b) => a.epoch - b.epoch);
}

function curvePanel({ title, unit }: Curve, points: readonly CurvePoint[], names: readonly string[]): Panel {
  const epochs = [...new Set(points.map(({ epoch }) => epoch))];
  return {
    title: unit === "" ? title : `${title}, ${unit}`,
    ...{ width: 225, height: 130, data: { values: points } },
    mark: { type: "line", strokeWidth: 1.7, point: { size: 22, filled: true } },
    encoding: {
      x: {
        ...{ field: "epoch", type: "quantitative", title: "epoch", scale: { zero: false, nice: false, padding: 6 } },
        axis: {
          grid: false,
          format: "d",
          // A step below 1 keeps Vega from thinning out the epochs that are named.
          ...(epochs.length <= 6 ? { values: epochs, labelOverlap: false, tickMinStep: 0.1 } : { tickMinStep: 1 }),
        },
      },
      y: {
        ...{ field: "value", type: "quantitative", title: null, scale: { zero: false } },
        axis: { tickCount: 4, domain: false, minExtent: 34 },
      },
      ...styles(names),
    },
  };
}

function styles(names: readonly string[]): object {
  const ofLine = names.map((_, index) => lineStyle(index));
  const by = { field: "method", type: "nominal", legend: null };
  return {
    color: { ...by, scale: { domain: names, range: ofLine.map((line) => line.colour) } },
    strokeDash: {
      ...by,
      scale: { domain: names, range: ofLine.map(({ dash }) => (dash.length === 0 ? [1, 0] : dash)) },
    },
  };
}

/** Lines and names, for the file. */
function legendPanel(names: readonly string[]): Panel {
  const values = names.flatMap((method) => [0, 1].map((end) => ({ method, end })));
  const y = { field: "method", type: "nominal", sort: null, title: null, axis: null };
  return {
    title: "Methods",
    ...{ width: 225, height: { step: 18 }, data: { values } },
    layer: [
      {
        mark: { type: "line", strokeWidth: 1.7 },
        encoding: {
          ...{ y, x: { field: "end", type: "quantitative", axis: null, scale: { domain: [0, 7] } }, ...styles(names) },
        },
      },
      {
        transform: [{ filter: "datum.end == 1" }],
        mark: { type: "text", align: "left", dx: 8, limit: 185 },
        encoding: { y, x: { field: "end", type: "quantitative", axis: null }, text: { field: "method" } },
      },
    ],
  };
}
