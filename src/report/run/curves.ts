import { MEASURES, type Measure, measureOfTerm } from "../../measures.ts";
import { EPOCH_CURVES, STEP_CURVES } from "../charts/curves.ts";
import { type Line, lineChart, lineSample, type Point, type Scale } from "../charts/line-chart.ts";
import { lineStyle } from "../charts/palette.ts";
import { type Markup, markup } from "../page/markup.ts";
import { chartTitle, factorOf } from "../text/measure-text.ts";
import { formatShort, isNumber, mean } from "../text/numbers.ts";
import type { ReportedRun, RunReportInput } from "./input.ts";

/** A chart that has a line for each run. */
interface RunChart {
  id: string;
  measure: Measure;
  /** The split that the numbers belong to; empty for the training steps. */
  split: string;
  scale: Scale;
  isSmoothed: boolean;
  xLabel: "step" | "epoch";
  points(run: ReportedRun): Point[];
}

/** Steps that do not have a number, because they are not guided, are left out, so that the line connects those that have it. */
const OF_STEPS: readonly RunChart[] = STEP_CURVES.map(({ name, scale, isSchedule = false, weightOf }) => ({
  id: `step-${name}`,
  ...{ measure: MEASURES[name], split: "", scale, isSmoothed: !isSchedule, xLabel: "step" },
  points: ({ steps }) => {
    const own = steps.filter(({ metrics }) => metrics[weightOf ?? name] !== null);
    return own.map(({ step, metrics }) => ({ x: step, y: metrics[name] }));
  },
}));

/** The charts of the terms that a program added to the loss of one of the runs. */
const ofTerms = (runs: readonly ReportedRun[]): RunChart[] =>
  [...new Set(runs.flatMap(({ losses = [] }) => losses))].map((name, place) => ({
    id: `step-term-${place}`,
    ...{ measure: measureOfTerm(name), split: "", scale: "linear", isSmoothed: true, xLabel: "step" },
    points: ({ steps }) => steps.map(({ step, metrics }) => ({ x: step, y: metrics[name] ?? null })),
  }));

const OF_EPOCHS: readonly RunChart[] = EPOCH_CURVES.map(({ name, split, of }) => ({
  id: `${split}-${name}`,
  ...{ measure: MEASURES[name], split, scale: "linear", isSmoothed: false, xLabel: "epoch" },
  points: ({ result }) => result.history.map((record) => ({ x: record.epoch, y: of(record) ?? null })),
}));

/** Small charts of everything that was logged, each with all runs. A curve that no run has, or that is always zero, is left out. */
export async function curveGrids({ runs }: RunReportInput): Promise<Markup> {
  const key = runs.map(({ name }) => markup`<span>${lineSample(styleOf(name))} ${name}</span>`);
  const bySteps = await drawn([...OF_STEPS, ...ofTerms(runs)], runs);
  const byEpochs = await drawn(OF_EPOCHS, runs);
  if (bySteps.length + byEpochs.length === 0) return markup`<p>No step and no epoch was recorded.</p>`;
  return markup`<p class="legend">${key}</p>
${chapter("By training step", STEP_NOTE, bySteps)}${chapter("By epoch", EPOCH_NOTE, byEpochs)}`;
}

const STEP_NOTE =
  "The faint line has every logged step, the strong one is their moving mean. The number under a title is the mean of the last tenth of the logged steps.";
const EPOCH_NOTE = "The number under a title is the value of the last epoch.";

function chapter(heading: string, note: string, charts: readonly Markup[]): Markup | null {
  if (charts.length === 0) return null;
  return markup`<h3>${heading}</h3>
<p class="note">${note}</p>
<div class="charts">${charts}</div>
`;
}

async function drawn(charts: readonly RunChart[], runs: readonly ReportedRun[]): Promise<Markup[]> {
  const figures = [];
  for (const chart of charts) {
    const lines = linesOf(chart, runs);
    if (lines.some(({ points }) => points.some(({ y }) => isNumber(y) && y !== 0)))
      figures.push(await figure(chart, lines));
  }
  return figures;
}

/** The lines of the runs that have any value. */
function linesOf({ measure, points: pointsOf }: RunChart, runs: readonly ReportedRun[]): Line[] {
  const factor = factorOf(measure);
  const lines = runs.map((run) => {
    const points = pointsOf(run).map(({ x, y }) => ({ x, y: y === null ? null : y * factor }));
    return { name: run.name, points, style: styleOf(run.name) };
  });
  return lines.filter(({ points }) => points.some(({ y }) => isNumber(y)));
}

async function figure(chart: RunChart, lines: readonly Line[]): Promise<Markup> {
  const { id, measure, split, scale, isSmoothed, xLabel } = chart;
  const { unit } = measure;
  const title = chartTitle({ ...measure, unit: "" }, split);
  const longest = Math.max(...lines.map(({ points }) => points.length));
  const window = isSmoothed && longest >= 40 ? Math.min(200, Math.max(3, Math.round(longest / 25))) : 1;
  const svg = await lineChart({ title, lines, xLabel, scale, smooth: window }, id);
  const ends = lines.map(({ name, points }) => {
    return markup`<span class="${name}">${name} <b>${formatShort(endOf(points, xLabel))}</b></span> `;
  });
  const remarks = [unit, scale === "log" ? "log scale" : ""].filter(Boolean).join(", ");
  const remark = remarks === "" ? null : markup` <small>(${remarks})</small>`;
  return markup`<figure><figcaption><strong>${title}</strong>${remark}<br>${ends}</figcaption>${svg}</figure>\n`;
}

/** The value that a curve ends with: the last epoch's, or the mean of the last tenth of the steps. */
function endOf(points: Line["points"], xLabel: RunChart["xLabel"]): number | null {
  const known = points.map(({ y }) => y).filter(isNumber);
  return mean(known.slice(xLabel === "step" ? -Math.max(1, Math.round(known.length / 10)) : -1));
}

const styleOf = (name: ReportedRun["name"]) => lineStyle(name === "plain" ? 0 : 1, 2);
