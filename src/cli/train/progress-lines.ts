import { join } from "node:path";
import { writeFileAtomically } from "../../atomic-file.ts";
import { counted } from "../../counted.ts";
import { describeShape } from "../../data/internal.ts";
import { MEASURES, type MeasureName } from "../../measures.ts";
import type { FigureInput } from "../../report/index.ts";
import { columnName, duration, mapsFigure } from "../../report/internal.ts";
import type {
  BalanceEvent,
  EpochRecord,
  SplitRecord,
  StartEvent,
  StepEvent,
  StepMetrics,
  TrainEvent,
  TrainResult,
} from "../../train/index.ts";
import { lastValidated, patienceFrom } from "../../train/internal.ts";

export const percent = (share: number, digits = 1): string => `${(share * 100).toFixed(digits)}%`;

/** Formats a number for a table or a progress line with three decimals, or in exponential notation from 1000. */
export const short = (value: number): string => (Math.abs(value) >= 1000 ? value.toExponential(2) : value.toFixed(3));

export function startLines(start: StartEvent): string[] {
  const images = `${start.trainImages} training, ${start.valImages} validation and ${counted(start.testImages, "test image")}`;
  const engine = `${counted(start.threads, "thread")}, ${precisionText(start)}`;
  const maps = `maps of ${start.mapSize.join("x")} from ${start.camLayer}${guidedPart(start.config)}`;
  const { resumedFromStep: from, stepsPerEpoch, epochs, config } = start;
  const last = Math.min(stepsPerEpoch * epochs, config.maxSteps ?? Number.POSITIVE_INFINITY);
  const onward = from < last ? `resumed at step ${from}` : `complete at step ${from}, evaluated again`;
  const resumed = from > 0 ? `, ${onward}` : "";
  const { imageSize: _, ...told } = start.modelOptions;
  const options = Object.entries(told).map(([key, value]) => `, ${key} ${value}`);
  const model = `${config.model}${options.join("")} of ${counted(start.parameters, "parameter")}`;
  const first = `${start.runDirectory}${resumed}: ${model}; ${maps}; ${images}; ${engine}`;
  // If the prototypes have no shape, the trainer has already warned about that.
  return start.prototypeShape?.carries === "shape" ? [first, describeShape(start.prototypeShape)] : [first];
}

/** The precision, with the times that decided it: `bfloat16 (a step takes 61 ms, in float32 78 ms)`. */
function precisionText({ precision, timings = [] }: StartEvent): string {
  const fastest = (amp: boolean) =>
    Math.min(
      ...timings.flatMap((timing) => (timing.amp === amp ? [timing.milliseconds ?? Number.POSITIVE_INFINITY] : [])),
    );
  const [own, other] = precision === "bfloat16" ? [true, false] : [false, true];
  const times = [fastest(own), fastest(other)];
  if (!times.every(Number.isFinite)) return precision;
  const [taken, left] = times.map((time) => `${time.toFixed(time < 10 ? 1 : 0)} ms`);
  return `${precision} (a plain step takes ${taken}, in ${own ? "float32" : "bfloat16"} ${left})`;
}

/** The steps and images whose maps are guided, if that is a part of them. */
function guidedPart({ guideEvery, guideShare, plain, baseline }: StartEvent["config"]): string {
  if (plain && baseline === undefined) return "";
  const steps = typeof guideEvery === "number" && guideEvery > 1 ? [`at one step in ${guideEvery}`] : [];
  const images = guideShare < 1 ? [`on ${percent(guideShare, 0)} of each batch`] : [];
  return steps.length + images.length === 0 ? "" : ` guided ${[...steps, ...images].join(", ")}`;
}

/** Every term of the loss, before its weight: `ce 0.412  proto 0.218`. */
function lossTerms(metrics: StepMetrics): string {
  return Object.entries(TERM_NAMES)
    .flatMap(([term, name]) => {
      const value = metrics[term as keyof typeof TERM_NAMES] ?? null;
      return value === null ? [] : [`${name} ${short(value)}`];
    })
    .join("  ");
}

const TERM_NAMES = { crossEntropy: "ce", prototypeLoss: "proto", batchCamLoss: "batch", baselineLoss: "base" } as const;

