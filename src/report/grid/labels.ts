import type { MeasureId } from "../../experiments/measures.ts";
import { formatNumber, formatSigned } from "../text/numbers.ts";

/** How a measure is named and written. */
export interface Label {
  name: string;
  /** What stands in a narrow column, the unit apart. */
  short: string;
  /** "%", "ms", or nothing. */
  unit: string;
  better: "higher" | "lower" | null;
  /** From the record's unit to the one that is shown. */
  scale: number;
  digits: number;
}

const share = (name: string, short: string, better: Label["better"], digits = 2): Label => {
  return { name, short, unit: "%", better, scale: 100, digits };
};
const plain = (name: string, short: string, better: Label["better"], digits = 3): Label => {
  return { name, short, unit: "", better, scale: 1, digits };
};

export const LABELS: Readonly<Record<MeasureId, Label>> = {
  accuracy: share("test accuracy", "accuracy", "higher"),
  crossEntropy: plain("test cross-entropy", "cross-entropy", "lower"),
  mapL1: plain("L1 of map and prototype", "L1", "lower"),
  mapL2: plain("L2 of map and prototype", "L2", "lower"),
  mapSsim: plain("SSIM of map and prototype", "SSIM", "higher"),
  coherence: plain("coherence of the maps of a class", "coherence", "higher"),
  deadMaps: share("dead maps", "dead maps", "lower", 1),
  energyInForeground: share("energy in the foreground", "on foreground", "higher", 1),
  secondsPerStep: { name: "time of a step", short: "step", unit: "ms", better: "lower", scale: 1000, digits: 1 },
  seconds: { name: "time of all steps", short: "training", unit: "s", better: "lower", scale: 1, digits: 1 },
  averageDrop: share("average drop", "avg. drop", "lower", 1),
  increaseInConfidence: share("increase in confidence", "increase", "higher", 1),
  averageGain: share("average gain", "avg. gain", "higher", 1),
  deletionAuc: plain("deletion AUC", "deletion", "lower"),
  insertionAuc: plain("insertion AUC", "insertion", "higher"),
  roadCombined: plain("ROAD combined", "ROAD", "higher"),
  pointingGame: share("pointing game", "pointing", "higher", 1),
  relevanceRankAccuracy: share("relevance rank accuracy", "rank acc.", "higher", 1),
  sparseness: plain("sparseness", "sparseness", null),
  maxSensitivity: plain("max sensitivity", "sensitivity", "lower"),
  energyInMask: share("energy in what should not matter", "in mask", "lower", 1),
  alignedAccuracy: share("accuracy, aligned cues", "aligned", "higher", 1),
  randomAccuracy: share("accuracy, random cues", "random", "higher", 1),
  cleanAccuracy: share("accuracy, no cue", "clean", "higher", 1),
  adversarialAccuracy: share("accuracy, cues of a wrong class", "adversarial", "higher", 1),
  worstClass: share("accuracy of the worst class, random cues", "worst class", "higher", 1),
  energyInPatch: share("energy of the maps in the cue’s patch", "map in patch", "lower", 1),
  wrongReason: share("wrong-reason score", "wrong reason", "lower", 1),
};

/** "accuracy %" */
export const headOf = ({ short, unit }: Label): string => (unit === "" ? short : `${short} ${unit}`);

/** The value as a number with the decimals that are shown. */
export const shownValue = ({ scale, digits }: Label, value: number): number => Number((value * scale).toFixed(digits));

/** A value without its unit. */
const valueText = ({ scale, digits }: Label, value: number): string => formatNumber(value * scale, digits);

/** A value with its unit, and its deviation where there is one: "98.1 ± 0.2 %". */
export function spreadText(label: Label, { mean, deviation }: { mean: number; deviation: number }): string {
  const spread = Number.isFinite(deviation) ? ` ± ${valueText(label, deviation)}` : "";
  return `${valueText(label, mean)}${spread}${label.unit === "" ? "" : `\u00a0${label.unit}`}`;
}

/** A difference with its sign and unit: shares differ by points. */
export function differenceText(label: Label, value: number): string {
  const unit = label.unit === "%" ? " points" : label.unit === "" ? "" : `\u00a0${label.unit}`;
  return `${signedText(label, value)}${unit}`;
}

/** A difference with its sign. */
export function signedText({ scale, digits }: Label, value: number): string {
  return formatSigned(value * scale, digits);
}

/** "p = 0.012", "p < 0.001" */
export function pText(p: number, name = "p"): string {
  return p < 0.001 ? `${name} < 0.001` : `${name} = ${p.toFixed(p < 0.1 ? 3 : 2)}`;
}

/** Below this, a difference is told from chance. */
export const LEVEL = 0.05;

/** With a capital letter, to begin a sentence. */
export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
