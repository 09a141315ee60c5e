import type { AnalysedMethod, AnalysisGroup, Effect } from "../../experiments/analysis.ts";
import type { MeasureId } from "../../experiments/measures.ts";
import { type Markup, markup } from "../markup.ts";
import { formatCount, formatNumber } from "../numbers.ts";
import { cueInWords } from "./cue-summary.ts";
import { type GridReportInput, groupName } from "./input.ts";
import { differenceText, LABELS, pText, spreadText } from "./labels.ts";
import { kindMark } from "./table-markup.ts";

/** Below this, a difference is told from chance. */
const LEVEL = 0.05;

/** A few sentences about the whole grid. */
export function leadSentences(input: GridReportInput): string[] {
  const { groups, seeds, failed, missing } = input;
  const runs = groups.flatMap(({ methods }) => methods.flatMap(({ done }) => done)).length;
  const sentences = [
    `${plural(runs, "finished run")} of ${plural(groups.length, "combination")} of model and data set, with ${seedsInWords(seeds)}.`,
    ...(failed.length > 0
      ? [`${plural(failed.length, "run")} failed and ${failed.length === 1 ? "counts" : "count"} for nothing.`]
      : []),
    ...(missing.length > 0
      ? [
          `${plural(missing.length, "run")} of the grid ${missing.length === 1 ? "is" : "are"} missing: what follows is of the others.`,
        ]
      : []),
  ];
  const counted = (["guided", "control"] as const).flatMap((kind) => kindInWords(groups, kind));
  if (counted.length === 0) return sentences;
  return [
    ...sentences,
    ...counted,
    "Closeness to the prototype is what guided training asks for: it shows that training did what it was told.",
  ];
}

/** How often the methods of a kind do better than plain training. */
function kindInWords(groups: readonly AnalysisGroup[], kind: "guided" | "control"): string[] {
  const held = groups.flatMap(({ methods }) => methods.filter((one) => one.kind === kind && one.effects !== null));
  const counted = (["accuracy", "mapSsim", "coherence"] as const).flatMap((id) => countInWords(held, id));
  if (counted.length === 0) return [];
  const who = kind === "guided" ? "Guided methods" : "Controls";
  return [
    `${who} against plain training of the same seeds, ${plural(held.length, "comparison")}: ${counted.join("; ")}.`,
  ];
}

function seedsInWords(seeds: readonly number[]): string {
  if (seeds.length === 1)
    return `one seed (${seeds[0]}): there is no spread, and nothing can be told from the luck of the seed`;
  const list = seeds.length <= 10 ? ` (${seeds.join(", ")})` : "";
  const few = seeds.length === 2 ? ", too few for a test" : "";
  return `${seeds.length} seeds${list}${few}`;
}

function countInWords(methods: readonly AnalysedMethod[], id: MeasureId): string[] {
  const effects = methods.flatMap(({ effects: found }) => found?.[id] ?? []);
  const tested = effects.filter(({ adjusted }) => adjusted !== null);
  const { name } = LABELS[id];
  const known = effects.flatMap(({ mean }) => mean ?? []);
  if (known.length === 0) return [];
  if (tested.length === 0) {
    const above = known.filter((value) => value > 0).length;
    return [`${name} is higher in ${above} of ${known.length} (no test is made)`];
  }
  const sure = tested.filter(({ adjusted }) => (adjusted ?? 1) < LEVEL);
  const above = sure.filter(({ mean }) => (mean ?? 0) > 0).length;
  return [
    `${name} is higher in ${above}, lower in ${sure.length - above}, and not told apart in ${tested.length - sure.length} (paired t, p < ${LEVEL} after Holm’s correction within each group)`,
  ];
}

