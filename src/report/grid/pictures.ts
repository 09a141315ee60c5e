import type { AnalysisGroup, DoneRun, RunSamples } from "../../workflows/internal.ts";
import { camFigure } from "../figures/cam-figure.ts";
import type { Figure } from "../figures/figure-page.ts";
import {
  imagesRow,
  mapsRow,
  type PictureRow,
  type SampleSet,
  sampleClasses,
  sampleRows,
} from "../figures/picture-rows.ts";
import { gallery } from "../page/gallery.ts";
import { type Markup, markup } from "../page/markup.ts";
import { groupName } from "./input.ts";

/** Rows of pictures of a group: one for each method, below what its maps are compared with. The columns are classes. */
export interface PictureFigure {
  /** The name of its files. */
  name: string;
  title: string;
  caption: string;
  columns: string[];
  rows: PictureRow[];
}

/** The maps of the same test images by every method of a group, from each method's first seed. Null if no run has left any. */
export function mapsOfMethods(group: AnalysisGroup, slug: string): PictureFigure | null {
  const shown = shownRuns(group);
  const [first] = shown;
  if (first === undefined) return null;
  const rows = shown.map(({ method, run: { samples } }) => {
    const { predictions } = samples;
    const maps = samples.maps.map((map) => pixelsOf(map, samples, 1));
    return mapsRow(samples, { label: method, what: `Map by ${method}`, maps, predictions });
  });
  const set = sampleSet(first.run.samples);
  return {
    name: `maps-${slug}`,
    title: `Maps of the same test images: ${groupName(group)}`,
    caption: `The first test image of each class, and the map of its true class by each method${seedWords(shown)}. Each map is scaled to [0, 1] separately: compare shapes, not brightness.`,
    columns: sampleClasses(set),
    rows: [...sampleRows(set), ...rows],
  };
}

/** The mean map of each class by every method, below the prototype of the class. */
export function reconstructions(group: AnalysisGroup, slug: string): PictureFigure | null {
  const shown = shownRuns(group);
  const [first] = shown;
  if (first === undefined) return null;
  const set = sampleSet(first.run.samples);
  const rows = shown.map(({ method, run: { samples } }) => {
    const maps = samples.meanMaps.map((map) => pixelsOf(map, samples, 1));
    return mapsRow(samples, { label: method, what: `Mean map by ${method}`, maps });
  });
  return {
    name: `reconstruction-${slug}`,
    title: `Reconstruction of each class: ${groupName(group)}`,
    caption: `The mean of all test maps of each class, below the prototype of the class, by each method${seedWords(shown)}. If prototypes are shuffled, global or constant, a method was guided by others than those shown.`,
    columns: [...set.classNames],
    rows: [imagesRow(set, { label: "prototype", what: "Prototype", pixels: set.prototypes }), ...rows],
  };
}

interface Shown {
  method: string;
  run: DoneRun;
}

/** The first seed of each method whose samples are those of the first method: the same images, of the same size. */
function shownRuns({ methods }: AnalysisGroup): Shown[] {
  const runs = methods.flatMap(({ method, done }) => {
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

/** The samples with their pictures decoded. */
function sampleSet(samples: RunSamples): SampleSet {
  const decoded = (pictures: readonly string[]) => pictures.map((one) => pixelsOf(one, samples, 1, 3));
  return { ...samples, images: decoded(samples.images), prototypes: decoded(samples.prototypes) };
}

/** Null if the bytes are not those of a picture of this size with one of these numbers of channels. */
function pixelsOf(text: string, { height, width }: RunSamples, ...channels: number[]): Float32Array | null {
  const bytes = Buffer.from(text, "base64");
  const isWhole = channels.some((count) => bytes.length === count * height * width) && bytes.length > 0;
  return isWhole ? Float32Array.from(bytes, (byte) => byte / 255) : null;
}

/** The figure as SVG and PNG. */
export const drawPictures = ({ title, columns, rows }: PictureFigure): Figure => camFigure({ title, columns, rows });

/** The figure on the page. */
export function pictureMarkup({ title, caption, columns, rows }: PictureFigure): Markup {
  return markup`<figure class="pictures">${gallery({ name: title, columns, rows })}
<figcaption>${caption}</figcaption></figure>
`;
}
