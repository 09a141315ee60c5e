import type { AnalysisGroup, MethodKind } from "../../workflows/internal.ts";
import { type DrawnFigure, drawFigure, type FigurePlan } from "../charts/engine.ts";
import { mapLegend } from "../page/gallery.ts";
import { type Markup, markup } from "../page/markup.ts";
import { renderPage, type Section } from "../page/page.ts";
import { dataTable, hardwareTable, settingsTable } from "./conditions.ts";
import { curveFigure, curveKey, curveSheets } from "./curves.ts";
import { gridDefinitions } from "./definitions.ts";
import { cueFigure, effectFigure } from "./dot-charts.ts";
import { type GridReportInput, groupName, slugs } from "./input.ts";
import { drawPictures, mapsOfMethods, type PictureFigure, pictureMarkup, reconstructions } from "./pictures.ts";
import { scatterFigure } from "./scatter.ts";
import { GRID_STYLE } from "./style.ts";
import { groupSummaries, leadSentences, ranInWords, testNote } from "./summary.ts";
import { tableCsv, tableLatex } from "./table-files.ts";
import { kindLegend, kindMark, tableMarkup } from "./table-markup.ts";
import { reportTables } from "./tables.ts";

/** A file of the report, with its path in the report's folder. */
export interface ReportFile {
  path: string;
  contents: string | Uint8Array;
}

export interface GridReport {
  html: string;
  files: ReportFile[];
  /** The figures that could not be drawn, with the reasons. */
  warnings: string[];
}

/** Renders the report of a comparison as one page that needs no network, and its figures and tables as files. The same input gives the same bytes. */
export async function gridReport(input: GridReportInput): Promise<GridReport> {
  const drawing = new Drawing();
  const names = slugs(input.groups);
  const tables = reportTables(input.groups);
  for (const table of tables) {
    drawing.files.push({ path: `tables/${table.name}.csv`, contents: tableCsv(table) });
    drawing.files.push({ path: `tables/${table.name}.tex`, contents: tableLatex(table) });
  }
  const figures = [];
  for (const group of input.groups) figures.push(await groupFigures(group, names.get(group) ?? "", drawing));
  const kinds = new Set(input.groups.flatMap(({ methods }) => methods.map(({ kind }) => kind)));
  const sections: Section[] = [
    { id: "summary", heading: "What the methods do", body: markup`${testNote(input)}${groupSummaries(input.groups)}` },
    { id: "data", heading: "Data", body: dataTable(input.groups) },
    { id: "tables", heading: "Tables", body: markup`${kindLegend(kinds)}${tables.map(tableMarkup)}` },
    { id: "figures", heading: "Figures", body: figureSection(figures, kinds) },
    ...unfinished(input),
    { id: "definitions", heading: "What the numbers mean", body: gridDefinitions(input) },
    { id: "settings", heading: "What was trained", body: settingsTable(input.settings) },
    { id: "environment", heading: "Environment", body: hardwareTable(input.groups) },
    { id: "reproduce", heading: "Do it again", body: again(input) },
  ];
  const lead = markup`<p class="note">${ranInWords(input)}</p>
<p class="summary lead">${leadSentences(input).join(" ")}</p>`;
  const html = renderPage({ title: `Comparison: ${input.name}`, lead, sections, style: GRID_STYLE });
  return { html, files: drawing.files, warnings: drawing.warnings };
}

/** Collects the files and faults while figures are drawn. */
class Drawing {
  readonly files: ReportFile[] = [];
  readonly warnings: string[] = [];

  /** Draws a figure. A failure becomes a warning, so that the rest of the report is kept. */
  async attempt(name: string, draw: () => Promise<Markup | null> | Markup | null): Promise<Markup | null> {
    try {
      return await draw();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.warnings.push(`the figure ${name} could not be drawn: ${reason}`);
      return markup`<p class="note">The figure ${name} could not be drawn: ${reason}</p>`;
    }
  }