/** `loss balance: ce 0.412 (gradient 1.2)  proto 0.218 x 0.5 (gradient 0.31, cosine -0.05)`. */
export function balanceLine({ step, terms }: BalanceEvent): string {
  const names: Readonly<Record<string, string>> = TERM_NAMES;
  const parts = terms.map(({ term, weight, value, gradNorm, cosine }) => {
    const against = term === "crossEntropy" || cosine === null ? "" : `, cosine ${cosine.toFixed(2)}`;
    const times = term === "crossEntropy" ? "" : ` x ${short(weight)}`;
    return `${names[term] ?? term} ${short(value)}${times} (gradient ${short(gradNorm)}${against})`;
  });
  return `loss balance at step ${step}: ${parts.join("  ")}`;
}

/** The percentage of dead maps, or an empty text if the objective needs no maps. */
function deadShare({ deadMaps }: StepMetrics, name: string): string {
  return deadMaps === null ? "" : `${name} ${percent(deadMaps)}`;
}

/** Estimated seconds of training left in the whole run, at the current rate and without evaluation. */
function secondsLeft(step: StepEvent, start: Pick<StartEvent, "epochs" | "trainImages" | "config">): number {
  const steps = (start.epochs - step.epoch + 1) * step.stepsPerEpoch - step.stepInEpoch;
  const { batchSize, gradAccumSteps } = start.config;
  const imagesPerStep = Math.min(batchSize * gradAccumSteps, start.trainImages / step.stepsPerEpoch);
  return (steps * imagesPerStep) / step.imagesPerSecond;
}

export function plainStepLine(step: StepEvent, start: StartEvent): string {
  const place = `epoch ${step.epoch}/${start.epochs}  step ${step.stepInEpoch}/${step.stepsPerEpoch}`;
  const { loss } = step.metrics;
  const dead = deadShare(step.metrics, MEASURES.deadMaps.short);
  const rate = `${counted(Math.round(step.imagesPerSecond), "image")}/s  ${duration(secondsLeft(step, start))} left`;
  return `${place}  loss ${short(loss)}  ${lossTerms(step.metrics)}  ${dead === "" ? "" : `${dead}  `}${rate}`;
}

interface Segment {
  text: string;
  /** The order in which parts are left out if the line is too long: the highest first. */
  rank: number;
}

const BAR = { text: "", rank: 4, least: 10, most: 32 };

/** The live line, of at most `width` characters. The least important parts are left out, and the bar fills the rest. */
export function liveStepLine(step: StepEvent, start: StartEvent, width: number): string {
  const { loss } = step.metrics;
  const bar: Segment = { text: "#".repeat(BAR.least), rank: BAR.rank };
  let kept: Segment[] = [
    { text: `epoch ${step.epoch}/${start.epochs}`, rank: 0 },
    bar,
    { text: `${String(step.stepInEpoch).padStart(String(step.stepsPerEpoch).length)}/${step.stepsPerEpoch}`, rank: 1 },
    { text: `loss ${short(loss)}`, rank: 6 },
    { text: lossTerms(step.metrics), rank: 2 },
    { text: deadShare(step.metrics, "dead"), rank: 3 },
    { text: `${counted(Math.round(step.imagesPerSecond), "image")}/s`, rank: 5 },
    { text: `${duration(secondsLeft(step, start))} left`, rank: 2.5 },
  ];
  kept = kept.filter(({ text }) => text !== "");
  while (joined(kept).length > width && kept.length > 1) {
    const last = Math.max(...kept.map(({ rank }) => rank));
    kept = kept.filter(({ rank }) => rank !== last);
  }
  const room = BAR.least + width - joined(kept).length;
  bar.text = progressBar(step.stepInEpoch / step.stepsPerEpoch, Math.min(room, BAR.most));
  return joined(kept).slice(0, Math.max(0, width));
}

const joined = (segments: readonly Segment[]): string => segments.map(({ text }) => text).join("  ");

/** `[=====>    ]`, `width` characters wide. */
function progressBar(share: number, width: number): string {
  const inner = Math.max(0, width - 2);
  const filled = Math.round(Math.min(1, Math.max(0, share)) * inner);
  const done = filled === inner || filled === 0 ? "=".repeat(filled) : `${"=".repeat(filled - 1)}>`;
  return `[${done.padEnd(inner)}]`;
}

