import { counted, wordFor } from "../../counted.ts";
import { MEASURES } from "../../measures.ts";
import type { AnalysedMethod, AnalysisGroup, MeasureId } from "../../workflows/internal.ts";
import { type Markup, markup } from "../page/markup.ts";
import { spreadText, testName } from "../text/measure-text.ts";
import { formatCount, isNumber, LEVEL } from "../text/numbers.ts";
import { unfinishedWarmUp } from "../text/warm-up.ts";
import { dataInWords } from "./conditions.ts";
import { cueInWords } from "./cue-summary.ts";
import { findings, SPOKEN } from "./findings.ts";
import { type GridReportInput, groupName } from "./input.ts";

/** A sentence about the models, data sets, machines and versions. */
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
    `Data sets: ${dataInWords(groups)}.`,
    `${counted(methods, "method", formatCount)}.`,
    ...(machine.length > 0 ? [`On ${machine.join(", ")}${threads && `, threads of a run: ${threads}`}.`] : []),
    ...versions.flatMap(([name, version]) => (version ? [`${name} ${version}.`] : [])),
  ].join(" ");
}

/** Sentences about the whole grid. */
export function leadSentences(input: GridReportInput): string[] {
  const { groups, seeds, failed, missing, mixed } = input;
  const runs = groups.flatMap(({ methods }) => methods.flatMap(({ done }) => done)).length;
  const sentences = [
    `${counted(runs, "finished run", formatCount)} of ${counted(groups.length, "combination", formatCount)} of model and data set, with ${seedsInWords(seeds)}.`,
    ...(failed.length > 0
      ? [`${counted(failed.length, "run", formatCount)} failed and ${wordFor(failed.length, "is", "are")} not counted.`]
      : []),
    ...(missing.length > 0
      ? [
          `${counted(missing.length, "run", formatCount)} of the grid ${wordFor(missing.length, "is", "are")} missing: the following is about the others.`,
        ]
      : []),
  ];
  for (const group of mixed)
    sentences.push(`The runs of ${groupName(group)} were tested on different images: do not compare them.`);
  sentences.push(...unfinishedWarmUps(groups));
  const told = (["guided", "control"] as const).flatMap((kind) => kindInWords(groups, kind));
  if (told.length === 0) return sentences;
  const tests = groups.some(({ methods }) => methods.some(wasTested));
  return [
    ...sentences,
    ...told,
    ...(tests
      ? [
          `Higher and lower mean p < ${LEVEL} in a paired t-test, after Holm’s correction within each group; other differences are not significant.`,
        ]
      : ["No test is made of fewer than three seeds, nor of differences that are all the same."]),
    "Guided training optimises the closeness to the prototype: it shows that the guidance worked.",
  ];
}

/** How often the methods of a kind differ from plain training, and in which direction. */
function kindInWords(groups: readonly AnalysisGroup[], kind: "guided" | "control"): string[] {
  const held = groups.flatMap(({ methods }) => methods.filter((one) => one.kind === kind && one.effects !== null));
  const told = (["accuracy", "mapSsim", "coherence"] as const).flatMap((id) => countInWords(held, id));
  if (told.length === 0) return [];
  const who = kind === "guided" ? "Guided methods" : "Controls";
  return [
    `${who} against plain training of the same seeds, ${counted(held.length, "comparison", formatCount)}: ${told.join("; ")}.`,
  ];
}

function seedsInWords(seeds: readonly number[]): string {
  if (seeds.length === 1)
    return `one seed (${seeds[0]}): there is no spread, so no difference can be distinguished from chance`;
  const list = seeds.length <= 10 ? ` (${seeds.join(", ")})` : "";
  const few = seeds.length === 2 ? ", too few for a test" : "";
  return `${counted(seeds.length, "seed")}${list}${few}`;
}

function countInWords(methods: readonly AnalysedMethod[], id: MeasureId): string[] {
  const effects = methods.flatMap(({ effects: found }) => found?.[id] ?? []);
  const tested = effects.filter(({ adjusted }) => adjusted !== null);
  const name = testName(id);
  const known = effects.flatMap(({ mean }) => mean ?? []);
  if (known.length === 0) return [];
  if (tested.length === 0) {
    const above = known.filter((value) => value > 0).length;
    return [`${name} is higher in ${above} of ${known.length}, none of them tested`];
  }
  const sure = tested.filter(({ adjusted }) => (adjusted ?? 1) < LEVEL);
  const above = sure.filter(({ mean }) => (mean ?? 0) > 0).length;
  const untested = known.length - tested.length;
  return [
    `${name} is higher in ${above}, lower in ${sure.length - above}, not significant in ${tested.length - sure.length}${untested === 0 ? "" : `, not tested in ${untested}`}`,
  ];
}

