import { counted } from "../../counted.ts";
import type { JudgedRun } from "../../train/index.ts";
import { formatCount, formatNumber, formatPercent, isNumber } from "../text/numbers.ts";

/** The runs on a decoy set, by their guidance. The maps of the control are guided to an image that does not depend on the class. */
export const DECOY_RUNS = ["plain", "guided", "control"] as const;

export type DecoyRunName = (typeof DECOY_RUNS)[number];

export type DecoyResults = Record<DecoyRunName, JudgedRun>;

/** Accuracies of a run on a decoy set, 0 to 1; null if a number is missing. */
export interface DecoyAccuracy {
  /** On validation images, whose patch shows the class as in training. */
  told: number | null;
  /** On test images, whose patch is that of a class drawn at random. */
  random: number | null;
}

export function decoyAccuracy({ history, bestEpoch, test }: JudgedRun): DecoyAccuracy {
  const told = history.find(({ epoch }) => epoch === bestEpoch)?.val.accuracy;
  const random = test?.accuracy;
  return { told: isNumber(told) ? told : null, random: isNumber(random) ? random : null };
}

/** Accuracies with a random patch over five seeds: "both ssim 5" and "global prototype 5" of docs/reproduction.md. */
export const STUDY = { guided: { mean: 0.936, deviation: 0.02 }, control: { mean: 0.94, deviation: 0.009 } } as const;

/**
 * The difference between two runs of this size that may be due to their seeds alone: twice the standard deviation of the difference of
 * accuracies.
 */
const SEED_SPREAD = 2 * Math.hypot(STUDY.guided.deviation, STUDY.control.deviation);

/** Sentences about what the runs on the decoy set show, and what they do not, made from the numbers. */
export interface DecoyWords {
  shows: string;
  doesNotShow: string;
}

export function decoyInWords(results: DecoyResults): DecoyWords {
  const [plain, guided, control] = DECOY_RUNS.map((name) => decoyAccuracy(results[name]).random);
  if (!isNumber(plain) || !isNumber(guided) || !isNumber(control)) {
    return {
      shows: "There are no test results to compare, because a run has not finished.",
      doesNotShow: "So the cause of the gain is not known.",
    };
  }
  return {
    shows: showsInWords({ plain, guided, images: results.guided.test?.images }),
    doesNotShow: limitsInWords({ plain, guided, control }),
  };
}

function ofStudy(name: keyof typeof STUDY): string {
  const { mean, deviation } = STUDY[name];
  return `${formatNumber(100 * mean, 1)}\u00a0±\u00a0${formatPercent(deviation, 1)}`;
}

const one = (share: number): string => formatPercent(share, 1);

function showsInWords({
  plain,
  guided,
  images,
}: {
  plain: number;
  guided: number;
  images: number | undefined;
}): string {
  const start = `In training a grey patch reveals the class, and on ${counted(images, "test image", formatCount)}, where it is drawn at random, the plain network is right for ${one(plain)} and the guided one for ${one(guided)}`;
  return guided - plain > SEED_SPREAD
    ? `${start}: guidance makes the network rely less on the patch, although nobody marked where the patch is.`
    : `${start}: here guidance does not make the network rely less on the patch by more than runs with different seeds differ.`;
}

function limitsInWords({ plain, guided, control }: Record<DecoyRunName, number>): string {
  const start = `It does not show that the network is right for the right reasons: the control, which is guided to one mean image for all classes, reaches ${one(control)}`;
  const seeds = `Each was trained once here; over five seeds the guided network reached ${ofStudy("guided")} and the control ${ofStudy("control")} (docs/reproduction.md)`;
  const lesson = "so the gain comes from guiding the maps to any image, and not from where the prototypes point";
  const [gain, without] = [guided - plain, control - plain];
  if (gain <= SEED_SPREAD) return `${start}. ${seeds}.`;
  if (control >= guided - SEED_SPREAD)
    return `${start}, as much as the guided one, within the difference between seeds, ${lesson}. ${seeds}.`;
  const part = without > gain / 2 ? "more" : "less";
  return `${start}, which is ${part} than half of the gain. ${seeds}, ${lesson}.`;
}
