/**
 * The table of all measures of a run. The terminal's tables, the reports, the model card, the charts, evaluation.json and
 * docs/measures.md take names, units, directions and definitions from it.
 */

/** The name, format and definition of a measure. */
export interface Measure {
  /** The full name, in lower case for use within a sentence. */
  name: string;
  /** A name for a narrow column, a line of the terminal, or a list. */
  short: string;
  /** A name for a table whose caption says that it is about maps, or about a cue (default: `short`). */
  column?: string;
  /** The unit of the value that is shown. Shares are recorded from 0 to 1 and shown in per cent, times are recorded in seconds. */
  unit: "" | "%" | "ms" | "s";
  /** Whether higher or lower values are better; null if neither is. */
  better: "higher" | "lower" | null;
  /** The range of the recorded value. */
  range: readonly [lowest: number, highest: number];
  /** The decimals of the value that is shown. */
  digits: number;
  /** The definition, as a phrase without a full stop. */
  definition: string;
  /** The paper or library that the definition comes from; absent if it is the project's own. */
  source?: string;
  /** The quantity that the values count, if it is not a share. */
  counts?: string;
  /** Sentences about how to interpret the measure. */
  note?: string;
  /** When the measure has no value, as a clause that can follow "because" and "if". */
  missing?: string;
}

const NO_FOREGROUND =
  "no image has a foreground that can be separated from its background (pixels above 0.1 that cover at most 80 % of the image)";

