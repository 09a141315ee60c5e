import { MEASURES } from "../../measures.ts";
import type { AnalysedMethod, AnalysisGroup, MeasureId } from "../../workflows/internal.ts";
import { domainOf } from "../charts/domain.ts";
import type { FigurePlan, Panel } from "../charts/engine.ts";
import { KINDS } from "../charts/palette.ts";
import { colour } from "../page/colours.ts";
import { capital, differenceUnit, factorOf, testName } from "../text/measure-text.ts";
import { groupName } from "./input.ts";

export const ROW = 19;
const WIDTH = 190;

/** The point of a method in a panel, in which each method has a row. */
interface Dot {
  method: string;
  kind: string;
  value: number;
  low: number | null;
  high: number | null;
}

/** Differences from plain training with their 95 % intervals, a panel for each measure. Null without plain training. */
export function effectFigure(group: AnalysisGroup, slug: string): FigurePlan | null {
  const panels = (["accuracy", "mapSsim", "coherence", "secondsPerStep"] as const).flatMap((id) => {
    const factor = factorOf(MEASURES[id]);
    const dots = group.methods.flatMap(({ method, kind, effects }): Dot[] => {
      const effect = effects?.[id];
      if (effect?.mean === null || effect?.mean === undefined) return [];
      const [low, high] = [effect.low, effect.high].map((end) => (end === null ? null : end * factor)) as Ends;
      return [{ method, kind, value: effect.mean * factor, low, high }];
    });
    if (dots.length === 0) return [];
    const unitText = differenceUnit(MEASURES[id]);
    return [
      dotPanel(dots, {
        title: capital(testName(id)),
        axis: `difference from plain${unitText && `, ${unitText}`}`,
        at: 0,
      }),
    ];
  });
  if (panels.length === 0) return null;
  return {
    ...{ name: `effects-${slug}`, title: `Differences from plain training: ${groupName(group)}`, panels, columns: 2 },
    key: kindPanel(group.methods.filter(({ effects }) => effects !== null)),
    caption:
      "Mean difference from plain training of the same seeds. Bars are 95 % intervals of Student’s t, if there are three seeds or more; the line marks a difference of zero.",
  };
}

/** Reliance on the cue, a panel for each measure, with a line at plain training. Null if the data set has no cue. */
export function cueFigure(group: AnalysisGroup, slug: string): FigurePlan | null {
  const panels = (["randomAccuracy", "energyInPatch", "wrongReason"] as const).flatMap((id) => {
    const dots = group.methods.flatMap((method) => dotOf(method, id));
    if (dots.length === 0) return [];
    const at = dots.find(({ method }) => method === group.plain)?.value;
    return [
      dotPanel(dots, { title: capital(testName(id)), axis: MEASURES[id].unit, ...(at === undefined ? {} : { at }) }),
    ];
  });
  if (panels.length === 0) return null;
  return {
    ...{ name: `cue-${slug}`, title: `Reliance on the cue: ${groupName(group)}`, panels, columns: 2 },
    key: kindPanel(group.methods),
    caption:
      "Means over seeds; bars are one standard deviation; the line is plain training. Compare a method with the controls: if a control does as well, the gain does not come from where the maps point.",
  };
}

function dotOf({ method, kind, values }: AnalysedMethod, id: MeasureId): Dot[] {
  const { mean, deviation } = values[id];
  if (!Number.isFinite(mean)) return [];
  const factor = factorOf(MEASURES[id]);
  const reach = Number.isFinite(deviation) ? deviation : null;
  const end = (sign: number) => (reach === null ? null : (mean + sign * reach) * factor);
  return [{ method, kind, value: mean * factor, low: end(-1), high: end(1) }];
}

type Ends = [number | null, number | null];

interface DotText {
  title: string;
  axis: string;
  /** The value at which a vertical line is drawn. */
  at?: number;
}

function dotPanel(dots: readonly Dot[], { title, axis, at }: DotText): Panel {
  const y = {
    field: "method",
    type: "nominal",
    sort: dots.map(({ method }) => method),
    title: null,
    axis: { grid: true, gridOpacity: 0.5, domain: false, ticks: false, labelPadding: 6, labelColor: colour("text") },
  };
  const shown = dots.flatMap(({ value, low, high }) => [value, low ?? value, high ?? value]).concat(at ?? []);
  const scale = { domain: domainOf(shown, 0.04), nice: false, zero: false };
  const x = { type: "quantitative", title: axis, scale, axis: { tickCount: 4 } };
  const rule = { mark: { type: "rule", color: colour("muted"), strokeDash: [4, 3] }, encoding: { x: { datum: at } } };
  return {
    title,
    width: WIDTH,
    height: { step: ROW },
    data: { values: dots },
    layer: [
      ...(at === undefined ? [] : [rule]),
      {
        transform: [{ filter: "isValid(datum.low)" }],
        mark: { type: "rule", strokeWidth: 1.6 },
        encoding: { y, x: { ...x, field: "low" }, x2: { field: "high" }, color: kindColour() },
      },
      {
        mark: { type: "point", filled: true, size: 62, opacity: 1 },
        encoding: { y, x: { ...x, field: "value" }, color: kindColour(), shape: kindShape() },
      },
    ],
  };
}

const kindNames = Object.keys(KINDS);
export const kindColour = () => ({
  field: "kind",
  type: "nominal",
  legend: null,
  scale: { domain: kindNames, range: Object.values(KINDS).map((kind) => kind.colour) },
});
export const kindShape = () => ({
  field: "kind",
  type: "nominal",
  legend: null,
  scale: { domain: kindNames, range: Object.values(KINDS).map(({ shape }) => shape) },
});

/** A legend of the marks, for the file. */
function kindPanel(methods: readonly AnalysedMethod[]): Panel {
  const values = [...new Set(methods.map(({ kind }) => kind))].map((kind) => ({ kind }));
  const y = { field: "kind", type: "nominal", sort: null, axis: null };
  return {
    title: "Kinds of methods",
    ...{ width: WIDTH, height: { step: ROW }, data: { values } },
    layer: [
      {
        mark: { type: "point", filled: true, size: 62, opacity: 1 },
        encoding: { y, x: { value: 8 }, color: kindColour(), shape: kindShape() },
      },
      { mark: { type: "text", align: "left" }, encoding: { y, x: { value: 22 }, text: { field: "kind" } } },
    ],
  };
}
