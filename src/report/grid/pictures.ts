import type { AnalysedMethod, AnalysisGroup } from "../../workflows/study/analysis.ts";
import type { CellSamples, DoneCell } from "../../workflows/study/records.ts";
import { camFigure, type FigureInput } from "../figures/cam-figure.ts";
import type { FigureCell } from "../figures/cell.ts";
import type { Figure } from "../figures/figure-page.ts";
import { type Markup, markup } from "../page/markup.ts";
import { isDead } from "../pictures/picture.ts";
import { pngAddress } from "../pictures/png.ts";
import { groupName } from "./input.ts";

/** Rows of pictures, one a method and above them what they are held against; the columns are classes. */
export interface PictureGrid {
  name: string;
  title: string;
  caption: string;
  columns: string[];
  rows: PictureRow[];
}

interface PictureRow {
  label: string;
  /** Of an image: what it shows, before "of class 3". */
  what: string;
  cells: (FigureCell | null)[];
  captions: string[];
}

/** The same test images by every method of a group, each method's first seed. Null where no run has left any. */
export function mapGrid(group: AnalysisGroup, slug: string): PictureGrid | null {
  const shown = shownRuns(group);
  const [first] = shown;
  if (first === undefined) return null;
  const { samples } = first.run;
  const rows = shown.map(({ method, run }) => {
    const wrong = run.samples.predictions.map((predicted, i) => predicted !== run.samples.labels[i]);
    return {
      ...{ label: method, what: `Map by ${method}` },
      cells: run.samples.maps.map((map, i) => mapCell(map, run.samples, wrong[i])),
      captions: run.samples.predictions.map((predicted, i) =>
        wrong[i] ? `read as ${className(run.samples, predicted)}` : "",
      ),
    };
  });
  const own = samples.labels.map((label) => samples.prototypes[label]);
  return {
    ...{ name: `maps-${slug}`, title: `Maps of the same test images: ${groupName(group)}` },
    caption: `The first test image of each class, and the map of its true class by each method${seedWords(shown)}. Each map is stretched to [0, 1] for itself: compare shapes, not brightness.`,
    columns: samples.labels.map((label) => className(samples, label)),
    rows: [
      {
        label: "image",
        what: "Test image",
        cells: samples.images.map((image) => imageCell(image, samples)),
        captions: [],
      },
      { label: "prototype", what: "Prototype", cells: own.map((one) => imageCell(one, samples)), captions: [] },
      ...rows,
    ],
  };
}

/** The mean map of each class beside the class's prototype. */
export function reconstructionGrid(group: AnalysisGroup, slug: string): PictureGrid | null {
  const shown = shownRuns(group);
  const [first] = shown;
  if (first === undefined) return null;
  const { samples } = first.run;
  return {
    ...{ name: `reconstruction-${slug}`, title: `Reconstruction of each class: ${groupName(group)}` },
    caption: `The mean of all test maps of each class, below the class’s prototype, by each method${seedWords(shown)}. Where prototypes are shuffled, global or constant, a method was guided by others than those shown.`,
    columns: [...samples.classNames],
    rows: [
      {
        label: "prototype",
        what: "Prototype",
        cells: samples.prototypes.map((one) => imageCell(one, samples)),
        captions: [],
      },
      ...shown.map(({ method, run }) => ({
        ...{ label: method, what: `Mean map by ${method}`, captions: [] },
        cells: run.samples.meanMaps.map((map) => mapCell(map, run.samples, false)),
      })),
    ],
  };
}

interface Shown {
  method: string;
  run: DoneCell;
}

/** Each method's first seed, where its samples are those of the first method: the same images, of the same size. */
function shownRuns({ methods }: AnalysisGroup): Shown[] {
  const runs = methods.flatMap(({ method, done }: AnalysedMethod) => {
    const [run] = [...done].sort((a, b) => a.seed - b.seed);
    return run === undefined ? [] : [{ method, run }];
  });
  const key = ({ run: { samples } }: Shown) =>
    [samples.height, samples.width, samples.channels, ...samples.labels, ...samples.images].join();
  const [first] = runs;
  return first === undefined ? [] : runs.filter((one) => key(one) === key(first));
}

function seedWords(shown: readonly Shown[]): string {
  const seeds = [...new Set(shown.map(({ run }) => run.seed))];
  return seeds.length === 1 ? `, seed ${seeds[0]}` : ", its first seed";
}

const className = ({ classNames }: CellSamples, label: number): string => classNames[label] ?? String(label);

function imageCell(bytes: string | undefined, samples: CellSamples): FigureCell | null {
  const size = samples.height * samples.width;
  const pixels = pixelsOf(bytes, [size, 3 * size]);
  return pixels === null ? null : { kind: "image", pixels, height: samples.height, width: samples.width };
}

function mapCell(bytes: string, { height, width }: CellSamples, wrong = false): FigureCell | null {
  const pixels = pixelsOf(bytes, [height * width]);
  return pixels === null ? null : { kind: "map", pixels, height, width, wrong, dead: isDead(pixels) };
}

/** Null where the bytes are not those of such a picture. */
function pixelsOf(text: string | undefined, sizes: readonly number[]): Float32Array | null {
  const bytes = Buffer.from(text ?? "", "base64");
  return sizes.includes(bytes.length) && bytes.length > 0 ? Float32Array.from(bytes, (byte) => byte / 255) : null;
}

/** The grid as SVG and PNG. */
export function drawPictures({ title, columns, rows }: PictureGrid): Figure {
  const input: FigureInput = {
    ...{ title, columns },
    rows: rows.map(({ label, cells, captions }) => ({ label, cells, ...(captions.length > 0 ? { captions } : {}) })),
  };
  return camFigure(input);
}

/** The grid on the page: a table that scrolls in its own box. */
export function pictureTable({ title, caption, columns, rows }: PictureGrid): Markup {
  const heads = columns.map((name) => markup`<th scope="col">${name}</th>`);
  const body = rows.map(({ label, what, cells, captions }) => {
    const row = cells.map(
      (cell, i) => markup`<td>${pictureCell(cell, `${what}, class ${columns[i]}`, captions[i])}</td>`,
    );
    return markup`<tr><th scope="row">${label}</th>${row}</tr>\n`;
  });
  return markup`<figure class="pictures"><div class="scroll" tabindex="0" role="region" aria-label="${title}">
<table><thead><tr><th scope="col">class</th>${heads}</tr></thead>
<tbody>${body}</tbody></table></div>
<figcaption>${caption}</figcaption></figure>
`;
}

function pictureCell(cell: FigureCell | null, alt: string, caption = ""): Markup {
  if (cell === null) return markup`<span class="no-picture">–</span>`;
  const address = pngAddress(cell, cell.kind === "map" ? "inferno" : undefined);
  const classes = ["picture", cell.dead ? "dead" : "", cell.wrong ? "wrong" : ""].filter(Boolean).join(" ");
  const words = [alt, cell.dead ? "dead" : "", caption].filter(Boolean).join(", ");
  const under = caption ? markup`<small class="read-as">${caption}</small>` : "";
  return markup`<span class="${classes}"><img src="${address}" alt="${words}" width="${cell.width}" height="${cell.height}"></span>${under}`;
}
