import type { AnalysedMethod, AnalysisGroup, Effect } from "../../experiments/analysis.ts";
import type { MeasureId } from "../../experiments/measures.ts";
import { type Markup, markup } from "../markup.ts";
import { formatCount, formatNumber, isNumber } from "../numbers.ts";
import { cueInWords } from "./cue-summary.ts";
import { type GridReportInput, groupName } from "./input.ts";
import { capital, differenceText, LABELS, LEVEL, pText, signedText, spreadText } from "./labels.ts";
import { kindMark } from "./table-markup.ts";

/** What was run, on what. */
export function ranInWords({ groups }: GridReportInput): string {
  const runs = groups.flatMap(({ methods }) => methods.flatMap(({ done }) => done));
  const distinct = (of: (environment: Record<string, unknown>) => unknown) =>
    [...new Set(runs.flatMap(({ environment }) => of(environment) ?? []))].map(String).join(" and ");
  const names = (list: readonly string[]) => [...new Set(list)].join(", ");
  const methods = new Set(groups.flatMap((group) => group.methods.map(({ method }) => method))).size;
  const machine = [distinct(({ cpu }) => cpu), distinct(({ precision }) => precision)].filter(Boolean);
  const threads = distinct((environment) => environment.threads);
  const versions = [
    ["batch-cam", distinct(({ batchCam }) => batchCam)],
    ["libtorch", distinct(({ libtorch }) => libtorch)],
  ];
  return [
    `Models: ${names(groups.map(({ model }) => model))}.`,
    `Data sets: ${names(groups.map(({ dataset }) => dataset))}.`,
    `${plural(methods, "method")}.`,
    ...(machine.length > 0 ? [`On ${machine.join(", ")}${threads && `, threads of a run: ${threads}`}.`] : []),
    ...versions.flatMap(([name, version]) => (version ? [`${name} ${version}.`] : [])),
  ].join(" ");
}

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
  const tests = groups.some(({ methods }) => methods.some(wasTested));
  return [
    ...sentences,
    ...counted,
    ...(tests
      ? [`Told apart means p < ${LEVEL} in a paired t-test, after Holm’s correction within each group.`]
      : ["No test is made of fewer than three seeds, nor of differences that are all the same."]),
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
    return [`${name} is higher in ${above} of ${known.length}`];
  }
  const sure = tested.filter(({ adjusted }) => (adjusted ?? 1) < LEVEL);
  const above = sure.filter(({ mean }) => (mean ?? 0) > 0).length;
  return [
    `${name} is higher in ${above}, lower in ${sure.length - above}, not told apart in ${tested.length - sure.length}`,
  ];
}

/** How the numbers in brackets are to be read; nothing where no test was made. */
export function testNote({ groups }: GridReportInput): Markup | null {
  if (!groups.some(({ methods }) => methods.some(wasTested))) return null;
  return markup`<p class="note">In brackets: the mean difference from plain training of the same seeds, its 95 % interval, which is of that comparison alone, and p after Holm’s correction for all methods of the group.</p>`;
}

/** Whether any of a method's spoken numbers was tested. */
const wasTested = ({ effects }: AnalysedMethod): boolean => SPOKEN.some((id) => isNumber(effects?.[id].adjusted));

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

function methodItem({ method, kind, done, values, effects, overhead }: AnalysedMethod): Markup {
  const ids = SPOKEN.filter((id) => Number.isFinite(values[id].mean));
  const numbers = ids.map((id) => {
    const { name } = LABELS[id];
    return `${name} ${spreadText(LABELS[id], values[id])}${effects === null ? "" : effectInWords(effects[id], id)}`;
  });
  const deviation = Number.isFinite(overhead.deviation) ? ` ± ${formatNumber(overhead.deviation, 2)}` : "";
  const time = Number.isFinite(overhead.mean)
    ? [`a step takes ${formatNumber(overhead.mean, 2)}${deviation} times plain’s`]
    : [];
  const verdict = effects === null ? "" : `${verdictInWords(ids, effects)}. `;
  return markup`<li>${kindMark(kind)} <b>${method}</b> (${kind}, ${plural(done.length, "seed")}): ${verdict}<span class="numbers">${capital([...numbers, ...time].join("; "))}.</span></li>\n`;
}

const SPOKEN = ["accuracy", "mapSsim", "coherence"] as const satisfies MeasureId[];

/** What is told apart from plain training, before the numbers. */
function verdictInWords(ids: readonly MeasureId[], effects: NonNullable<AnalysedMethod["effects"]>): string {
  const tested = ids.filter((id) => effects[id].adjusted !== null);
  if (tested.length === 0) return "no test";
  const told = tested.filter((id) => (effects[id].adjusted ?? 1) < LEVEL);
  const names = (found: readonly MeasureId[]) => found.map((id) => LABELS[id].short).join(" and ");
  const [higher, lower] = [1, -1].map((sign) => told.filter((id) => sign * (effects[id].mean ?? 0) > 0)) as [
    MeasureId[],
    MeasureId[],
  ];
  const parts = [
    ...(higher.length > 0 ? [`${names(higher)} higher than plain’s`] : []),
    ...(lower.length > 0 ? [`${names(lower)} lower than plain’s`] : []),
    ...(told.length === tested.length
      ? []
      : [told.length === 0 ? "nothing told apart from plain" : "the rest not told apart"]),
  ];
  return parts.join(", ");
}

/** " (+1.2 points, 95 % 0.3 to 2.1, p = 0.02)", or why there is no test. */
function effectInWords({ pairs, mean, low, high, adjusted }: Effect, id: MeasureId): string {
  const label = LABELS[id];
  if (mean === null) return " (no seed in common with plain training)";
  const difference = differenceText(label, mean);
  if (pairs < 3) return ` (${difference} on ${plural(pairs, "seed")})`;
  if (low === null || high === null || adjusted === null) return ` (${difference} for every seed alike)`;
  return ` (${difference}, 95 % ${signedText(label, low)} to ${signedText(label, high)}, ${pText(adjusted)})`;
}

export const plural = (count: number, noun: string): string => `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
