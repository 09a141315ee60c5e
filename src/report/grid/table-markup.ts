import { KINDS } from "../charts/palette.ts";
import { arrowMarkup } from "../page/definitions.ts";
import { type Markup, markup } from "../page/markup.ts";
import { type ReportTable, seedsOf, type TableRow } from "./table.ts";

/** A table on the page. A wide table scrolls in its own box. */
export function tableMarkup({ name, caption, note, columns, sections }: ReportTable): Markup {
  const heads = columns.map(
    (column) => markup`<th scope="col" class="number">${column.head}${arrowMarkup(column)}</th>`,
  );
  const bodies = sections.map(({ model, dataset, rows }) => {
    const title = markup`<tr class="group"><th scope="rowgroup" colspan="${columns.length + 2}"><span>${model} on ${dataset}</span></th></tr>`;
    return markup`<tbody>${title}${rows.map(tableRow)}</tbody>\n`;
  });
  return markup`<h3 id="table-${name}">${caption}</h3>
<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table class="compare" aria-labelledby="table-${name}">
<thead><tr><th scope="col">method</th><th scope="col">seeds</th>${heads}</tr></thead>
${bodies}</table></div>
<p class="note">${note} Files: <code>report/tables/${name}.csv</code>, <code>${name}.tex</code>.</p>
`;
}

function tableRow({ method, kind, done, runs, cells }: TableRow): Markup {
  const seeds = seedsOf({ done, runs });
  const body = cells.map(({ text, best }) => {
    const shown = best ? markup`<strong>${text}</strong>` : text;
    return markup`<td class="number">${shown}</td>`;
  });
  return markup`<tr><th scope="row">${kindMark(kind)} ${method} ${kind === method ? "" : markup`<span class="kind">${kind}</span>`}</th><td>${seeds}</td>${body}</tr>\n`;
}

// The shapes of Vega's marks of these names, in a box of 12.
const SHAPES: Readonly<Record<string, string>> = {
  circle: "M6 1.5a4.5 4.5 0 1 0 .01 0Z",
  square: "M2 2h8v8h-8Z",
  diamond: "M6 .5 11.5 6 6 11.5 .5 6Z",
  "triangle-up": "M6 1 11.5 10.5H.5Z",
  cross: "M4.2 1h3.6v3.2h3.2v3.6h-3.2v3.2h-3.6v-3.2h-3.2v-3.6h3.2Z",
};

/** The mark of a kind, as in the charts. */
export function kindMark(kind: TableRow["kind"]): Markup {
  const { colour, shape } = KINDS[kind];
  return markup`<svg class="kind-mark" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true"><path d="${SHAPES[shape] ?? ""}" fill="${colour}"/></svg>`;
}

/** A legend of the kinds that occur, with their marks and meanings. */
export function kindLegend(kinds: ReadonlySet<TableRow["kind"]>): Markup {
  const items = (Object.keys(KINDS) as TableRow["kind"][])
    .filter((kind) => kinds.has(kind))
    .map((kind) => markup`<span>${kindMark(kind)} <span><b>${kind}</b>: ${KINDS[kind].means}</span></span>`);
  return markup`<p class="legend kinds">${items}</p>`;
}
