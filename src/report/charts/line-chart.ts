import { BatchCamError } from "../../errors.ts";
import { type Markup, markup } from "../page/markup.ts";
import { formatShort, isNumber, mean } from "../text/numbers.ts";
import { domainOf } from "./domain.ts";
import { drawChart, type Panel } from "./engine.ts";
import type { LineStyle } from "./palette.ts";

/** One line of a chart. Points whose y is null or not finite leave a gap. */
export interface Line {
  name: string;
  points: readonly { x: number; y: number | null }[];
  style: LineStyle;
}

/**
 * The scale of the y axis: "linear" is fitted to the values, "zero" is linear and starts at zero, and "log" leaves out
 * values that are not positive.
 */
export type Scale = "linear" | "zero" | "log";

export interface LineChart {
  title: string;
  lines: readonly Line[];
  xLabel: string;
  scale?: Scale;
  /** Number of points in the moving mean that is drawn over a faint line of all values; 1 for no moving mean. */
  smooth?: number;
  size?: { width: number; height: number };
}

const SIZE = { width: 258, height: 126 };
/** The largest number of points of a line with markers. */
const MARKED = 12;
/** The largest number of different values on the x axis for which each gets a label. */
const NAMED = 6;

/**
 * A small line chart as SVG, in the colours of the page's theme. Its title describes it in words.
 *
 * @throws E_ARGUMENT if the chart has no line, an x is not finite, or `smooth` is not a positive whole number
 */
export function lineChart(chart: LineChart, id: string): Promise<Markup> {
  return drawChart(linePanel(chart), { id, description: describe(chart) });
}

/** The chart as a panel of a figure. */
export function linePanel(chart: LineChart): Panel {
  checkChart(chart);
  const { title, lines, scale = "linear", smooth = 1, size = SIZE } = chart;
  const shown = lines.map((line) => ({ ...line, points: line.points.map((point) => drawable(point, scale)) }));
  const rows = (list: readonly Line[]) => {
    // The first line, which is dashed, is drawn last: where two lines agree, both can be seen.
    const reversed = list.toReversed();
    return reversed.flatMap(({ name, points }) => thin(points, size.width).map((point) => ({ name, ...point })));
  };
  const known = shown.flatMap(({ points }) => points.filter(({ y }) => y !== null));
  const encoding = { ...axes(known, chart), ...lineStyles(lines) };
  const drawn = { type: "line", strokeWidth: 1.7, strokeJoin: "round" };
  const trend = shown.map((line) => ({ ...line, points: movingMean(line.points, smooth) }));
  const marked = shown.filter(({ points }) => points.length <= MARKED);
  const layers = [
    ...(smooth > 1 ? [{ data: { values: rows(shown) }, mark: { ...drawn, strokeWidth: 1, opacity: 0.28 } }] : []),
    { data: { values: rows(smooth > 1 ? trend : shown) }, mark: drawn },
    {
      data: { values: smooth > 1 ? [] : rows(marked).filter(({ y }) => y !== null) },
      mark: { type: "point", filled: true, size: 22, opacity: 1 },
    },
  ];
  const empty = { data: { values: [{}] }, mark: { type: "text", text: "no values" }, encoding: CENTRED(size) };
  return {
    title,
    ...size,
    layer: [...layers.map((layer) => ({ ...layer, encoding })), ...(known.length === 0 ? [empty] : [])],
  };
}

const CENTRED = ({ width, height }: { width: number; height: number }) => ({
  x: { value: width / 2 },
  y: { value: height / 2 },
});

function axes(known: readonly Point[], { xLabel, scale = "linear" }: LineChart): object {
  const places = [...new Set(known.map(({ x }) => x))];
  const values = known.map(({ y }) => y ?? 0);
  const few = places.length <= NAMED;
  return {
    x: {
      ...{ field: "x", type: "quantitative", title: xLabel },
      scale: { domain: domainOf(places.length === 0 ? [0, 1] : places, 0.02), nice: false, zero: false },
      // A step below 1 prevents Vega from leaving out some of the labels.
      axis: {
        ...{ grid: false, format: "d" },
        ...(few ? { values: places, labelOverlap: false, tickMinStep: 0.1 } : { tickCount: 5, tickMinStep: 1 }),
      },
    },
    y: {
      ...{ field: "y", type: "quantitative", title: null, scale: valueScale(values, scale) },
      axis: { tickCount: 4, domain: false, ticks: false, minExtent: 34, ...(scale === "log" ? { format: "~g" } : {}) },
    },
  };
}

