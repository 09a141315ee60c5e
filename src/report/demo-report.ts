import { curveGrids } from "./demo-curves.ts";
import { definitionList } from "./demo-definitions.ts";
import { galleryLegend, mapGallery, overlayGallery } from "./demo-gallery.ts";
import { checkDemoInput, type DemoReportInput } from "./demo-input.ts";
import { resultsTable } from "./demo-results.ts";
import { configurationTable, environmentTable, reproduction } from "./demo-settings.ts";
import { STYLE } from "./demo-style.ts";
import { summarize } from "./demo-summary.ts";
import { Markup, markup } from "./markup.ts";

interface Section {
  id: string;
  heading: string;
  body: Markup;
}

/**
 * The report of the demo as one HTML file that needs no network: what came out, the picture of the maps side by side,
 * the curves, what every number means, and how to get them again. The same input gives the same text.
 *
 * @throws E_ARGUMENT and E_SHAPE where names, counts, sizes or classes do not fit together
 */
export function renderDemoReport(input: DemoReportInput): string {
  checkDemoInput(input);
  const sections: Section[] = [
    { id: "results", heading: "Results", body: resultsTable(input) },
    { id: "maps", heading: input.runs.length > 1 ? "The maps, side by side" : "The maps", body: maps(input) },
    { id: "curves", heading: "Training curves", body: curveGrids(input) },
    { id: "definitions", heading: "What the numbers mean", body: definitionList() },
    { id: "configuration", heading: "Configuration", body: configurationTable(input) },
    { id: "environment", heading: "Environment", body: environmentTable(input) },
    { id: "reproduce", heading: "Do it again", body: reproduction(input) },
  ];
  return page(input, sections).text;
}

function maps(input: DemoReportInput): Markup {
  const who = input.runs.length > 1 ? "The same test images through each network. " : "";
  return markup`<p>${who}A map shows which parts of the image speak for the true class: the brighter, the more. Each map is stretched to [0, 1] for itself, so compare shapes and not brightness between maps.</p>
${mapGallery(input)}${galleryLegend(input)}
<h3>The same maps laid over the images</h3>
${overlayGallery(input)}`;
}

function page(input: DemoReportInput, sections: readonly Section[]): Markup {
  const links = sections.map(({ id, heading }) => markup`<li><a href="#${id}">${heading}</a></li>`);
  const bodies = sections.map(({ id, heading, body }) => {
    return markup`<section id="${id}" aria-labelledby="${id}-heading">
<h2 id="${id}-heading">${heading}</h2>
${body}
</section>
`;
  });
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${input.title}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
<header>
<h1>${input.title}</h1>
<p class="summary">${summarize(input)}</p>
<nav aria-label="Contents"><ul>${links}</ul></nav>
</header>
<main>
${bodies}</main>
</body>
</html>
`;
}
