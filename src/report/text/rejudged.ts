import type { JudgedRun } from "../../train/index.ts";
import { formatPercent } from "./numbers.ts";

/** A sentence for runs whose epochs were not all validated on the same images; null for other runs. */
export function rejudgedInWords({ rejudged }: Pick<JudgedRun, "rejudged">): string | null {
  if (rejudged === undefined) return null;
  const { epoch, after, otherImages, val } = rejudged;
  const since = `After epoch ${after} the validation images changed`;
  if (val !== null)
    return `${since}: on the new ones the accuracy of epoch ${epoch}, the best until then, is ${formatPercent(val.accuracy)}, and later epochs are compared with that.`;
  const chosen = `the best epoch is chosen among those after epoch ${after}`;
  if (epoch === 0) return `${since}, and ${chosen}.`;
  const lost = `the weights of epoch ${epoch}, the best until then, could not be validated again, so that ${chosen}.`;
  return otherImages ? `${since}; ${lost}` : `When the run was resumed, ${lost}`;
}
