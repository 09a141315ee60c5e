import type { BalanceEvent, EpochRecord } from "../../train/events.ts";
import { lineChart, lineSample } from "../charts/line-chart.ts";
import { Markup, markup } from "../page/markup.ts";
import type { Section } from "../page/page.ts";
import { DASH, formatNumber, formatPercent, isNumber } from "../text/numbers.ts";
import { rejudgedInWords } from "../text/rejudged.ts";
import type { ReportedRun, RunReportInput } from "./input.ts";

interface Column {
  head: string;
  cell(record: EpochRecord): string;
  /** Whether any epoch has it. */
  isThere?(record: EpochRecord): boolean;
}

const term = (head: string, key: "prototypeLoss" | "batchCamLoss" | "baselineLoss"): Column => ({
  head,
  cell: ({ train }) => formatNumber(train[key]),
  isThere: ({ train }) => isNumber(train[key]),
});

const COLUMNS: readonly Column[] = [
  { head: "loss", cell: ({ train }) => formatNumber(train.loss) },
  { head: "cross-entropy", cell: ({ train }) => formatNumber(train.crossEntropy) },
  term("Prototype Loss", "prototypeLoss"),
  term("Batch-CAM Loss", "batchCamLoss"),
  term("baseline’s term", "baselineLoss"),
  { head: "accuracy", cell: ({ val }) => formatPercent(val.accuracy) },
  { head: "SSIM", cell: ({ val }) => formatNumber(val.mapSsim) },
  { head: "L1", cell: ({ val }) => formatNumber(val.mapL1) },
  { head: "coherence", cell: ({ val }) => formatNumber(val.coherence) },
  { head: "dead maps", cell: ({ val }) => formatPercent(val.deadMaps, 1) },
  { head: "s", cell: ({ secondsPerEpoch }) => formatNumber(secondsPerEpoch, 1) },
];

/** A table of each run's epochs: the terms over training, the rest over the validation images. Nothing where no epoch has ended. */
export function epochSection({ runs }: RunReportInput): Section[] {
  const tables = runs.filter(({ result }) => result.history.length > 0).map(epochTable);
  if (tables.length === 0) return [];
  const note = markup`<p class="note">Loss and its terms, before λ, are means over the epoch’s training steps; accuracy and maps are of the validation images; s are seconds in training steps. The best epoch so far is marked.</p>`;
  const rejudged = runs.flatMap(({ name, result }) => {
    const words = rejudgedInWords(result);
    return words === null ? [] : [markup`<p><strong>${runs.length > 1 ? `${name}: ` : ""}${words}</strong></p>\n`];
  });
  return [{ id: "epochs", heading: "Epochs", body: markup`${tables}${rejudged}${note}` }];
}

function epochTable({ name, result: { history, bestEpoch } }: ReportedRun): Markup {
  const columns = COLUMNS.filter(({ isThere }) => isThere === undefined || history.some(isThere));
  const heads = columns.map(({ head }) => markup`<th scope="col" class="number">${head}</th>`);
  const rows = history.map((record) => {
    const cells = columns.map(({ cell }) => markup`<td class="number">${cell(record)}</td>`);
    const best = record.epoch === bestEpoch ? markup` <span class="differs">best</span>` : "";
    return markup`<tr><th scope="row">${record.epoch}${best}</th>${cells}</tr>\n`;
  });
  return markup`<div class="wide" tabindex="0" role="region" aria-label="Epochs of the ${name} run"><table class="epochs">
<caption>${name}</caption>
<thead><tr><th scope="col">epoch</th>${heads}</tr></thead>
<tbody>${rows}</tbody></table></div>
`;
}

/** How large each term's gradient was and whether it pulled with the cross-entropy's, where a run has logged that. */
export function balanceSection({ runs }: RunReportInput): Section[] {
  const parts = runs.flatMap(({ name, balance = [] }) => (balance.length === 0 ? [] : [balanceOf(name, balance)]));
  if (parts.length === 0) return [];
  const note = markup`<p class="note">Gradients of λ · term with respect to all parameters. A cosine below 0 says that a term pulls against the cross-entropy.</p>`;
  return [{ id: "balance", heading: "Balance of the losses", body: markup`${note}${parts}` }];
}

type Balance = NonNullable<ReportedRun["balance"]>;
type TermBalance = BalanceEvent["terms"][number];

function balanceOf(run: string, balance: Balance): Markup {
  const names = [...new Set(balance.flatMap(({ terms }) => terms.map((one) => one.term)))];
  const chart = (title: string, scale: "log" | "linear", of: (one: TermBalance) => number | null, shown = names) => {
    const series = shown.map((name) => ({
      ...{ name, style: names.indexOf(name) },
      points: balance.map(({ step, terms }) => {
        const found = terms.find((one) => one.term === name);
        return { x: step, y: found === undefined ? null : of(found) };
      }),
    }));
    if (series.length === 0) return "";
    return markup`<figure><figcaption><strong>${title}</strong>${scale === "log" ? markup` <small>(log scale)</small>` : ""}</figcaption>${new Markup(lineChart({ title, series, xLabel: "step", scale }))}</figure>\n`;
  };
  const key = names.map((name, index) => markup`<span>${new Markup(lineSample(index))} ${name}</span>`);
  return markup`<h3>${run}</h3><p class="legend">${key}</p><div class="charts balance">${chart("Gradient norm", "log", ({ gradNorm }) => gradNorm)}${chart(
    "Cosine with the cross-entropy’s gradient",
    "linear",
    ({ cosine }) => cosine,
    names.filter((name) => name !== "crossEntropy"),
  )}</div>
${lastBalance(balance)}`;
}

function lastBalance(balance: Balance): Markup | null {
  const last = balance.at(-1);
  if (last === undefined) return null;
  const rows = last.terms.map(({ term: name, weight, value, gradNorm, cosine }) => {
    const numbers = [weight, value, gradNorm].map((number) => markup`<td class="number">${formatNumber(number)}</td>`);
    return markup`<tr><th scope="row">${name}</th>${numbers}<td class="number">${cosine === null ? DASH : formatNumber(cosine)}</td></tr>\n`;
  });
  const heads = ["λ", "value", "gradient norm", "cosine"].map(
    (head) => markup`<th scope="col" class="number">${head}</th>`,
  );
  return markup`<div class="wide" tabindex="0" role="region" aria-label="Balance at the last step looked at"><table class="results"><caption>At step ${last.step}, the last that was looked at</caption>
<thead><tr><th scope="col">term</th>${heads}</tr></thead><tbody>${rows}</tbody></table></div>`;
}
