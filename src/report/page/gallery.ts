import type { FigureCell } from "../figures/cell.ts";
import type { PictureRow } from "../figures/picture-rows.ts";
import { pngAddress, scaleAddress } from "../pictures/png.ts";
import { type Markup, markup } from "./markup.ts";

/** Pictures of the same samples in rows. */
export interface Gallery {
  /** Name of the table, for a reader who cannot see it. */
  name: string;
  /** The class of each sample. */
  columns: readonly string[];
  rows: readonly PictureRow[];
}

/**
 * The largest number of rows of a gallery that fits on the page, whose rows become columns on a narrow page. A gallery with more rows
 * scrolls sideways.
 */
const MOST_ROWS = 6;
/** The largest number of samples in a line. Further samples continue below, unless the gallery scrolls. */
const MOST_COLUMNS = 12;

/** Rows of pictures, with a column for each sample. */
export function gallery({ name, columns, rows }: Gallery): Markup {
  const isLarge = rows.length > MOST_ROWS;
  const count = columns.length;
  const perBand = isLarge ? count : Math.ceil(count / Math.ceil(count / MOST_COLUMNS));
  const bands: Markup[] = [];
  for (let start = 0; start < count; start += perBand) {
    const samples = columns.slice(start, start + perBand).map((column, index) => sample(rows, column, start + index));
    const size = markup`style="--strips:${rows.length};--samples:${samples.length}"`;
    const scrolls = isLarge ? markup` tabindex="0"` : null;
    bands.push(markup`<div class="gallery${isLarge ? " large" : ""}" role="table" aria-label="${name}"${scrolls} ${size}>
<div role="row"><span role="columnheader" class="corner">class</span>${rows.map(({ label }) => markup`<span role="columnheader">${label}</span>`)}</div>
${samples}</div>
`);
  }
  return markup`${bands}`;
}

// The rows of the accessible table are samples. The style sheet shows them as columns if the page is wide.
function sample(rows: readonly PictureRow[], column: string, index: number): Markup {
  const cells = rows.map(({ what, cells: pictures, captions }) => {
    const shown = picture(pictures[index] ?? null, `${what}, class ${column}`, captions?.[index]);
    return markup`<span role="cell">${shown}</span>`;
  });
  return markup`<div role="row"><b role="rowheader">${column}</b>${cells}</div>\n`;
}

function picture(cell: FigureCell | null, what: string, caption = ""): Markup {
  if (cell === null) return markup`<span class="no-picture">–</span>`;
  const classes = ["picture", cell.dead ? "dead" : "", cell.wrong ? "wrong" : ""].filter(Boolean).join(" ");
  const alt = [what, cell.dead ? "dead" : "", caption].filter(Boolean).join(", ");
  const address = pngAddress(cell, cell.kind === "map" ? "inferno" : undefined);
  const under = caption === "" ? null : markup`<small class="read-as">${caption}</small>`;
  return markup`<span class="${classes}"><img src="${address}" alt="${alt}" width="${cell.width}" height="${cell.height}"></span>${under}`;
}

/** The marks that occur in the pictures of some rows. */
export function marksOf(rows: readonly PictureRow[]): { dead: boolean; wrong: boolean } {
  const cells = rows.flatMap((row) => row.cells);
  return { dead: cells.some((cell) => cell?.dead), wrong: cells.some((cell) => cell?.wrong) };
}

/** The colour scale of the maps, and what the marks mean. */
export function mapLegend({ dead, wrong }: { dead: boolean; wrong: boolean }): Markup {
  const deadMark = markup`<span><span class="swatch dead"></span> dead map, zero everywhere</span>`;
  const wrongMark = markup`<span><span class="swatch wrong">×</span> wrong prediction, with the class that was predicted</span>`;
  return markup`<p class="legend"><span class="scale"><span>map value 0</span><img src="${scaleAddress()}" alt="Colour scale of the maps from 0, black, over purple and orange to 1, pale yellow" width="256" height="1"><span>1</span></span>
${dead ? deadMark : null}${wrong ? wrongMark : null}</p>`;
}
