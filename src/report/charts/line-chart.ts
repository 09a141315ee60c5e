import { BatchCamError } from "../../errors.ts";
import { round } from "../figures/block.ts";
import { type Markup, markup } from "../page/markup.ts";
import { formatShort, isNumber } from "../text/numbers.ts";
import { type Axis, linearAxis, logAxis } from "./axis.ts";
import { movingMean, type Point, thin } from "./series.ts";

/** One line of a chart. Points whose y is null or not finite are gaps. */
export interface CurveSeries {
  name: string;
  points: readonly { x: number; y: number | null }[];
  /** Which of the four line styles to use; the position in the list by default. */
  style?: number;
}

/** What `lineChart` draws. */
export interface LineChartInput {
  title: string;
  /** Told apart by colour and by dashes, in four styles. */
  series: readonly CurveSeries[];
  xLabel: string;
  /** "linear" fits the values, "zero" is linear from zero, "log" leaves out values that are not positive. */
  scale?: "linear" | "zero" | "log";
  /** Points in the moving mean that is drawn over a faint line of all values; 1 for none. */
  smooth?: number;
}

const SIZE = { width: 320, height: 172 };
const PLOT = { left: 46, right: 304, top: 10, bottom: 136 };
/** Lines of more points have no markers. */
const MARKED = 12;

// Custom properties let the page choose the colours for its light and its dark theme; dashes tell lines apart in print.
const STYLES = [
  { colour: "var(--series-1, #4b5563)", dash: "4 2.5" },
  { colour: "var(--series-2, #b8480b)", dash: "none" },
  { colour: "var(--series-3, #00639c)", dash: "1.5 2" },
  { colour: "var(--series-4, #00795a)", dash: "8 2 2 2" },
] as const;

/**
 * A small line chart as SVG text, for a page that shows it about 320 pixels wide.
 *
 * @throws E_ARGUMENT where there is no line, an x is not finite, or `smooth` is no positive whole number
 */
export function lineChart(input: LineChartInput): string {
  checkChart(input);
  const { series, xLabel, scale = "linear", smooth = 1 } = input;
  const lines = series.map(({ points }) => points.map((point) => visible(point, scale)));
  const known = lines.flat().filter(({ y }) => y !== null);
  const values = known.map(({ y }) => y ?? 0);
  const axes = {
    x: linearAxis(known.length > 0 ? known.map(({ x }) => x) : [0, 1], { count: 5, whole: true, tight: true }),
    y: scale === "log" && known.length > 0 ? logAxis(values) : linearAxis(values, { zero: scale === "zero" }),
  };
  // The first line, which is dashed, lies on top: where two lines agree, both can be seen.
  const drawn = lines.map((points, index) => curve(points, { axes, smooth, style: series[index]?.style ?? index }));
  drawn.reverse();
  const empty = known.length === 0 ? label((PLOT.left + PLOT.right) / 2, 76, "no values", "middle") : null;
  const axisLabel = label((PLOT.left + PLOT.right) / 2, SIZE.height - 4, xLabel, "middle");
  return markup`<svg class="chart" viewBox="0 0 ${SIZE.width} ${SIZE.height}" role="img" xmlns="http://www.w3.org/2000/svg"><title>${describe(input)}</title>${grid(axes)}${drawn}${axisLabel}${empty}</svg>`
    .text;
}

/** A short sample of a line style, for the legend of a page of charts. */
export function lineSample(style: number): string {
  return markup`<svg class="line-sample" viewBox="0 0 28 8" width="28" height="8" aria-hidden="true"><path d="M0 4H28" ${stroke(style)}/></svg>`
    .text;
}

interface Axes {
  x: Axis;
  y: Axis;
}

interface CurveOptions {
  axes: Axes;
  smooth: number;
  style: number;
}

function curve(points: readonly Point[], { axes, smooth, style }: CurveOptions): Markup {
  const limit = PLOT.right - PLOT.left;
  const { colour } = styleOf(style);
  const line = (list: readonly Point[]) => path(thin(list, limit), axes);
  if (smooth > 1) {
    const trend = line(movingMean(points, smooth));
    return markup`<path d="${line(points)}" fill="none" stroke="${colour}" stroke-width="1" opacity="0.28"/><path d="${trend}" ${stroke(style)}/>`;
  }
  const marked = points.length <= MARKED ? points.filter(({ y }) => y !== null) : [];
  const markers = marked.map((point) => {
    const [x, y] = position(point, axes);
    return markup`<circle cx="${x}" cy="${y}" r="2.6" fill="${colour}"/>`;
  });
  return markup`<path d="${line(points)}" ${stroke(style)}/>${markers}`;
}

