import { counted } from "../../counted.ts";
import { type Markup, markup } from "../page/markup.ts";
import type { Section } from "../page/page.ts";
import { formatCount, formatPercent } from "../text/numbers.ts";
import { type DecoyResults, decoyAccuracy, decoyInWords } from "./decoy-story.ts";
import { galleryLegend, mapGallery } from "./gallery.ts";
import type { DecoyRun, DecoyShown, RunReportInput } from "./input.ts";

/** The paragraph about the runs on the decoy set at the head of the page; null without such runs. */
export function decoyLead({ decoy }: RunReportInput): Markup | null {
  if (decoy === undefined) return null;
  const [plain, guided, control] = decoy.runs.map(({ result }) => formatPercent(decoyAccuracy(result).random, 1));
  return markup`
<p class="summary">Three more networks were trained on digits with a grey patch whose shade shows the class. On test images with a random patch, the plain network is right for ${plain}, the guided one for ${guided}, and a control, which is guided to an image that does not depend on the class, for ${control}: <a href="#decoy">what that shows, and what it does not</a>.</p>`;
}

/** The section about the runs on the decoy set: their accuracies, what these show and what not, and the maps. Empty without such runs. */
export function decoySection({ decoy }: RunReportInput): Section[] {
  if (decoy === undefined) return [];
  const { shows, doesNotShow } = decoyInWords(resultsOf(decoy));
  const body = markup`<p>${shows}</p>
<p>${doesNotShow}</p>
${accuracyTable(decoy)}
<h3>The maps of the same images</h3>
<p>Each test image has the patch of a class drawn at random in one of its corners. The maps of the guided run were guided to the prototypes, which are means of training images with their patches, because no images without patches are available in practice. All maps of the control were guided to one mean image. A map on the digit is not evidence that the network relies on the digit: the accuracies show what it relies on.</p>
${mapGallery(decoy)}${galleryLegend(decoy)}`;
  return [{ id: "decoy", heading: "A patch that reveals the class", body }];
}

function resultsOf({ runs }: DecoyShown): DecoyResults {
  return Object.fromEntries(runs.map(({ name, result }) => [name, result])) as DecoyResults;
}

interface Row {
  label: string;
  note: string;
  cell(run: DecoyRun): number | null;
}

function accuracyTable({ runs }: DecoyShown): Markup {
  const history = runs[0]?.result.history.at(-1);
  const rows: Row[] = [
    {
      label: "patch reveals the class",
      note: `${counted(history?.val.images, "validation image", formatCount)}, as in training`,
      cell: ({ result }) => decoyAccuracy(result).told,
    },
    {
      label: "patch drawn at random",
      note: `${counted(runs[0]?.result.test?.images, "test image", formatCount)}`,
      cell: ({ result }) => decoyAccuracy(result).random,
    },
  ];
  const heads = runs.map(({ name }) => markup`<th scope="col" class="number">${name}</th>`);
  const body = rows.map(({ label, note, cell }) => {
    const cells = runs.map((run) => markup`<td class="number">${formatPercent(cell(run), 1)}</td>`);
    return markup`<tr><th scope="row">${label} <small>(${note})</small></th>${cells}</tr>\n`;
  });
  return markup`<table class="results">
<caption>Accuracy. Plain: trained on the labels alone. Guided: maps guided to the mean image of their class, by both losses. Control: maps guided to the mean of all images, by the Prototype Loss.</caption>
<thead><tr><th scope="col">Images</th>${heads}</tr></thead>
<tbody>${body}</tbody>
</table>`;
}
