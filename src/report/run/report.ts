import { definitionList, measureDefinition, OBJECTIVE, SUBJECTS } from "../page/definitions.ts";
import { type Markup, markup } from "../page/markup.ts";
import { renderPage, type Section } from "../page/page.ts";
import { STYLE } from "../page/style.ts";
import { balanceSection } from "./balance.ts";
import { curveGrids } from "./curves.ts";
import { decoyLead, decoySection } from "./decoy.ts";
import { epochSection } from "./epochs.ts";
import { galleryLegend, mapGallery, overlayGallery } from "./gallery.ts";
import { checkRunReportInput, type RunReportInput } from "./input.ts";
import { JUDGED_BY } from "./measures.ts";
import { resultsTable } from "./results.ts";
import { configurationTable, environmentTable, reproduction } from "./settings.ts";
import { summarize } from "./summary.ts";

/**
 * The report of one run or two as one HTML file that needs no network: the results, the maps, the curves, the definition of every number,
 * and the command that makes it again. The same input gives the same text.
 *
 * @throws E_ARGUMENT or E_SHAPE if names, counts, sizes or classes do not fit together
 */
export async function renderRunReport(input: RunReportInput): Promise<string> {
  checkRunReportInput(input);
  const sections: Section[] = [
    { id: "results", heading: "Results", body: resultsTable(input) },
    { id: "maps", heading: input.runs.length > 1 ? "The maps, side by side" : "The maps", body: maps(input) },
    ...decoySection(input),
    { id: "curves", heading: "Training curves", body: await curveGrids(input) },
    ...epochSection(input),
    ...(await balanceSection(input)),
    { id: "definitions", heading: "What the numbers mean", body: definitions() },
    { id: "configuration", heading: "Configuration", body: configurations(input) },
    { id: "environment", heading: "Environment", body: environmentTable(input) },
    { id: "reproduce", heading: "Do it again", body: reproduction(input) },
  ];
  const lead = markup`<p class="summary">${summarize(input)}</p>${decoyLead(input)}`;
  return renderPage({ title: input.title, lead, sections, style: STYLE });
}

function maps(input: RunReportInput): Markup {
  const who = input.runs.length > 1 ? "The same test images through each network. " : "";
  return markup`<p>${who}A map shows which parts of the image support the true class: the brighter a pixel, the more. Each map is scaled to [0, 1] separately, so compare the shapes of maps and not their brightness.</p>
${mapGallery(input)}${galleryLegend(input)}
<h3>The same maps over the images</h3>
${overlayGallery(input)}`;
}

const definitions = (): Markup => definitionList([...SUBJECTS, ...JUDGED_BY.map(measureDefinition), OBJECTIVE]);

function configurations(input: RunReportInput): Markup {
  const { decoy } = input;
  if (decoy === undefined) return configurationTable(input);
  return markup`${configurationTable(input)}
<h3>With the decoy patch</h3>
${configurationTable(decoy)}`;
}