export function epochLine(record: EpochRecord, epochs: number): string {
  const { train, val } = record;
  const fit = `loss ${short(train.loss)}  ${lossTerms(train)}  accuracy ${percent(train.accuracy)}`;
  const held = `validation: ${namedMeasures(val, ["accuracy", "mapSsim", "deadMaps"]).join("  ")}`;
  const best = record.bestSoFar ? "  best" : "";
  return `epoch ${record.epoch}/${epochs}  ${fit}  ${held}  ${duration(record.secondsPerEpoch)}${best}`;
}

export function endLines(result: TrainResult): string[] {
  const time = duration(result.seconds);
  if (result.interrupted) return [`stopped at step ${result.step} after ${time}; checkpoint ${result.checkpoint}`];
  const test = result.test === null ? [] : [splitLine(result.test)];
  return [
    ...test,
    ...endReason(result),
    `done in ${time}: best epoch ${result.bestEpoch}, ${result.best ?? result.checkpoint}`,
  ];
}

/** The reason why training ended before its last epoch, or no line if it did not. */
function endReason(result: TrainResult): string[] {
  const { endedBy, step, history } = result;
  if (endedBy === "patience") {
    const [from, to] = [patienceFrom(result), lastValidated(history)];
    return [`stopped early: no better validation accuracy from epoch ${from} to ${to} (--patience)`];
  }
  if (endedBy === "maxSeconds") return [`stopped at step ${step}, because the time limit was reached (--max-seconds)`];
  return endedBy === "maxSteps" ? [`stopped at step ${step} (--max-steps)`] : [];
}

function splitLine(record: SplitRecord): string {
  const maps = (["mapL1", "mapL2", "mapSsim"] as const).map(
    (name) => `${columnName(MEASURES[name])} ${short(record[name])}`,
  );
  const rest = namedMeasures(record, ["coherence", "deadMaps"]).join("  ");
  return `${record.split}: ${namedMeasures(record, ["accuracy"])}  maps against prototypes: ${maps.join("  ")}  ${rest}`;
}

/** Formats measures by their short names: `accuracy 98.10%`, `map SSIM 0.655`. */
function namedMeasures(record: SplitRecord, names: readonly (MeasureName & keyof SplitRecord)[]): string[] {
  return names.map((name) => {
    const { short: label, unit, digits } = MEASURES[name];
    return `${label} ${unit === "%" ? percent(record[name], digits) : short(record[name])}`;
  });
}

export interface Figures {
  onEvent(event: TrainEvent): void;
  /** Resolves when every figure is written. */
  written(): Promise<void>;
}

/** Draws `figures/epoch-N.png` for each `maps` event of a run. If a figure cannot be written, it warns and the run continues. */
export function createFigures(warn: (message: string) => void): Figures {
  let start: StartEvent | undefined;
  let judged = "";
  let writing = Promise.resolve();
  const onEvent = (event: TrainEvent): void => {
    if (event.type === "start") start = event;
    if (event.type === "epoch") judged = `: ${judgement(event.record.val)}`;
    if (event.type !== "maps" || !start) return;
    const { runDirectory, epochs } = start;
    const name = `epoch-${String(event.epoch).padStart(String(epochs).length, "0")}.png`;
    const input = mapsFigure(event.samples, `Epoch ${event.epoch} of ${epochs}`, `${runDirectory}${judged}`);
    writing = writing
      .then(() => draw(join(runDirectory, "figures", name), input))
      .catch((error: Error) => warn(`the figure of epoch ${event.epoch} could not be drawn: ${error.message}`));
  };
  return { onEvent, written: () => writing };
}

function judgement(record: SplitRecord): string {
  const numbers = namedMeasures(record, ["accuracy", "mapSsim", "deadMaps"]);
  return [counted(record.images, "validation image"), ...numbers].join(", ");
}

async function draw(path: string, input: FigureInput): Promise<void> {
  const { camFigure } = await import("../../report/index.ts");
  await writeFileAtomically(path, camFigure(input).png);
}