function valueScale(values: readonly number[], scale: Scale): object {
  if (values.length === 0) return { domain: [0, 1] };
  if (scale === "log") return { type: "log", domain: domainOf(values.map(Math.log10), 0.012).map((end) => 10 ** end) };
  if (scale === "zero") return { domain: [Math.min(0, ...values), Math.max(0, ...values) || 1], nice: 4 };
  return { domain: domainOf(values, 0), nice: 4, zero: false };
}

/** Colours and dashes of the lines, for a chart without a legend. */
export function lineStyles(lines: readonly Pick<Line, "name" | "style">[]): object {
  const names = lines.map(({ name }) => name);
  const by = { field: "name", type: "nominal", legend: null };
  const dashes = lines.map(({ style: { dash } }) => (dash.length === 0 ? [1, 0] : dash));
  return {
    color: { ...by, scale: { domain: names, range: lines.map(({ style }) => style.colour) } },
    strokeDash: { ...by, scale: { domain: names, range: dashes } },
  };
}

/** A short sample of a line, for the legend of a page. */
export function lineSample({ colour, dash }: LineStyle): Markup {
  const dashes = dash.length === 0 ? "none" : dash.join(" ");
  return markup`<svg class="line-sample" viewBox="0 0 28 8" width="28" height="8" aria-hidden="true"><path d="M0 4H28" fill="none" stroke="${colour}" stroke-width="1.8" stroke-dasharray="${dashes}"/></svg>`;
}

function describe({ title, lines, xLabel }: LineChart): string {
  const inWords = lines.map(({ name, points }) => {
    const known = points.filter(({ y }) => isNumber(y));
    const [first, last] = [known[0], known.at(-1)];
    if (!first || !last) return `${name}: no values`;
    return `${name}: from ${formatShort(first.y)} to ${formatShort(last.y)}`;
  });
  return `${title} by ${xLabel}; ${inWords.join("; ")}`;
}

/** Larger or smaller magnitudes, which occur only in a diverging run, would make the arithmetic of an axis overflow or underflow. */
const DRAWABLE = { least: 1e-100, most: 1e100 };

function drawable({ x, y }: Point, scale: Scale): Point {
  if (!isNumber(y) || Math.abs(y) > DRAWABLE.most || (scale === "log" && y < DRAWABLE.least)) return { x, y: null };
  return { x, y: Math.abs(y) < DRAWABLE.least ? 0 : y };
}

function checkChart({ lines, smooth = 1 }: LineChart): void {
  const fail = (message: string) => {
    throw new BatchCamError("E_ARGUMENT", `lineChart: ${message}`);
  };
  if (lines.length === 0) fail("series must hold at least one line, got none");
  if (!Number.isInteger(smooth) || smooth < 1) fail(`smooth must be a positive whole number of points, got ${smooth}`);
  for (const { name, points } of lines) {
    const bad = points.findIndex(({ x }) => !Number.isFinite(x));
    if (bad >= 0) fail(`x of point ${bad} of "${name}" must be finite, got ${points[bad]?.x}`);
  }
}

/** A point of a curve. A y of null leaves a gap. */
export interface Point {
  x: number;
  y: number | null;
}

/** Centred moving mean over `window` points, and over fewer at both ends. Gaps stay gaps and are left out of the means. */
export function movingMean(points: readonly Point[], window: number): Point[] {
  const before = Math.floor((window - 1) / 2);
  // Each window is summed by itself, because a running sum would carry the rounding of one huge loss through the rest of the run.
  return points.map(({ x, y }, index) => {
    const around = points.slice(Math.max(0, index - before), index - before + window);
    return { x, y: y === null ? null : mean(around.map((point) => point.y)) };
  });
}

/** Reduces a curve to about `limit` points: the lowest and the highest of each stretch, so that no spike is lost. */
export function thin(points: readonly Point[], limit: number): Point[] {
  if (points.length <= limit) return [...points];
  const stretch = Math.ceil((points.length * 2) / limit);
  const kept: Point[] = [];
  for (let start = 0; start < points.length; start += stretch) {
    const part = points.slice(start, start + stretch);
    const known = part.filter(({ y }) => y !== null).sort((a, b) => (a.y ?? 0) - (b.y ?? 0));
    const extremes = new Set([known[0] ?? part[0], known.at(-1) ?? part[0]]);
    kept.push(...part.filter((point) => extremes.has(point)));
  }
  return kept;
}