function stroke(style: number): Markup {
  const { colour, dash } = styleOf(style);
  return markup`fill="none" stroke-width="1.8" stroke-linejoin="round" stroke="${colour}" stroke-dasharray="${dash}"`;
}

function styleOf(style: number): (typeof STYLES)[number] {
  return STYLES[style % STYLES.length] ?? STYLES[0];
}

function path(points: readonly Point[], axes: Axes): string {
  let pen = "M";
  let text = "";
  for (const point of points) {
    if (point.y === null) {
      pen = "M";
      continue;
    }
    text += `${pen}${position(point, axes).join(" ")}`;
    pen = "L";
  }
  return text;
}

function position({ x, y }: Point, axes: Axes): [number, number] {
  const across = PLOT.left + axes.x.at(x) * (PLOT.right - PLOT.left);
  const down = PLOT.bottom - axes.y.at(y ?? 0) * (PLOT.bottom - PLOT.top);
  return [round(across), round(down)];
}

function grid({ x, y }: Axes): Markup {
  const rows = y.ticks.map((tick) => {
    const at = round(PLOT.bottom - y.at(tick) * (PLOT.bottom - PLOT.top));
    return markup`<path d="M${PLOT.left} ${at}H${PLOT.right}" stroke="var(--rule, #d0d7de)"/>${label(PLOT.left - 6, at + 3.5, y.label(tick), "end")}`;
  });
  const columns = x.ticks.map((tick) => {
    const at = round(PLOT.left + x.at(tick) * (PLOT.right - PLOT.left));
    return markup`<path d="M${at} ${PLOT.bottom}v4" stroke="var(--muted, #57606a)"/>${label(at, PLOT.bottom + 15, x.label(tick), "middle")}`;
  });
  const base = markup`<path d="M${PLOT.left} ${PLOT.bottom}H${PLOT.right}" stroke="var(--muted, #57606a)"/>`;
  return markup`${rows}${columns}${base}`;
}

function label(x: number, y: number, text: string, anchor: string): Markup {
  return markup`<text x="${x}" y="${round(y)}" font-size="10.5" text-anchor="${anchor}" fill="var(--muted, #57606a)">${text}</text>`;
}

function describe({ title, series, xLabel }: LineChartInput): string {
  const lines = series.map(({ name, points }) => {
    const known = points.filter(({ y }) => isNumber(y));
    const [first, last] = [known[0], known.at(-1)];
    if (!first || !last) return `${name}: no values`;
    return `${name}: from ${formatShort(first.y)} to ${formatShort(last.y)}`;
  });
  return `${title} by ${xLabel}; ${lines.join("; ")}`;
}

/** Beyond these magnitudes, which only a diverging run reaches, arithmetic on an axis would overflow or vanish. */
const DRAWABLE = { least: 1e-100, most: 1e100 };

function visible({ x, y }: Point, scale: string): Point {
  if (!isNumber(y) || Math.abs(y) > DRAWABLE.most || (scale === "log" && y < DRAWABLE.least)) return { x, y: null };
  return { x, y: Math.abs(y) < DRAWABLE.least ? 0 : y };
}

function checkChart({ series, smooth = 1 }: LineChartInput): void {
  if (series.length === 0) {
    throw new BatchCamError("E_ARGUMENT", "lineChart: series must hold at least one line, got none");
  }
  if (!Number.isInteger(smooth) || smooth < 1) {
    throw new BatchCamError("E_ARGUMENT", `lineChart: smooth must be a positive whole number of points, got ${smooth}`);
  }
  for (const { name, points } of series) {
    const bad = points.findIndex(({ x }) => !Number.isFinite(x));
    if (bad < 0) continue;
    const got = points[bad]?.x;
    throw new BatchCamError("E_ARGUMENT", `lineChart: x of point ${bad} of "${name}" must be finite, got ${got}`);
  }
}
