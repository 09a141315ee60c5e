import { wordFor } from "../../counted.ts";
import { MEASURES, whyMissing } from "../../measures.ts";
import { inWords } from "../../registry.ts";
import { arrowMarkup } from "../page/definitions.ts";
import { type Markup, markup } from "../page/markup.ts";
import { capital, testName } from "../text/measure-text.ts";
import { DASH, formatCount, formatNumber } from "../text/numbers.ts";
import type { ReportedRun, RunReportInput } from "./input.ts";
import { accuracyError, compare, JUDGED_BY, type JudgedBy, resultText, runValue } from "./measures.ts";

/** The table of results: a row for each measure, a column for each run, and the difference if there are both runs. */
export function resultsTable({ runs }: RunReportInput): Markup {
  const heads = runs.map(({ name }) => markup`<th scope="col" class="number">${name}</th>`);
  const both = runs.length === 2;
  const rows = JUDGED_BY.map((name) => row(name, runs));
  return markup`<table class="results">
<caption>Test split, ${imagesInWords(runs)}. An arrow says which direction is better${both ? ", the difference is guided − plain" : ""}.</caption>
<thead><tr><th scope="col">Measure</th>${heads}${both ? markup`<th scope="col" class="number difference">difference</th>` : ""}</tr></thead>
<tbody>${rows}</tbody>
</table>
${notes(runs)}`;
}

function row(name: JudgedBy, runs: readonly ReportedRun[]): Markup {
  const head = markup`<th scope="row"><a href="#about-${name}">${capital(testName(name))}</a>${arrowMarkup(MEASURES[name])}</th>`;
  const cells = runs.map(({ result }) => markup`<td class="number">${resultText(name, result)}</td>`);
  return markup`<tr>${head}${cells}${differenceCell(name, runs)}</tr>\n`;
}

function differenceCell(name: JudgedBy, runs: readonly ReportedRun[]): Markup | null {
  const plain = runs.find((run) => run.name === "plain");
  const guided = runs.find((run) => run.name === "guided");
  if (!plain || !guided) return null;
  const { text, verdict } = compare(name, plain.result, guided.result);
  if (verdict === "unknown") return markup`<td class="number">${DASH}</td>`;
  const tone = verdict === "better" || verdict === "worse" ? verdict : "neutral";
  return markup`<td class="number">${text} <span class="verdict ${tone}">${verdict}</span></td>`;
}

function imagesInWords(runs: readonly ReportedRun[]): string {
  const counts = [...new Set(runs.flatMap(({ result }) => result.test?.images ?? []))];
  if (counts.length === 0) return "not yet evaluated";
  return `${counts.map(formatCount).join(" and ")} ${wordFor(counts.at(-1), "image")}`;
}

/** A sentence for each reason why measures have no value in the table. */
function missingLines(runs: readonly ReportedRun[]): string[] {
  const named = new Map<string, string[]>();
  for (const name of JUDGED_BY) {
    const without = runs.filter(({ result }) => runValue(name, result) === null);
    const [first] = without;
    if (first === undefined) continue;
    const who = without.length === runs.length ? "" : ` for the ${first.name} run`;
    const why = `no value${who}, because ${reasonOf(name, first.result)}.`;
    named.set(why, [...(named.get(why) ?? []), testName(name)]);
  }
  return Array.from(
    named,
    ([why, names]) => `${capital(inWords(names))} ${wordFor(names.length, "has", "have")} ${why}`,
  );
}

function reasonOf(name: JudgedBy, result: ReportedRun["result"]): string {
  if (name === "secondsPerEpoch") return "no epoch has ended";
  return result.test === null ? "the run has not been evaluated yet" : whyMissing(name, result.test.deadMaps);
}

function notes(runs: readonly ReportedRun[]): Markup[] {
  const lines: string[] = missingLines(runs);
  const [first, second] = runs;
  const error = first && second ? accuracyError(first.result, second.result) : null;
  if (error !== null) {
    lines.push(
      `Differences of accuracy up to ±${formatNumber(error * 100, 2)} points are within the sampling error of the test split (two standard errors).`,
    );
  }
  lines.push("A map that is zero everywhere scores well in L1 and L2: read them together with SSIM and the dead maps.");
  return lines.map((line) => markup`<p class="note">${line}</p>`);
}