/** Explains the numbers in brackets; null if no test was made. */
export function testNote({ groups }: GridReportInput): Markup | null {
  if (!groups.some(({ methods }) => methods.some(wasTested))) return null;
  return markup`<p class="note">In brackets: the mean difference from plain training of the same seeds, its 95 % interval, which is of that comparison alone, and p after Holm’s correction for all methods of the group.</p>`;
}

/** Whether any of the numbers that the summary names was tested. */
const wasTested = ({ effects }: AnalysedMethod): boolean => SPOKEN.some((id) => isNumber(effects?.[id].adjusted));

/** The summary of each group: plain training, the cue, and every other method. */
export function groupSummaries(groups: readonly AnalysisGroup[]): Markup[] {
  return groups.map((group) => {
    const plain = group.methods.find(({ method }) => method === group.plain);
    const others = group.methods.filter((method) => method !== plain && method.done.length > 0);
    const cue = cueInWords(group);
    const cueText = cue.length === 0 ? null : markup`<p class="cue">${cue.join(" ")}</p>`;
    const warmUps = warmUpsInWords(group);
    const warmUpText = warmUps.length === 0 ? null : markup`<p class="cue">${warmUps.join(" ")}</p>`;
    return markup`<h3>${groupName(group)}</h3>
<p>${plainInWords(group, plain)}</p>
${warmUpText}${cueText}${findings(others)}
`;
  });
}

function plainInWords({ methods }: AnalysisGroup, plain: AnalysedMethod | undefined): string {
  if (plain === undefined)
    return "There is no record of plain training of this model and data set, so the methods cannot be compared with it.";
  if (plain.done.length === 0)
    return "No run of plain training has finished, so the methods cannot be compared with it.";
  const counts = [...new Set(methods.flatMap(({ done }) => done.map(({ test }) => test.images)))];
  const images = `${counts.map(formatCount).join(" or ")} ${wordFor(counts.at(-1), "test image")}`;
  const { values } = plain;
  const numbers = [
    `is right for ${spreadText(MEASURES.accuracy, values.accuracy)} of ${images}`,
    `its maps reach an SSIM with the prototypes of ${spreadText(MEASURES.mapSsim, values.mapSsim)} and a coherence of ${spreadText(MEASURES.coherence, values.coherence)}`,
    `${spreadText(MEASURES.deadMaps, values.deadMaps)} of them are dead`,
    `a step takes ${spreadText(MEASURES.secondsPerStep, values.secondsPerStep)}`,
  ];
  return `Plain training (${plain.method}, ${counted(plain.done.length, "seed", formatCount)}${spreadWords(plain)}) ${numbers.join("; ")}.`;
}

const spreadWords = ({ done }: AnalysedMethod): string =>
  done.length > 1 ? ", mean ± standard deviation" : ", so there is no spread";

/** A sentence about the runs that ended before their guidance had reached its full weight; empty if there are no such runs. */
function unfinishedWarmUps(groups: readonly AnalysisGroup[]): string[] {
  const count = groups.flatMap(({ methods }) =>
    methods.flatMap(({ done }) => done.flatMap(({ config, steps }) => unfinishedWarmUp(config, steps) ?? [])),
  ).length;
  if (count === 0) return [];
  return [
    `In ${counted(count, "run", formatCount)} the guidance never reached its full weight, because the warm-up is longer than the run: their guidance was weaker than the settings say.`,
  ];
}

/** A sentence about each method of a group that has such runs. */
function warmUpsInWords({ methods }: AnalysisGroup): string[] {
  return methods.flatMap(warmUpInWords);
}

function warmUpInWords({ method, done }: AnalysedMethod): string[] {
  const found = done.flatMap(({ config, steps }) => {
    const one = unfinishedWarmUp(config, steps);
    return one === null ? [] : [{ ...one, steps }];
  });
  if (found.length === 0) return [];
  const of = found.length === done.length ? "" : ` in ${found.length} of ${counted(done.length, "run", formatCount)}`;
  const rise = `its weight rises over ${range(found.map(({ warmUp }) => warmUp))} ${wordFor(Math.max(...found.map(({ warmUp }) => warmUp)), "step")}`;
  const end = `the ${wordFor(found.length, "run")} took ${range(found.map(({ steps }) => steps))} and ended with ${range(found.map(({ share }) => Math.round(100 * share)))} % of it`;
  return [`The guidance of ${method} never reached its full weight${of}: ${rise}, ${end}.`];
}

/** "100", or "90 to 120". */
function range(values: readonly number[]): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return least === most ? String(least) : `${least} to ${most}`;
}
