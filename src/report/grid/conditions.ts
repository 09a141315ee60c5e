import { counted } from "../../counted.ts";
import type { AnalysisGroup, DoneRun, GridSettings, Setting, SettingsRow } from "../../workflows/internal.ts";
import { type Markup, markup } from "../page/markup.ts";
import { formatCount } from "../text/numbers.ts";

/** The largest number of classes that are named. Further classes are only counted. */
const MOST_NAMED = 20;
/** The number of characters of a digest that are shown. */
const DIGEST = 12;

interface Used {
  /** The name of the data set in the grid. */
  name: string;
  done: readonly DoneRun[];
}

/** The data of each of the grid's data sets whose runs have finished. */
function usedIn(groups: readonly AnalysisGroup[]): Used[] {
  const used = new Map<string, DoneRun[]>();
  for (const { dataset, methods } of groups)
    used.set(dataset, [...(used.get(dataset) ?? []), ...methods.flatMap(({ done }) => done)]);
  return Array.from(used, ([name, done]) => ({ name, done })).filter(({ done }) => done.length > 0);
}

/** A table of the grid's data sets: their kind, folder and size. */
export function dataTable(groups: readonly AnalysisGroup[]): Markup {
  const used = usedIn(groups);
  if (used.length === 0) return markup`<p>No run has finished.</p>`;
  const digests = used.some(({ done }) => done.some(({ data }) => data !== undefined));
  const note = digests
    ? markup`<p class="note">The digest covers all images and labels: equal digests mean equal data.</p>\n`
    : null;
  return markup`${note}<table class="settings"><tbody>${used.map(row)}</tbody></table>`;
}

function row({ name, done }: Used): Markup {
  const each = (of: (run: DoneRun) => string | undefined) => distinct(done, of).join(" or ");
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

/** The numbers of images that a run used. Records of earlier versions have only that of the test images. */
function imagesInWords({ images, test }: DoneRun): string {
  if (images === undefined) return counted(test.images, "test image", formatCount);
  const { train, val } = images;
  return `${formatCount(train)} training, ${formatCount(val)} validation and ${counted(images.test, "test image", formatCount)}`;
}

function classesInWords(names: readonly string[]): string {
  const rest = names.length - MOST_NAMED;
  const list = names.slice(0, MOST_NAMED).join(", ");
  return `${counted(names.length, "class", formatCount)}: ${rest > 0 ? `${list} and ${rest} more` : list}`;
}

/** "pets (folder photos/pets)" for the user's own data; otherwise only the name. */
export function dataInWords(groups: readonly AnalysisGroup[]): string {
  const places = new Map(usedIn(groups).map(({ name, done }) => [name, distinct(done, placeOf).join(" or ")]));
  return [...new Set(groups.map(({ dataset }) => dataset))]
    .map((name) => (places.get(name) ? `${name} (${places.get(name)})` : name))
    .join(", ");
}

const placeOf = ({ config: { dataset, dataDir } }: DoneRun): string | undefined =>
  dataDir === undefined ? undefined : `${dataset} ${dataDir}`;

function distinct(runs: readonly DoneRun[], of: (run: DoneRun) => string | undefined): string[] {
  return [...new Set(runs.flatMap((run) => of(run) ?? []))];
}

/** Keys that are left out, because they differ for every run, or name the machine. */
const APART: ReadonlySet<string> = new Set(["seed", "startedAt", "host"]);
/** The largest number of values that are listed. More values are only counted. */
const MOST = 4;

/** A table of the versions and machines of all runs, with every value that occurs. */
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

/** A table of the train options of a grid: those of all runs, and those of each row of the grid. */
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
