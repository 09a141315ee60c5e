import type { AnalysisGroup } from "../../workflows/internal.ts";
import { domainOf } from "../charts/domain.ts";
import type { FigurePlan, Panel } from "../charts/engine.ts";
import { labelPlaces } from "../charts/label-places.ts";
import { colour } from "../page/colours.ts";
import { kindColour, kindShape, ROW } from "./dot-charts.ts";
import { groupName } from "./input.ts";

/** The distance between a point and its label from which a line connects them. */
const FAR = 17;
const BOX = { width: 320, height: 240 };

interface Point {
  method: string;
  kind: string;
  label: string;
  x: number;
  y: number;
  left: number;
  right: number;
  below: number;
  above: number;
}

/**
 * Accuracy against coherence: a numbered point for each method, with bars of one standard deviation in both directions.
 * Null without a point.
 */
export function scatterFigure(group: AnalysisGroup, slug: string): FigurePlan | null {
  const points = pointsOf(group);
  if (points.length === 0) return null;
  const panel = { title: groupName(group), ...BOX, ...scatter(points) };
  return {
    ...{ name: `accuracy-coherence-${slug}`, title: `Accuracy against coherence: ${groupName(group)}` },
    ...{ panels: [panel], columns: 2, key: keyPanel(points) },
    caption:
      "Means over seeds, with bars of one standard deviation. A high coherence alone is not a merit: maps that are all the same have it.",
  };
}

function pointsOf({ methods }: AnalysisGroup): Point[] {
  return methods.flatMap(({ method, kind, values: { accuracy, coherence } }, index) => {
    if (!Number.isFinite(accuracy.mean) || !Number.isFinite(coherence.mean)) return [];
    const reach = (value: number) => (Number.isFinite(value) ? value : 0);
    const [across, up] = [reach(accuracy.deviation), reach(coherence.deviation)];
    return [
      {
        ...{ method, kind, label: String(index + 1), x: 100 * accuracy.mean, y: coherence.mean },
        ...{ left: 100 * (accuracy.mean - across), right: 100 * (accuracy.mean + across) },
        ...{ below: coherence.mean - up, above: coherence.mean + up },
      },
    ];
  });
}

function scatter(points: readonly Point[]): Record<string, unknown> {
  const domain = {
    x: domainOf(
      points.flatMap(({ left, right }) => [left, right]),
      0.1,
    ),
    y: domainOf(
      points.flatMap(({ below, above }) => [below, above]),
      0.1,
    ),
  };
  const axis = (of: "x" | "y", title: string) => {
    const scale = { domain: domain[of], nice: false, zero: false };
    return { type: "quantitative", title, scale, axis: { tickCount: 5 } };
  };
  const [x, y] = [axis("x", "test accuracy, %"), axis("y", "coherence of the maps of a class")];
  const bar = { type: "rule", strokeWidth: 1.2, opacity: 0.65 };
  const at = { x: { ...x, field: "x" }, y: { ...y, field: "y" } };
  const color = kindColour();
  return {
    data: { values: withLabels(points, domain) },
    layer: [
      { mark: bar, encoding: { x: { ...x, field: "left" }, x2: { field: "right" }, y: at.y, color } },
      { mark: bar, encoding: { x: at.x, y: { ...y, field: "below" }, y2: { field: "above" }, color } },
      {
        transform: [{ filter: "datum.far" }],
        mark: { type: "rule", strokeWidth: 0.7, color: colour("muted") },
        encoding: { ...at, x2: { field: "leadX" }, y2: { field: "leadY" } },
      },
      { mark: { type: "point", filled: true, size: 75, opacity: 1 }, encoding: { ...at, color, shape: kindShape() } },
      {
        mark: { type: "text", align: "center", baseline: "middle" },
        encoding: { x: { ...x, field: "labelX" }, y: { ...y, field: "labelY" }, text: { field: "label" } },
      },
    ],
  };
}

type Range = [number, number];

/** The positions are computed in pixels and converted to values of the axes. */
function withLabels(points: readonly Point[], domain: { x: Range; y: Range }) {
  const share = (value: number, [low, high]: Range) => (value - low) / (high - low);
  const value = (part: number, [low, high]: Range) => low + part * (high - low);
  const spots = points.map(({ x, y }) => ({
    x: BOX.width * share(x, domain.x),
    y: BOX.height * (1 - share(y, domain.y)),
  }));
  const places = labelPlaces(spots, BOX);
  return points.map((point, index) => {
    const { x, y } = places[index] ?? { x: 0, y: 0 };
    const from = spots[index] ?? { x, y };
    const far = Math.hypot(x - from.x, y - from.y) > FAR;
    const end = { x: from.x + 0.62 * (x - from.x), y: from.y + 0.62 * (y - from.y) }; // the line ends before the label
    return {
      ...{ ...point, far },
      ...{ labelX: value(x / BOX.width, domain.x), labelY: value(1 - y / BOX.height, domain.y) },
      ...{ leadX: value(end.x / BOX.width, domain.x), leadY: value(1 - end.y / BOX.height, domain.y) },
    };
  });
}

/** The legend of the figure's file: the numbers, marks and names of the points. */
function keyPanel(points: readonly Point[]): Panel {
  const y = { field: "label", type: "ordinal", sort: null, axis: null };
  const text = (field: string, at: number, align: string) => ({
    mark: { type: "text", align, limit: 230 },
    encoding: { y, x: { value: at }, text: { field } },
  });
  return {
    title: "Methods",
    ...{ width: 260, height: { step: ROW }, data: { values: points } },
    layer: [
      text("label", 14, "right"),
      {
        mark: { type: "point", filled: true, size: 62, opacity: 1 },
        encoding: { y, x: { value: 26 }, color: kindColour(), shape: kindShape() },
      },
      text("method", 38, "left"),
    ],
  };
}
