import { counted } from "../../counted.ts";
import type { AnalysisGroup } from "../../workflows/study/analysis.ts";
import type { DoneCell } from "../../workflows/study/records.ts";
import type { GridSettings, Setting, SettingsRow } from "../../workflows/study/settings.ts";
import { type Markup, markup } from "../page/markup.ts";
import { formatCount } from "../text/numbers.ts";

/** Classes that are named; of more, the others are counted. */
const MOST_NAMED = 20;
/** Characters of a digest that tell data sets apart. */
const DIGEST = 12;

interface Used {
  /** As the grid calls it. */
  name: string;
  done: readonly DoneCell[];
}

/** The data of each of the grid's data sets whose runs have finished. */
function usedIn(groups: readonly AnalysisGroup[]): Used[] {
  const used = new Map<string, DoneCell[]>();
  for (const { dataset, methods } of groups)
    used.set(dataset, [...(used.get(dataset) ?? []), ...methods.flatMap(({ done }) => done)]);
  return Array.from(used, ([name, done]) => ({ name, done })).filter(({ done }) => done.length > 0);
}

/** What the grid's data sets are: their kind, where they lie, and how large they are. */
export function dataTable(groups: readonly AnalysisGroup[]): Markup {
  const used = usedIn(groups);
  if (used.length === 0) return markup`<p>No run has finished.</p>`;
  const digests = used.some(({ done }) => done.some(({ data }) => data !== undefined));
  const note = digests
    ? markup`<p class="note">The digest is one of all images and labels: where it is the same, the data are the same.</p>\n`
    : null;
  return markup`${note}<table class="settings"><tbody>${used.map(row)}</tbody></table>`;
}

function row({ name, done }: Used): Markup {
  const each = (of: (cell: DoneCell) => string | undefined) => distinct(done, of).join(" or ");
  const [place, digest] = [each(({ config }) => config.dataDir), each(({ data }) => data?.slice(0, DIGEST))];
  const parts = [
    markup`${each(({ config }) => config.dataset)}${place === "" ? "" : markup` in <code>${place}</code>`}`,
    each(imagesInWords),
    each(({ samples: { channels, height, width } }) => `${height}x${width} pixels in ${counted(channels, "channel")}`),
    each(({ samples }) => classesInWords(samples.classNames)),
    ...(digest === "" ? [] : [markup`digest <code>${digest}</code>`]),
  ];
  const text = parts.map((part, index) => (index === 0 ? markup`${part}` : markup`; ${part}`));
  return markup`<tr><th scope="row">${name}</th><td>${text}</td></tr>\n`;
}

/** Of the images that a run used; earlier versions kept the number of the test images alone. */
function imagesInWords({ images, test }: DoneCell): string {
  if (images === undefined) return counted(test.images, "test image", formatCount);
  const { train, val } = images;
  return `${formatCount(train)} training, ${formatCount(val)} validation and ${counted(images.test, "test image", formatCount)}`;
}

function classesInWords(names: readonly string[]): string {
  const rest = names.length - MOST_NAMED;
  const list = names.slice(0, MOST_NAMED).join(", ");
  return `${counted(names.length, "class", formatCount)}: ${rest > 0 ? `${list} and ${rest} more` : list}`;
}

/** "pets (folder photos/pets)" for data of one's own, else the name alone. */
export function dataInWords(groups: readonly AnalysisGroup[]): string {
  const places = new Map(usedIn(groups).map(({ name, done }) => [name, distinct(done, placeOf).join(" or ")]));
  return [...new Set(groups.map(({ dataset }) => dataset))]
    .map((name) => (places.get(name) ? `${name} (${places.get(name)})` : name))
    .join(", ");
}

const placeOf = ({ config: { dataset, dataDir } }: DoneCell): string | undefined =>
  dataDir === undefined ? undefined : `${dataset} ${dataDir}`;

function distinct(cells: readonly DoneCell[], of: (cell: DoneCell) => string | undefined): string[] {
  return [...new Set(cells.flatMap((cell) => of(cell) ?? []))];
}

/** What tells of one run alone, or of whose machine it was. */
const APART: ReadonlySet<string> = new Set(["seed", "startedAt", "host"]);
/** More values than this are counted. */
const MOST = 4;

/** Versions and machines of all runs: every value that occurs. */
export function hardwareTable(groups: readonly AnalysisGroup[]): Markup {
  const values = new Map<string, Set<string>>();
  for (const { environment } of groups.flatMap(({ methods }) => methods.flatMap(({ done }) => done)))
    for (const [key, value] of Object.entries(environment))
      if (!APART.has(key) && value !== null && value !== undefined)
        values.set(key, (values.get(key) ?? new Set()).add(String(value)));
  const rows = Array.from(values, ([key, found]) => {
    const [first, ...others] = found;
    const text = found.size > MOST ? `${first} and ${counted(others.length, "other")}` : [...found].join(", ");
    return markup`<tr><th scope="row">${key}</th><td><code>${text}</code></td></tr>\n`;
  });
  if (rows.length === 0) return markup`<p>No run has finished.</p>`;
  return markup`<table class="settings"><tbody>${rows}</tbody></table>`;
}

const HEADINGS: Readonly<Record<SettingsRow["of"], string>> = {
  ...{ model: "model", dataset: "data set", method: "method", run: "run" },
};

/** The train options of a grid: what all runs share, and what each row of the grid has beside it. */
export function settingsTable({ common, rows }: GridSettings): Markup {
  if (common.length + rows.length === 0) return markup`<p>No run has finished.</p>`;
  const lines = rows.map(({ of, name, settings }) => line(`${HEADINGS[of]} ${name}`, settings));
  return markup`<p class="note">Train options by their names in a grid’s file; those that are not named have their defaults.</p>
<table class="settings"><tbody>${line("all runs", common)}${lines}</tbody></table>`;
}

function line(name: string, settings: readonly Setting[]): Markup {
  const options = settings.map(([option, value], index) => {
    return markup`${index === 0 ? "" : ", "}${option} <code>${value}</code>`;
  });
  return markup`<tr><th scope="row">${name}</th><td>${options}</td></tr>\n`;
}
