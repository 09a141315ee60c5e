import { counted } from "../../counted.ts";
import type { JudgedRun } from "../../train/index.ts";
import { formatCount, formatNumber, formatPercent, isNumber } from "../text/numbers.ts";
import { unfinishedWarmUp } from "../text/warm-up.ts";
import type { ReportedRun, RunReportInput } from "./input.ts";
import { accuracyError, compare, type JudgedBy, resultText, runValue } from "./measures.ts";

/** With a larger share of dead maps, the other measures of maps mean little. */
const MANY_DEAD = 0.2;

/** Describes the results in sentences: which measures rose, which fell, and what cannot be concluded from that. */
export function summarize({ runs }: RunReportInput): string {
  const plain = runs.find(({ name }) => name === "plain");
  const guided = runs.find(({ name }) => name === "guided");
  const sentences =
    plain && guided ? compareInWords(plain, guided) : runs.flatMap((run) => [...opening(run), ...alone(run)]);
  return [...sentences, ...runs.flatMap(warnings)].join(" ");
}

function compareInWords(plain: ReportedRun, guided: ReportedRun): string[] {
  return [
    "Two networks were trained: the plain one on the labels alone, the guided one also on how close its Grad-CAM maps come to the mean training image of each class, the prototype.",
    seeds(plain.config.seed, guided.config.seed),
    ...accuracyInWords(plain.result, guided.result),
    ...mapsInWords({ plain: plain.result, guided: guided.result }),
  ];
}

function seeds(plain: unknown, guided: unknown): string {
  if (plain === undefined || guided === undefined) return "Each was trained once.";
  if (plain === guided) return `Each was trained once, from seed ${plain}.`;
  return `Each was trained once, from different seeds (${plain} and ${guided}), so a part of every difference is chance.`;
}

function accuracyInWords(plain: JudgedRun, guided: JudgedRun): string[] {
  const [before, after] = [runValue("accuracy", plain), runValue("accuracy", guided)];
  const images = guided.test?.images;
  if (before === null || after === null || !isNumber(images)) {
    return ["There are no test results to compare, because a run has not finished."];
  }
  const { verdict } = compare("accuracy", plain, guided);
  const start = `On ${counted(images, "test image", formatCount)} the plain network is right for ${formatPercent(before)} and the guided one for ${formatPercent(after)}`;
  if (verdict === "equal") return [`${start}.`];
  const size = `${formatNumber(Math.abs(after - before) * 100, 2)} points ${after > before ? "more" : "less"}`;
  const error = formatNumber((accuracyError(plain, guided) ?? 0) * 100, 2);
  if (verdict === "within sampling error") {
    return [`${start}: ${size}, no more than the sampling error of a split of this size (±${error} points).`];
  }
  return [
    `${start}: ${size}, beyond the sampling error of a split of this size (±${error} points), but one run of each cannot distinguish it from chance.`,
  ];
}

interface Pair {
  plain: JudgedRun;
  guided: JudgedRun;
}

function mapsInWords(pair: Pair): string[] {
  const phrases = [
    moved("the similarity of a map to its prototype (SSIM, 1 means identical)", "mapSsim", pair),
    moved("their mean absolute difference (L1)", "mapL1", pair),
    moved("the coherence of the maps of a class", "coherence", pair),
    moved("the share of the maps’ energy on the foreground", "energyInForeground", pair),
    moved("the share of dead maps, which are zero everywhere,", "deadMaps", pair),
  ].filter((phrase) => phrase !== null);
  if (phrases.length === 0) return [];
  const list = phrases.length > 1 ? `${phrases.slice(0, -1).join(", ")}, and ${phrases.at(-1)}` : phrases.join("");
  return [
    `From plain to guided, ${list}.`,
    "Guided training optimises the closeness to the prototype, so that it shows that the guidance worked, but not that the network’s reasons are better.",
  ];
}

function moved(subject: string, name: JudgedBy, { plain, guided }: Pair): string | null {
  const [before, after] = [runValue(name, plain), runValue(name, guided)];
  if (before === null || after === null) return null;
  if (compare(name, plain, guided).verdict === "equal") return `${subject} stays at ${resultText(name, guided)}`;
  return `${subject} ${after > before ? "rises" : "falls"} from ${resultText(name, plain)} to ${resultText(name, guided)}`;
}

function opening({ name }: ReportedRun): string[] {
  return [
    name === "plain"
      ? "One network was trained, on the labels alone; there is no guided run to compare it with."
      : "One network was trained, on the labels and on how close its Grad-CAM maps come to the mean training image of each class, the prototype; there is no plain run to compare it with.",
  ];
}

function alone({ result }: ReportedRun): string[] {
  if (!result.test) return ["There are no test results, because the run has not finished."];
  const [accuracy, ssim, dead] = (["accuracy", "mapSsim", "deadMaps"] as const).map((name) => resultText(name, result));
  return [
    `On ${counted(result.test.images, "test image", formatCount)} it is right for ${accuracy}; the similarity of its maps to their prototypes (SSIM, 1 means identical) is ${ssim}, and ${dead} of its maps are dead, zero everywhere.`,
  ];
}

function warmUp({ name, config, result: { step } }: ReportedRun): string[] {
  const found = unfinishedWarmUp(config, step);
  if (found === null) return [];
  return [
    `The guidance of the ${name} run never reached its full weight: the weight rises over ${counted(found.warmUp, "step")}, the run took ${step}, and it ended with ${Math.round(100 * found.share)} % of it.`,
  ];
}

function warnings(run: ReportedRun): string[] {
  const { name, result } = run;
  const found = warmUp(run);
  if (result.interrupted) found.push(`The ${name} run was stopped at step ${result.step}, before its end.`);
  const dead = runValue("deadMaps", result);
  if (dead !== null && dead > MANY_DEAD) {
    found.push(
      `With ${formatPercent(dead, 0)} of the ${name} maps dead, the other numbers about them say little: a map of zeros scores well in L1 and L2.`,
    );
  }
  return found;
}
