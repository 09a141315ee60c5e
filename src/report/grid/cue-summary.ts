import { counted } from "../../counted.ts";
import { MEASURES } from "../../measures.ts";
import type { AnalysedMethod, AnalysisGroup, Duel } from "../../workflows/internal.ts";
import { differenceText, spreadText } from "../text/measure-text.ts";
import { formatNumber, isNumber, LEVEL, pText } from "../text/numbers.ts";

/**
 * Sentences about how much the methods of a group rely on the cue of its data set. The best control always follows the best method. Empty
 * without a cue.
 */
export function cueInWords(group: AnalysisGroup): string[] {
  const judged = group.methods.filter(({ values }) => Number.isFinite(values.randomAccuracy.mean));
  if (judged.length === 0) return [];
  const [plain] = judged.filter(({ method }) => method === group.plain);
  const { method, control, reference } = group.best;
  const gains = !plain || !method || method.values.randomAccuracy.mean > plain.values.randomAccuracy.mean;
  return [
    "The training images carry a cue of their class. In the numbers below, the test images carry the cue of a class drawn evenly from all, so a model that reads only the cue is right by chance.",
    ...(plain ? [`Plain training: ${randomWords(plain)}.`] : []),
    ...(method
      ? [
          `${gains ? "Best method without annotations" : "No method without annotations is above plain training. The best of them"}: ${method.method}, ${randomWords(method)}${gapWords(method)}.`,
        ]
      : []),
    ...(control
      ? [`Best control: ${control.method}, ${randomWords(control)}${gapWords(control)}.`]
      : method && gains
        ? [
            "No control was trained, so the cause of a gain is not known: it cannot be attributed to where the maps point.",
          ]
        : []),
    ...(group.duel === null || !gains ? [] : [duelInWords(group.duel)]),
    ...(reference
      ? [`Upper bound, which uses masks or clean images: ${reference.method}, ${randomWords(reference)}.`]
      : []),
    ...(judged.length > 1
      ? ["The best methods were chosen on these same test images, so their numbers are optimistic."]
      : []),
  ];
}

function randomWords({ values, done }: AnalysedMethod): string {
  const accuracy = spreadText(MEASURES.randomAccuracy, values.randomAccuracy);
  const reason = values.wrongReason;
  const score = Number.isFinite(reason.mean) ? `, wrong-reason score ${spreadText(MEASURES.wrongReason, reason)}` : "";
  return `accuracy ${accuracy}${score} (${counted(done.length, "seed")}${done.length === 1 ? ", no spread" : ""})`;
}

function gapWords({ gapClosed }: AnalysedMethod): string {
  return isNumber(gapClosed) ? `, ${formatNumber(100 * gapClosed, 0)} % of the gap to the best reference closed` : "";
}

function duelInWords({ method, control, test }: Duel): string {
  const { mean, pairs, p, low, high } = test;
  if (mean === null)
    return `${method} and ${control} have no seed in common, so they cannot be compared: a gain cannot be attributed to where the maps point.`;
  if (mean <= 0)
    return `The control does as well or better on the same seeds: the gain of ${method} is not due to where its maps point.`;
  const difference = differenceText(MEASURES.randomAccuracy, mean);
  if (p === null || low === null || high === null)
    return `${method} is ${difference} beyond that control on ${counted(pairs, "seed")}, but no test is possible: the gain cannot be attributed to where the maps point.`;
  const ends = `95 % from ${differenceText(MEASURES.randomAccuracy, low)} to ${differenceText(MEASURES.randomAccuracy, high)}, ${pText(p)}`;
  return p < LEVEL
    ? `${method} is ${difference} beyond that control on ${counted(pairs, "seed")} (${ends}): this part of its gain is not due to what the control has too.`
    : `${method} is ${difference} beyond that control on ${counted(pairs, "seed")} (${ends}), which is not significant: the gain cannot be attributed to where the maps point.`;
}
