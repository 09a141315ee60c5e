import { MEASURES } from "../../measures.ts";
import type { EpochRecord } from "../../train/index.ts";
import { type Markup, markup } from "../page/markup.ts";
import type { Section } from "../page/page.ts";
import { columnName, valueText } from "../text/measure-text.ts";
import { formatNumber, isNumber } from "../text/numbers.ts";
import { rejudgedInWords } from "../text/rejudged.ts";
import type { ReportedRun, RunReportInput } from "./input.ts";

interface Column {
  head: string;
  cell(record: EpochRecord): string;
  /** Whether an epoch has this value; absent if all epochs have it. */
  isThere?(record: EpochRecord): boolean;
}

type Term = "loss" | "crossEntropy" | "prototypeLoss" | "batchCamLoss" | "baselineLoss";
const trained = (name: Term): Column => ({
  head: MEASURES[name].short,
  cell: ({ train }) => formatNumber(train[name]),
  ...(name === "loss" || name === "crossEntropy" ? {} : { isThere: ({ train }) => isNumber(train[name]) }),
});
const validated = (name: "accuracy" | "mapSsim" | "mapL1" | "coherence" | "deadMaps"): Column => ({
  head: columnName(MEASURES[name]),
  cell: ({ val }) => valueText(MEASURES[name], val[name]),
});

const added = (name: string): Column => ({ head: name, cell: ({ train }) => formatNumber(train[name] ?? null) });

const columnsOf = ({ losses = [] }: ReportedRun): readonly Column[] => [
  ...(["loss", "crossEntropy", "prototypeLoss", "batchCamLoss", "baselineLoss"] as const).map(trained),
  ...losses.map(added),
  ...(["accuracy", "mapSsim", "mapL1", "coherence", "deadMaps"] as const).map(validated),
  { head: "s", cell: ({ secondsPerEpoch }) => formatNumber(secondsPerEpoch, 1) },
];

/**
 * A table of each run's epochs: the loss and its terms during training, and the other measures on the validation images. Empty if no
 * epoch has ended.
 */
export function epochSection({ runs }: RunReportInput): Section[] {
  const tables = runs.filter(({ result }) => result.history.length > 0).map(epochTable);
  if (tables.length === 0) return [];
  const note = markup`<p class="note">Loss and its terms, before λ, are means over the epoch’s training steps. Accuracy and maps are measured on the validation images. The last column has the seconds spent in training steps. The best epoch so far is marked.</p>`;
  const rejudged = runs.flatMap(({ name, result }) => {
    const words = rejudgedInWords(result);
    return words === null ? [] : [markup`<p><strong>${runs.length > 1 ? `${name}: ` : ""}${words}</strong></p>\n`];
  });
  return [{ id: "epochs", heading: "Epochs", body: markup`${tables}${rejudged}${note}` }];
}

function epochTable(run: ReportedRun): Markup {
  const { name } = run;
  const { history, bestEpoch } = run.result;
  const columns = columnsOf(run).filter(({ isThere }) => isThere === undefined || history.some(isThere));
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
