import { counted } from "../../counted.ts";
import { MEASURES } from "../../measures.ts";
import type { AnalysedMethod, Effect, MeasureId } from "../../workflows/internal.ts";
import { type Markup, markup } from "../page/markup.ts";
import { capital, columnName, differenceText, signedText, spreadText, testName } from "../text/measure-text.ts";
import { formatCount, formatNumber, LEVEL, pText } from "../text/numbers.ts";
import { kindMark } from "./table-markup.ts";

/**
 * The largest number of methods that each have an item of their own. With more methods, those with the same verdict
 * share an item, and only the tables have their numbers.
 */
const MOST_ITEMS = 4;

/** A list that compares each method of a group with plain training. */
export function findings(methods: readonly AnalysedMethod[]): Markup | null {
  if (methods.length === 0) return null;
  const alike = new Map<string, AnalysedMethod[]>();
  for (const method of methods) {
    const alone = methods.length <= MOST_ITEMS || method.effects === null;
    const key = alone ? `of ${method.method}` : `${method.kind}, ${verdictInWords(method.effects)}`;
    alike.set(key, [...(alike.get(key) ?? []), method]);
  }
  const items = [...alike.values()].map((list) => (list.length === 1 ? list.map(methodItem) : sharedItem(list)));
  return markup`<ul class="findings">${items}</ul>`;
}

/** An item for methods of one kind and verdict: the range of their mean differences, and all numbers of the method whose maps are nearest to the prototypes. */
function sharedItem(methods: readonly AnalysedMethod[]): Markup {
  const nearest = methods.reduce((best, one) => (one.values.mapSsim.mean > best.values.mapSsim.mean ? one : best));
  const names = methods.map(({ method }, index) => {
    const before = index === 0 ? "" : index < methods.length - 1 ? ", " : " and ";
    return markup`${before}<b>${method}</b>`;
  });
  const ranges = SPOKEN.flatMap((id) => {
    const means = methods.flatMap(({ effects }) => effects?.[id].mean ?? []);
    if (means.length === 0) return [];
    const [least, most] = [Math.min(...means), Math.max(...means)];
    return [`${testName(id)} ${signedText(MEASURES[id], least)} to ${differenceText(MEASURES[id], most)}`];
  });
  const steps = methods.map(({ overhead }) => overhead.mean).filter(Number.isFinite);
  const [fastest, slowest] = [Math.min(...steps), Math.max(...steps)];
  const time =
    steps.length === 0 ? [] : [`a step takes ${formatNumber(fastest, 2)} to ${formatNumber(slowest, 2)} times plain’s`];
  return markup`<li>${kindMark(nearest.kind)} ${names} (${nearest.kind}): ${verdictInWords(nearest.effects)}. <span class="numbers">Differences from plain: ${[...ranges, ...time].join("; ")}. Of these, ${nearest.method} is nearest to the prototypes: ${numbersInWords(nearest)}.</span></li>\n`;
}

function methodItem(method: AnalysedMethod): Markup {
  const { kind, done, effects } = method;
  const verdict = effects === null ? "" : `${verdictInWords(effects)}. `;
  return markup`<li>${kindMark(kind)} <b>${method.method}</b> (${kind}, ${counted(done.length, "seed", formatCount)}): ${verdict}<span class="numbers">${capital(numbersInWords(method))}.</span></li>\n`;
}

function numbersInWords({ done, values, effects, overhead }: AnalysedMethod): string {
  const numbers = SPOKEN.filter((id) => Number.isFinite(values[id].mean)).map((id) => {
    return `${testName(id)} ${spreadText(MEASURES[id], values[id])}${effects === null ? "" : effectInWords(effects[id], { id, seeds: done.length })}`;
  });
  const deviation = Number.isFinite(overhead.deviation) ? ` ± ${formatNumber(overhead.deviation, 2)}` : "";
  const time = Number.isFinite(overhead.mean)
    ? [`a step takes ${formatNumber(overhead.mean, 2)}${deviation} times plain’s`]
    : [];
  return [...numbers, ...time].join("; ");
}

export const SPOKEN = ["accuracy", "mapSsim", "coherence"] as const satisfies MeasureId[];

/** The measures that differ significantly from plain training, before the numbers. */
function verdictInWords(effects: AnalysedMethod["effects"]): string {
  if (effects === null) return "no plain training to compare with";
  const tested = SPOKEN.filter((id) => effects[id].adjusted !== null);
  const told = tested.filter((id) => (effects[id].adjusted ?? 1) < LEVEL);
  const named = (ids: readonly MeasureId[], sign: 1 | -1) =>
    ids.filter((id) => sign * (effects[id].mean ?? 0) > 0).map((id) => columnName(MEASURES[id]));
  const compared = (ids: readonly MeasureId[], rest: string) =>
    ([1, -1] as const).flatMap((sign) => {
      const names = named(ids, sign)
        .join(", ")
        .replace(/, ([^,]*)$/, " and $1");
      return names === "" ? [] : [`${names} ${sign > 0 ? "higher" : "lower"} ${rest}`];
    });
  const alike = compared(
    SPOKEN.filter((id) => isAlike(effects[id])),
    "by the same amount for every seed, so that no test is made",
  );
  if (tested.length === 0) return alike.length > 0 ? alike.join(", ") : "no test";
  const none = alike.length > 0 ? "no other significant difference from plain" : "no significant difference from plain";
  const rest = told.length === tested.length ? [] : [told.length === 0 ? none : "the rest not significant"];
  return [...compared(told, "than plain’s"), ...alike, ...rest].join(", ");
}

/** Whether the difference from plain training is the same for all seeds, so that no test is possible. */
const isAlike = ({ pairs, mean, adjusted }: Effect): boolean => pairs >= 3 && adjusted === null && (mean ?? 0) !== 0;

/** " (+1.2 points, 95 % 0.3 to 2.1, p = 0.02)", or why a test is missing. */
function effectInWords({ pairs, mean, low, high, adjusted }: Effect, { id, seeds }: { id: MeasureId; seeds: number }) {
  const label = MEASURES[id];
  if (mean === null) return " (no seed in common with plain training)";
  const difference = differenceText(label, mean);
  if (pairs < 3) return ` (${difference} on ${counted(pairs, "seed", formatCount)})`;
  const shared = pairs < seeds ? ` on the ${counted(pairs, "seed", formatCount)} that plain training has too` : "";
  if (low === null || high === null || adjusted === null) return ` (${difference}, the same for every seed${shared})`;
  return ` (${difference}${shared}, 95 % ${signedText(label, low)} to ${signedText(label, high)}, ${pText(adjusted)})`;
}
