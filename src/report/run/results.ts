import { wordFor } from "../../counted.ts";
import { type Markup, markup } from "../page/markup.ts";
import { DASH, formatCount, formatNumber } from "../text/numbers.ts";
import type { ReportedRun, RunReportInput } from "./input.ts";
import { accuracyError, compare, MEASURES, type Measure } from "./measures.ts";

/** The table of results: a row per measure, a column per run, and the difference where there are both runs. */
export function resultsTable({ runs }: RunReportInput): Markup {
  const heads = runs.map(({ name }) => markup`<th scope="col" class="number">${name}</th>`);
  const both = runs.length === 2;
  const rows = Object.entries(MEASURES).map(([id, measure]) => row(id, measure, runs));
  return markup`<table class="results">
<caption>Test split, ${imagesInWords(runs)}. An arrow says which way is better${both ? ", the difference is guided − plain" : ""}.</caption>
<thead><tr><th scope="col">Measure</th>${heads}${both ? markup`<th scope="col" class="number difference">difference</th>` : ""}</tr></thead>
<tbody>${rows}</tbody>
</table>
${notes(runs)}`;
}

function row(id: string, measure: Measure, runs: readonly ReportedRun[]): Markup {
  const arrow = measure.better === "higher" ? "↑" : "↓";
  const head = markup`<th scope="row"><a href="#about-${id}">${measure.label}</a> <span class="arrow" title="${measure.better} is better">${arrow}</span></th>`;
  const cells = runs.map(({ result }) => markup`<td class="number">${measure.format(measure.of(result))}</td>`);
  return markup`<tr>${head}${cells}${differenceCell(measure, runs)}</tr>\n`;
}

function differenceCell(measure: Measure, runs: readonly ReportedRun[]): Markup | null {
  const plain = runs.find(({ name }) => name === "plain");
  const guided = runs.find(({ name }) => name === "guided");
  if (!plain || !guided) return null;
  const [difference, verdict] = compare(measure, plain.result, guided.result);
  if (verdict === "unknown") return markup`<td class="number">${DASH}</td>`;
  const tone = verdict === "better" || verdict === "worse" ? verdict : "neutral";
  return markup`<td class="number">${measure.formatDifference(difference)} <span class="verdict ${tone}">${verdict}</span></td>`;
}

function imagesInWords(runs: readonly ReportedRun[]): string {
  const counts = [...new Set(runs.flatMap(({ result }) => result.test?.images ?? []))];
  if (counts.length === 0) return "not yet evaluated";
  return `${counts.map(formatCount).join(" and ")} ${wordFor(counts.at(-1), "image")}`;
}

function notes(runs: readonly ReportedRun[]): Markup[] {
  const lines: string[] = [];
  const [first, second] = runs;
  const error = first && second ? accuracyError(first.result, second.result) : null;
  if (error !== null) {
    lines.push(
      `Differences of accuracy up to ±${formatNumber(error * 100, 2)} points lie within the sampling error of the test split (two standard errors).`,
    );
  }
  lines.push("A map that is zero everywhere scores well in L1 and L2: read them together with SSIM and the dead maps.");
  return lines.map((line) => markup`<p class="note">${line}</p>`);
}