/** The measure of a term that a program added to the loss under this name. */
export const measureOfTerm = (name: string): Measure => ({
  ...{ name: `${name}, a term of the program`, short: name, unit: "", better: "lower", digits: 3 },
  range: [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
  definition: "term that the program which trained the run added to the loss, as it was added",
});

type Row = Omit<Measure, "unit" | "range" | "digits" | "short"> & Partial<Measure>;

const share = (row: Row): Measure => ({ short: row.name, unit: "%", range: [0, 1], digits: 1, ...row });
const number = (row: Row): Measure => ({ short: row.name, unit: "", range: [0, 1], digits: 3, ...row });
const positive = (row: Row): Measure => number({ range: [0, Number.POSITIVE_INFINITY], ...row });
const time = (row: Row): Measure => positive({ ...row, unit: row.unit ?? "s", digits: 1 });

/** Measures that are logged at training steps, and as means over an epoch. */
const TRAINING = {
  loss: positive({
    name: "loss, the whole objective",
    short: "loss",
    better: "lower",
    definition: "cross-entropy plus each term of the objective times its weight λ",
  }),
  prototypeLoss: positive({
    name: "Prototype Loss, before λ",
    short: "Prototype Loss",
    better: "lower",
    definition: "mean distance between each map and the prototype of its class",
    source: "Batch-CAM",
  }),
  batchCamLoss: positive({
    name: "Batch-CAM Loss, before λ",
    short: "Batch-CAM Loss",
    better: "lower",
    definition: "mean over the classes of a batch of the distance between the class's mean map and its target",
    source: "Batch-CAM",
  }),
  baselineLoss: positive({
    name: "baseline’s term, before λ",
    short: "baseline’s term",
    better: "lower",
    definition: "the loss term of the published baseline that the run trains with",
  }),
  lambdaPrototype: positive({
    name: "λ of the Prototype Loss",
    better: null,
    definition: "weight of the Prototype Loss at a guided step, warm-up included",
  }),
  lambdaBatch: positive({
    name: "λ of the Batch-CAM Loss",
    better: null,
    definition: "weight of the Batch-CAM Loss at a guided step, warm-up included",
  }),
  rawMapMax: positive({
    name: "largest raw map value",
    better: null,
    definition: "largest value of the maps of a batch before they are normalised",
  }),
  gradNorm: positive({
    name: "gradient norm",
    better: null,
    definition: "L2 norm of the gradient with respect to all parameters, before it is clipped",
  }),
  lr: positive({ name: "learning rate", better: null, definition: "learning rate of a step" }),
};

/** Measures of how well a model classifies the images of a split. */
const CLASSIFICATION = {
  accuracy: share({
    name: "accuracy",
    better: "higher",
    digits: 2,
    definition: "share of the images whose highest score is that of the true class",
    note: "The validation split chooses the epoch; the test split is used once after that, and for nothing else.",
  }),
  crossEntropy: positive({
    name: "cross-entropy",
    better: "lower",
    definition: "mean negative logarithm of the probability of the true class, in nats",
  }),
};

const MAP_L1 = number({
  name: "L1 of map and prototype",
  short: "map L1",
  column: "L1",
  better: "lower",
  definition: "mean absolute difference between a map and the prototype of its class, over pixels and images",
  note: "A map of zeros scores well.",
});
const MAP_L2 = number({
  name: "L2 of map and prototype",
  short: "map L2",
  column: "L2",
  better: "lower",
  definition: "mean squared difference between a map and the prototype of its class, over pixels and images",
  note: "A map of zeros scores well.",
});
const MAP_SSIM = number({
  name: "SSIM of map and prototype",
  short: "map SSIM",
  column: "SSIM",
  better: "higher",
  range: [-1, 1],
  definition: "structural similarity of a map and the prototype of its class, mean over positions and images",
  source: "Wang et al. 2004",
  note: "It is 1 if map and prototype are identical. Means μ, variances σ² and the covariance are taken under a Gaussian window of 11 pixels (σ = 1.5) inside the image; c₁ = 0.01², c₂ = 0.03².",
});

/** Properties of the maps of the true class, over a whole split. */
const MAPS = {
  mapSsim: MAP_SSIM,
  mapL1: MAP_L1,
  mapL2: MAP_L2,
  coherence: number({
    name: "coherence of the maps of a class",
    short: "coherence",
    better: "higher",
    definition: "mean cosine of all pairs of maps of one class, then the mean over classes",
    note: "A dead map is similar to nothing. A high value alone says little, because maps that are all the same reach 1.",
    missing: "no class has two images",
  }),
  energyInForeground: share({
    name: "energy in the foreground",
    short: "energy on foreground",
    column: "on foreground",
    better: "higher",
    definition:
      "share of a map's sum that is on the foreground of its image, the pixels brighter than 0.1; mean over the maps that are not dead",
    source: "relevance mass accuracy of Quantus",
    note: "Images whose foreground covers more than 80 % are left out.",
    missing: NO_FOREGROUND,
  }),
  deadMaps: share({
    name: "share of dead maps",
    short: "dead maps",
    better: "lower",
    definition: "share of the maps that are zero everywhere, because no channel supports the class",
    note: "Dead maps count in every other mean except that of the energy in the foreground.",
  }),
};

/** Metrics of explanations, which are measured on some images of a split. */
const EXPLANATIONS = {
  averageDrop: share({
    name: "average drop",
    column: "avg. drop",
    better: "lower",
    definition:
      "mean of max(0, Y − O) / Y, where Y and O are the probabilities of the class (softmax, or sigmoid for a single logit) for x and for x·M",
    source: "Grad-CAM++, torch-cam",
  }),
  absoluteDrop: share({
    name: "absolute drop",
    better: "lower",
    definition: "mean of max(0, Y − O)",
    source: "pytorch-grad-cam's DropInConfidence",
  }),
  increaseInConfidence: share({
    name: "increase in confidence",
    column: "increase",
    better: "higher",
    definition: "share of images with O > Y",
    source: "Grad-CAM++",
  }),
  averageGain: share({
    name: "average gain",
    column: "avg. gain",
    better: "higher",
    definition: "mean of max(0, O − Y) / (1 − Y)",
    source: "Opti-CAM",
  }),
  deletionAuc: number({
    name: "deletion AUC",
    column: "deletion",
    better: "lower",
    definition:
      "area under the probability of the class while pixels are set to 0, beginning with the most salient; equal ones are taken from the upper left on",
    source: "RISE",
  }),
  insertionAuc: number({
    name: "insertion AUC",
    column: "insertion",
    better: "higher",
    definition: "the same area while pixels of the image replace zeros",
    source: "RISE",
  }),
  roadMorf: number({
    ...{ name: "ROAD, most relevant first", short: "ROAD MoRF", better: "lower", counts: "change of the logit" },
    range: [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
    definition:
      "mean change of the logit when the most relevant 90 to 10 % of the pixels are imputed; equal ones are ordered at random",
    source: "ROAD",
  }),
  roadLerf: number({
    ...{ name: "ROAD, least relevant first", short: "ROAD LeRF", better: "higher", counts: "change of the logit" },
    range: [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
    definition: "mean change of the logit when the least relevant 90 to 10 % of the pixels are imputed",
    source: "ROAD",
  }),
  roadCombined: number({
    ...{ name: "ROAD combined", column: "ROAD", better: "higher", counts: "change of the logit" },
    range: [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
    definition: "(roadLerf − roadMorf) / 2",
    source: "pytorch-grad-cam's ROADCombined",
  }),
  pointingGame: share({
    name: "pointing game",
    column: "pointing",
    better: "higher",
    definition: "share of maps whose maximum is on the foreground, the pixels above 0.1",
    source: "Zhang et al. 2016",
    note: "Images whose foreground covers more than 80 % are left out.",
    missing: NO_FOREGROUND,
  }),
  energyInMask: share({
    name: "energy in what should not matter",
    short: "energy in mask",
    column: "in mask",
    better: "lower",
    definition:
      "share of the map's sum on what should not matter, if the data set marks it (such as the patch of a decoy)",
  }),
  relevanceRankAccuracy: share({
    name: "relevance rank accuracy",
    column: "rank acc.",
    better: "higher",
    definition: "share of the foreground among as many of the highest pixels",
    source: "Quantus",
    missing: NO_FOREGROUND,
  }),
  sparseness: number({
    name: "sparseness",
    better: null,
    definition: "Gini index of the map: 0 if it is even, 1 if it is a single pixel",
    source: "Quantus",
  }),
  prototypeL1: MAP_L1,
  prototypeL2: MAP_L2,
  prototypeSsim: MAP_SSIM,
  maxSensitivity: positive({
    ...{ name: "max sensitivity", column: "sensitivity", better: "lower", counts: "relative change" },
    definition: "largest ‖E(x + δ) − E(x)‖ / ‖E(x)‖ over 10 draws of δ, uniform in ±0.02",
    source: "Yeh et al. 2019, captum",
  }),
};

/** Measures of how much a model relies on a cue that its training images have and that is not informative in the test. */
const CUE = {
  alignedAccuracy: share({
    name: "accuracy, aligned cues",
    short: "aligned",
    better: "higher",
    definition: "accuracy on test images with the cue of their own class, as in training",
  }),
  randomAccuracy: share({
    name: "accuracy, random cues",
    short: "random",
    better: "higher",
    definition: "accuracy on the same images with the cue of a class that is drawn evenly from all ten",
  }),
  cleanAccuracy: share({
    name: "accuracy, no cue",
    short: "clean",
    better: "higher",
    definition: "accuracy on the same images without the cue; of coloured images, grey in all three channels",
  }),
  adversarialAccuracy: share({
    name: "accuracy, cues of a wrong class",
    short: "adversarial",
    better: "higher",
    definition: "accuracy on the same images with the cue of class 9 − y, which is never right",
  }),
  worstClass: share({
    name: "accuracy of the worst class, random cues",
    short: "worst class",
    better: "higher",
    definition: "accuracy of the class that has the lowest, on the images with random cues",
  }),
  energyInPatch: share({
    name: "energy of the maps in the cue’s patch",
    short: "map in patch",
    better: "lower",
    definition:
      "share of the sum of the Grad-CAM map of the true class that is on the patch, on the images with random cues; dead maps are left out",
    note: "Chance level is the share of the image that the patch covers.",
  }),
  wrongReason: share({
    name: "wrong-reason score",
    short: "wrong reason",
    better: "lower",
    definition:
      "share of the patch's pixels whose map value exceeds the mean of all maps, on the images with random cues; dead maps are left out (dropped)",
    source: "XIL",
  }),
};

const TIME = {
  secondsPerStep: time({
    name: "time of a step",
    short: "step",
    unit: "ms",
    better: "lower",
    definition:
      "median over a run's steps after the first five (over all steps if there are no more), from reading the data to the optimizer",
  }),
  secondsPerEpoch: positive({
    ...{ name: "seconds per epoch", short: "s/epoch", better: "lower", counts: "seconds", digits: 1 },
    definition: "mean wall time of an epoch's training steps on this machine, without validation",
    note: "Whatever else ran on the machine changes it. The project's benchmark measures the cost of guidance on single steps, plain and guided in turn.",
  }),
  seconds: time({
    name: "time of all steps",
    short: "training",
    better: "lower",
    definition: "wall time of all training steps of a run",
  }),
};

/** The measures by what they are about, in the order in which they are shown. */
export const MEASURE_GROUPS = {
  classification: { title: "Classification", measures: CLASSIFICATION },
  maps: { title: "Maps", measures: MAPS },
  explanations: { title: "Explanations", measures: EXPLANATIONS },
  cue: { title: "Reliance on a cue", measures: CUE },
  training: { title: "Training", measures: TRAINING },
  time: { title: "Time", measures: TIME },
} as const;

const TABLE = { ...TRAINING, ...CLASSIFICATION, ...MAPS, ...EXPLANATIONS, ...CUE, ...TIME };

/** Name of a measure: the key of its number in records, CSV files and JSON. */
export type MeasureName = keyof typeof TABLE;

export const MEASURES: Readonly<Record<MeasureName, Measure>> = TABLE;

/** Names of the metrics of explanations, in the order in which they are shown. */
export const EXPLANATION_MEASURES = [
  ...(["averageDrop", "absoluteDrop", "increaseInConfidence", "averageGain", "deletionAuc", "insertionAuc"] as const),
  ...(["roadMorf", "roadLerf", "roadCombined", "pointingGame", "energyInForeground", "energyInMask"] as const),
  ...([
    "relevanceRankAccuracy",
    "sparseness",
    "prototypeL1",
    "prototypeL2",
    "prototypeSsim",
    "maxSensitivity",
  ] as const),
  ...(["coherence", "deadMaps"] as const),
] as const satisfies readonly MeasureName[];

/** "↑" if higher is better, "↓" if lower is, and "" if neither. */
export const arrowOf = ({ better }: Pick<Measure, "better">): "↑" | "↓" | "" =>
  better === null ? "" : better === "higher" ? "↑" : "↓";

/** The definition with its source, direction and note, for a reader without the table. */
export function fullDefinition({ definition, source, better, note }: Measure): string {
  const from = source === undefined ? "" : ` (${source})`;
  const direction = better === null ? "" : `; ${better} is better`;
  return `${definition}${from}${direction}${note === undefined ? "" : `. ${note}`}`;
}

/**
 * Why a measure has no value, as a clause that can follow "because".
 *
 * @param deadMaps the share of the maps that are dead
 */
export function whyMissing(name: MeasureName, deadMaps: number | null | undefined): string {
  const isAboutMaps = !Object.hasOwn(CLASSIFICATION, name) && !Object.hasOwn(TRAINING, name);
  if (deadMaps === 1 && isAboutMaps) return "every map is dead (zero everywhere)";
  return MEASURES[name].missing ?? "it is not defined for any of the images";
}