  add(name: string, { svg, png }: { svg: string; png: Uint8Array }): void {
    this.files.push({ path: `figures/${name}.svg`, contents: svg }, { path: `figures/${name}.png`, contents: png });
  }
}

async function groupFigures(group: AnalysisGroup, slug: string, drawing: Drawing): Promise<Markup> {
  const pictures = (name: string, plan: () => PictureFigure | null) =>
    drawing.attempt(name, () => {
      const figure = plan();
      if (figure === null) return null;
      drawing.add(figure.name, drawPictures(figure));
      return markup`<h4>${figure.title}</h4>${pictureMarkup(figure)}`;
    });
  const chart = (name: string, plan: () => FigurePlan | null, key: Markup | null = null) =>
    drawing.attempt(name, async () => {
      const planned = plan();
      if (planned === null) return null;
      const figure = await drawFigure(planned);
      drawing.add(figure.name, figure);
      return chartMarkup(figure, key);
    });
  const parts = [
    await pictures(`maps-${slug}`, () => mapsOfMethods(group, slug)),
    await pictures(`reconstruction-${slug}`, () => reconstructions(group, slug)),
    await chart(`effects-${slug}`, () => effectFigure(group, slug)),
    await chart(`accuracy-coherence-${slug}`, () => scatterFigure(group, slug), numberedKey(group)),
    await chart(`cue-${slug}`, () => cueFigure(group, slug)),
  ];
  for (const { name, group: shown } of curveSheets(group))
    parts.push(await chart(`curves-${slug}`, () => curveFigure(shown, slug, name), curveKey(shown)));
  return markup`<h3>${groupName(group)}</h3>\n${parts}`;
}

function chartMarkup({ name, title, caption, panels }: DrawnFigure, key: Markup | null): Markup {
  const width = Math.max(...panels.map((panel) => panel.width));
  const parts = panels.map(({ title: heading, svg }) => {
    return markup`<figure class="panel">${panels.length > 1 ? markup`<figcaption>${heading}</figcaption>` : ""}${svg}</figure>\n`;
  });
  return markup`<figure class="figure" id="figure-${name}"><figcaption><strong>${title}.</strong> ${caption}</figcaption>
<div class="panels" style="--panel: ${Math.ceil(width)}px">${parts}${key}</div></figure>
`;
}

function numberedKey({ methods }: AnalysisGroup): Markup {
  const items = methods.map(({ method, kind }, index) => {
    return markup`<li><span class="n">${index + 1}</span> ${kindMark(kind)} ${method}</li>`;
  });
  return markup`<ol class="key numbered">${items}</ol>`;
}

function figureSection(figures: readonly Markup[], kinds: ReadonlySet<MethodKind>): Markup {
  return markup`<p class="note">Each figure is also a file, as SVG and PNG, in <code>report/figures/</code>.</p>
${kindLegend(kinds)}
${mapLegend({ dead: true, wrong: true })}
${figures}`;
}

function unfinished({ failed, missing }: GridReportInput): Section[] {
  const failures = failed.map(({ model, dataset, method, seed, error }) => {
    return markup`<li>${model} on ${dataset}, ${method}, seed ${seed}: ${error.message} (<code>${error.code}</code>)</li>`;
  });
  const gaps = missing.map(({ model, dataset, method, seed, state }) => {
    return markup`<li>${model} on ${dataset}, ${method}, seed ${seed}: ${state}</li>`;
  });
  if (failures.length + gaps.length === 0) return [];
  const list = (heading: string, items: Markup[]) =>
    items.length === 0 ? null : markup`<h3>${heading}</h3><ul class="failures">${items}</ul>`;
  return [
    {
      id: "unfinished",
      heading: "Failed and missing runs",
      body: markup`${list(`Failed: ${failures.length}`, failures)}${list(`Without a record: ${gaps.length}`, gaps)}`,
    },
  ];
}

function again({ command }: GridReportInput): Markup {
  return markup`<pre tabindex="0"><code>${command}</code></pre>
<p>The first command trains the missing runs of the grid and then writes this report. The second writes the report again from the records that exist.</p>`;
}
