import { MEASURES, type MeasureName } from "../../measures.ts";
import type { BalanceEvent } from "../../train/index.ts";
import { lineChart, lineSample, type Scale } from "../charts/line-chart.ts";
import { lineStyle } from "../charts/palette.ts";
import { type Markup, markup } from "../page/markup.ts";
import type { Section } from "../page/page.ts";
import { DASH, formatNumber } from "../text/numbers.ts";
import type { ReportedRun, RunReportInput } from "./input.ts";

type Balance = NonNullable<ReportedRun["balance"]>;
type TermBalance = BalanceEvent["terms"][number];

/** Charts of the size of each term's gradient, and of its cosine with the gradient of the cross-entropy, if a run has logged them. */
export async function balanceSection({ runs }: RunReportInput): Promise<Section[]> {
  const parts = [];
  for (const { name, balance = [] } of runs) if (balance.length > 0) parts.push(await balanceOf(name, balance));
  if (parts.length === 0) return [];
  const note = markup`<p class="note">Gradients of λ · term with respect to all parameters. A cosine below 0 means that a term works against the cross-entropy.</p>`;
  return [{ id: "balance", heading: "Balance of the losses", body: markup`${note}${parts}` }];
}

/** A chart of one value of each term. */
interface BalanceChart {
  title: string;
  scale: Scale;
  terms: readonly string[];
  of(term: TermBalance): number | null;
}

async function balanceOf(run: string, balance: Balance): Promise<Markup> {
  const terms = [...new Set(balance.flatMap((row) => row.terms.map(({ term }) => term)))];
  const styleOf = (term: string) => lineStyle(terms.indexOf(term), terms.length);
  const key = terms.map((term) => markup`<span>${lineSample(styleOf(term))} ${termName(term)}</span>`);
  const charts: BalanceChart[] = [
    { title: "Gradient norm", scale: "log", terms, of: ({ gradNorm }) => gradNorm },
    {
      title: "Cosine with the cross-entropy’s gradient",
      scale: "linear",
      terms: terms.filter((term) => term !== "crossEntropy"),
      of: ({ cosine }) => cosine,
    },
  ];
  const figures = [];
  for (const [index, chart] of charts.entries()) {
    if (chart.terms.length === 0) continue;
    const { title, scale } = chart;
    const lines = chart.terms.map((term) => ({
      name: termName(term),
      style: styleOf(term),
      points: pointsOf(balance, term, chart),
    }));
    const svg = await lineChart({ title, lines, xLabel: "step", scale }, `balance-${run}-${index}`);
    const remark = scale === "log" ? markup` <small>(log scale)</small>` : null;
    figures.push(markup`<figure><figcaption><strong>${title}</strong>${remark}</figcaption>${svg}</figure>\n`);
  }
  return markup`<h3>${run}</h3><p class="legend">${key}</p><div class="charts balance">${figures}</div>
${lastBalance(balance)}`;
}

function pointsOf(balance: Balance, name: string, { of }: BalanceChart): { x: number; y: number | null }[] {
  return balance.map(({ step, terms }) => {
    const found = terms.find(({ term }) => term === name);
    return { x: step, y: found === undefined ? null : of(found) };
  });
}

const termName = (term: string): string => MEASURES[term as MeasureName]?.short ?? term;

function lastBalance(balance: Balance): Markup | null {
  const last = balance.at(-1);
  if (last === undefined) return null;
  const rows = last.terms.map(({ term, weight, value, gradNorm, cosine }) => {
    const numbers = [weight, value, gradNorm].map((number) => markup`<td class="number">${formatNumber(number)}</td>`);
    return markup`<tr><th scope="row">${termName(term)}</th>${numbers}<td class="number">${cosine === null ? DASH : formatNumber(cosine)}</td></tr>\n`;
  });
  const heads = ["λ", "value", "gradient norm", "cosine"].map(
    (head) => markup`<th scope="col" class="number">${head}</th>`,
  );
  return markup`<div class="wide" tabindex="0" role="region" aria-label="Balance at the last logged step"><table class="results"><caption>At step ${last.step}, the last for which it was logged</caption>
<thead><tr><th scope="col">term</th>${heads}</tr></thead><tbody>${rows}</tbody></table></div>`;
}
