import { overlay } from "../pictures/overlay.ts";
import { pngAddress, scaleAddress } from "../pictures/png.ts";
import type { MappedRun, MappedSamples } from "../run/input.ts";
import { type Markup, markup } from "./markup.ts";

/** More samples than this continue in another band below. */
const MAX_COLUMNS = 12;

/** One row of a gallery on a wide page, one column on a narrow one. */
interface Strip {
  label: string;
  cell(sample: number): Markup;
}

/** The picture: for the same test samples the image, the prototype of its class, and the map of each run. */
export function mapGallery(input: MappedSamples): Markup {
  const { samples, prototypes } = input;
  const size = { height: samples.height, width: samples.width };
  const image: Strip = {
    label: "image",
    cell: (sample) => picture(address(samples.images[sample], size), `Test image of class ${className(input, sample)}`),
  };
  const prototype: Strip = {
    label: "prototype",
    cell: (sample) => {
      const pixels = prototypes[samples.labels[sample] ?? 0];
      return picture(address(pixels, size), `Prototype of class ${className(input, sample)}`);
    },
  };
  const maps = input.runs.map((run) => mapStrip(input, run));
  return gallery(input, [image, prototype, ...maps]);
}

/** The same maps laid over the images. */
export function overlayGallery(input: MappedSamples): Markup {
  const { samples } = input;
  const size = { height: samples.height, width: samples.width };
  const strips = input.runs.map(
    (run): Strip => ({
      label: `${run.name} on image`,
      cell: (sample) => {
        const pixels = overlay(samples.images[sample] ?? NOTHING, run.maps[sample] ?? NOTHING, size);
        const alt = `${run.name} map laid over the test image of class ${className(input, sample)}`;
        return picture(address(pixels, size), alt, { dead: run.dead[sample] ?? false });
      },
    }),
  );
  return gallery(input, strips);
}

/** The colour scale of the maps, and what their marks mean. */
export function galleryLegend({ runs, samples }: MappedSamples): Markup {
  const dead = runs.some((run) => run.dead.includes(true));
  const wrong = runs.some(({ predictions }) => predictions.some((value, index) => value !== samples.labels[index]));
  return markup`<p class="legend"><span class="scale"><span>map value 0</span><img src="${scaleAddress()}" alt="Colour scale of the maps from 0, black, over purple and orange to 1, pale yellow" width="256" height="1"><span>1</span></span>
${dead ? markup`<span><span class="swatch dead"></span> dead map, zero everywhere</span>` : ""}
${wrong ? markup`<span><span class="swatch wrong">×</span> wrong prediction, with the class that was predicted</span>` : ""}</p>`;
}

const NOTHING = new Float32Array(0);

function mapStrip(input: MappedSamples, run: MappedRun): Strip {
  const { height, width, labels } = input.samples;
  return {
    label: `${run.name} map`,
    cell: (sample) => {
      const predicted = run.predictions[sample] ?? 0;
      const wrong = predicted !== labels[sample];
      const dead = run.dead[sample] ?? false;
      const said = input.classNames[predicted] ?? "";
      const alt = `${run.name} map of the test image of class ${className(input, sample)}, predicted as ${said}${dead ? "; dead: zero everywhere" : ""}`;
      const pixels = { pixels: run.maps[sample] ?? NOTHING, height, width };
      return picture(pngAddress(pixels, "inferno"), alt, { dead, caption: wrong ? `read as ${said}` : "" });
    },
  };
}

function gallery(input: MappedSamples, strips: readonly Strip[]): Markup {
  const count = input.samples.images.length;
  const perBand = Math.ceil(count / Math.ceil(count / MAX_COLUMNS));
  const bands: Markup[] = [];
  for (let start = 0; start < count; start += perBand) bands.push(band(input, strips, [start, start + perBand]));
  return markup`${bands}`;
}

// Rows of the accessible table are samples; the style sheet shows them as columns where the page is wide.
function band(input: MappedSamples, strips: readonly Strip[], [start, end]: [number, number]): Markup {
  const heads = strips.map(({ label }) => markup`<span role="columnheader">${label}</span>`);
  const samples = input.samples.images.slice(start, end).map((_, index) => {
    const cells = strips.map(({ cell }) => markup`<span role="cell">${cell(start + index)}</span>`);
    return markup`<div role="row"><b role="rowheader">${className(input, start + index)}</b>${cells}</div>\n`;
  });
  const title = strips.map(({ label }) => label).join(", ");
  return markup`<div class="gallery" role="table" aria-label="${title}, by class" style="--strips:${strips.length};--samples:${samples.length}">
<div role="row"><span role="columnheader" class="corner">class</span>${heads}</div>
${samples}</div>
`;
}

interface PictureMarks {
  dead?: boolean;
  /** The wrong prediction; none where it is right. */
  caption?: string;
}

function picture(source: string, alt: string, { dead = false, caption = "" }: PictureMarks = {}): Markup {
  const classes = ["picture", dead ? "dead" : "", caption ? "wrong" : ""].filter(Boolean).join(" ");
  const under = caption ? markup`<small class="read-as">${caption}</small>` : "";
  return markup`<span class="${classes}"><img src="${source}" alt="${alt}"></span>${under}`;
}

function address(pixels: Float32Array | undefined, size: { height: number; width: number }): string {
  return pngAddress({ pixels: pixels ?? NOTHING, ...size });
}

function className({ samples, classNames }: MappedSamples, sample: number): string {
  return classNames[samples.labels[sample] ?? 0] ?? "";
}
