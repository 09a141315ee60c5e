import type { EpochRecord, StepMetrics } from "../../train/events.ts";
import { lineChart, lineSample } from "../charts/line-chart.ts";
import type { Point } from "../charts/series.ts";
import { Markup, markup } from "../page/markup.ts";
import { formatShort, isNumber, mean } from "../text/numbers.ts";
import type { ReportedRun, RunReportInput } from "./input.ts";

interface Curve {
  title: string;
  scale: "linear" | "zero" | "log";
  /** Set by a formula, not measured: a moving mean would only blur it. */
  schedule?: boolean;
  points(run: ReportedRun): Point[];
}

const OF_STEPS: readonly Curve[] = [
  ofStep("loss", "Loss, the whole objective", "zero"),
  ofStep("crossEntropy", "Cross-entropy", "zero"),
  ofStep("prototypeLoss", "Prototype Loss, before λ", "zero"),
  ofStep("batchCamLoss", "Batch-CAM Loss, before λ", "zero"),
  { ...ofStep("lambdaPrototype", "λ of the Prototype Loss", "zero"), schedule: true },
  { ...ofStep("lambdaBatch", "λ of the Batch-CAM Loss", "zero"), schedule: true },
  ofStep("deadMaps", "Share of dead maps", "zero"),
  ofStep("rawMapMax", "Largest raw map value", "log"),
  ofStep("gradNorm", "Gradient norm", "log"),
  { ...ofStep("lr", "Learning rate", "zero"), schedule: true },
];

const OF_EPOCHS: readonly Curve[] = [
  ofEpoch("Accuracy, training", ({ train }) => train.accuracy),
  ofEpoch("Accuracy, validation", ({ val }) => val.accuracy),
  ofEpoch("Cross-entropy, validation", ({ val }) => val.crossEntropy),
  ofEpoch("SSIM of map and prototype, validation", ({ val }) => val.mapSsim),
  ofEpoch("L1 of map and prototype, validation", ({ val }) => val.mapL1),
  ofEpoch("L2 of map and prototype, validation", ({ val }) => val.mapL2),
  ofEpoch("Coherence, validation", ({ val }) => val.coherence),
  ofEpoch("Energy in the foreground, validation", ({ val }) => val.energyInForeground),
  ofEpoch("Share of dead maps, validation", ({ val }) => val.deadMaps),
];

function ofStep(key: keyof StepMetrics, title: string, scale: Curve["scale"]): Curve {
  return { title, scale, points: ({ steps }) => steps.map(({ step, metrics }) => ({ x: step, y: metrics[key] })) };
}

function ofEpoch(title: string, value: (record: EpochRecord) => number): Curve {
  return {
    title,
    scale: "linear",
    points: ({ result }) => result.history.map((record) => ({ x: record.epoch, y: value(record) })),
  };
}

/** Small charts of every logged term, both runs in each; terms that no run has, or that are zero throughout, are left out. */
export function curveGrids({ runs }: RunReportInput): Markup {
  const key = runs.map(({ name }) => markup`<span>${new Markup(lineSample(styleOf(name)))} ${name}</span>`);
  const bySteps = grid(OF_STEPS, runs, "step");
  const byEpochs = grid(OF_EPOCHS, runs, "epoch");
  if (bySteps.length + byEpochs.length === 0) return markup`<p>No step and no epoch was recorded.</p>`;
  return markup`<p class="legend">${key}</p>
${chapter("By training step", STEP_NOTE, bySteps)}${chapter("By epoch", EPOCH_NOTE, byEpochs)}`;
}

const STEP_NOTE =
  "Faint: every logged step. Strong: moving mean. Under each title stands the mean of the last tenth of the logged steps.";
const EPOCH_NOTE = "Under each title stands the last epoch’s value.";

function chapter(heading: string, note: string, charts: readonly Markup[]): Markup | null {
  if (charts.length === 0) return null;
  return markup`<h3>${heading}</h3>
<p class="note">${note}</p>
<div class="charts">${charts}</div>
`;
}

function grid(curves: readonly Curve[], runs: readonly ReportedRun[], xLabel: "step" | "epoch"): Markup[] {
  return curves.flatMap((curve) => {
    const series = runs
      .map((run) => ({ name: run.name, points: curve.points(run), style: styleOf(run.name) }))
      .filter(({ points }) => points.some(({ y }) => isNumber(y)));
    if (!series.some(({ points }) => points.some(({ y }) => isNumber(y) && y !== 0))) return [];
    const longest = Math.max(...series.map(({ points }) => points.length));
    const smooth =
      xLabel === "step" && longest >= 40 && !curve.schedule ? Math.min(200, Math.max(3, Math.round(longest / 25))) : 1;
    const chart = lineChart({ title: curve.title, series, xLabel, scale: curve.scale, smooth });
    const ends = series.map(({ name, points }) => {
      return markup`<span class="${name}">${name} <b>${formatShort(last(points, xLabel))}</b></span> `;
    });
    const scale = curve.scale === "log" ? markup` <small>(log scale)</small>` : "";
    return [
      markup`<figure><figcaption><strong>${curve.title}</strong>${scale}<br>${ends}</figcaption>${new Markup(chart)}</figure>\n`,
    ];
  });
}

function last(points: readonly Point[], xLabel: "step" | "epoch"): number | null {
  const known = points.map(({ y }) => y).filter(isNumber);
  return mean(known.slice(xLabel === "step" ? -Math.max(1, Math.round(known.length / 10)) : -1));
}

function styleOf(name: ReportedRun["name"]): number {
  return name === "plain" ? 0 : 1;
}