/** What each method does, group by group. */
export function groupSummaries(groups: readonly AnalysisGroup[]): Markup[] {
  return groups.map((group) => {
    const plain = group.methods.find(({ method }) => method === group.plain);
    const others = group.methods.filter((method) => method !== plain && method.done.length > 0);
    const items = others.map((method) => methodItem(method));
    const cue = cueInWords(group);
    const cueText = cue.length === 0 ? null : markup`<p class="cue">${cue.join(" ")}</p>`;
    return markup`<h3>${groupName(group)}</h3>
<p>${plainInWords(group, plain)}</p>
${cueText}${items.length === 0 ? null : markup`<ul class="findings">${items}</ul>`}
`;
  });
}

function plainInWords({ methods }: AnalysisGroup, plain: AnalysedMethod | undefined): string {
  if (plain === undefined)
    return "The grid has no plain training of this model and data set: the methods stand without what they would be held against.";
  if (plain.done.length === 0)
    return "No run of plain training has finished: the methods stand without what they would be held against.";
  const images = [...new Set(methods.flatMap(({ done }) => done.map(({ test }) => formatCount(test.images))))].join(
    " or ",
  );
  const { values } = plain;
  const numbers = [
    `is right for ${spreadText(LABELS.accuracy, values.accuracy)} of ${images} test images`,
    `its maps reach an SSIM with the prototypes of ${spreadText(LABELS.mapSsim, values.mapSsim)} and a coherence of ${spreadText(LABELS.coherence, values.coherence)}`,
    `${spreadText(LABELS.deadMaps, values.deadMaps)} of them are dead`,
    `a step takes ${spreadText(LABELS.secondsPerStep, values.secondsPerStep)}`,
  ];
  return `Plain training (${plain.method}, ${plural(plain.done.length, "seed")}${spreadWords(plain)}) ${numbers.join("; ")}.`;
}

const spreadWords = ({ done }: AnalysedMethod): string =>
  done.length > 1 ? ", mean ± standard deviation" : ", so there is no spread";

function methodItem(method: AnalysedMethod): Markup {
  const { kind, done, values, effects } = method;
  const name = markup`<b>${method.method}</b>`;
  const head = markup`${kindMark(kind)} ${name} (${kind}, ${plural(done.length, "seed")}): `;
  if (effects === null) {
    const numbers = (["accuracy", "mapSsim", "coherence"] as const).map(
      (id) => `${LABELS[id].name} ${spreadText(LABELS[id], values[id])}`,
    );
    return markup`<li>${head}${numbers.join("; ")}.</li>\n`;
  }
  const changes = (["accuracy", "mapSsim", "coherence"] as const).map((id) => changeInWords(method, effects[id], id));
  const { mean, deviation } = method.overhead;
  const spread = Number.isFinite(deviation) ? ` ± ${formatNumber(deviation, 2)}` : "";
  const time = Number.isFinite(mean) ? [`a step takes ${formatNumber(mean, 2)}${spread} times plain’s`] : [];
  return markup`<li>${head}${[...changes, ...time].join("; ")}.</li>\n`;
}

function changeInWords({ values }: AnalysedMethod, effect: Effect, id: MeasureId): string {
  const label = LABELS[id];
  if (!Number.isFinite(values[id].mean)) return `${label.name} has no value`;
  return `${label.name} ${spreadText(label, values[id])}${effectInWords(effect, id)}`;
}

/** ", +1.2 points (…): higher", or why that cannot be said. */
export function effectInWords(effect: Effect, id: MeasureId): string {
  const { pairs, mean, low, high, p, adjusted } = effect;
  const label = LABELS[id];
  if (mean === null) return " (no seed in common with plain training)";
  const difference = differenceText(label, mean);
  if (pairs < 3) return `, ${difference} (${plural(pairs, "seed")}: no test)`;
  if (low === null || high === null || p === null) return `, ${difference} for every seed alike (no test)`;
  const ends = `95 % from ${differenceText(label, low)} to ${differenceText(label, high)}`;
  const told = adjusted === null || adjusted >= LEVEL ? "not told apart from plain" : mean > 0 ? "higher" : "lower";
  return `, ${difference} (${ends}; ${pText(p)}, ${pText(adjusted ?? p, "Holm’s p")}): ${told}`;
}

export const plural = (count: number, noun: string): string => `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
