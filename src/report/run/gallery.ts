import { mapsRow, type PictureRow, sampleClasses, sampleRows } from "../figures/picture-rows.ts";
import { type Gallery, gallery, mapLegend, marksOf } from "../page/gallery.ts";
import type { Markup } from "../page/markup.ts";
import { overlay } from "../pictures/overlay.ts";
import type { MappedSamples } from "./input.ts";

/** The image, the prototype of its class and the map of each run, for the same test samples. */
export function mapGallery(input: MappedSamples): Markup {
  return gallery(galleryOf(input, [...sampleRows(setOf(input)), ...mapRows(input)]));
}

/** The same maps over the images. */
export function overlayGallery(input: MappedSamples): Markup {
  const { images, height, width } = input.samples;
  const rows = input.runs.map(({ name, maps, dead }) => ({
    label: `${name} on image`,
    what: `Map by ${name} over the test image`,
    cells: maps.map((map, index) => {
      const pixels = overlay(images[index] ?? NOTHING, map, { height, width });
      return { kind: "overlay" as const, pixels, height, width, dead: dead[index] ?? false };
    }),
  }));
  return gallery(galleryOf(input, rows));
}

/** The legend of both galleries. */
export const galleryLegend = (input: MappedSamples): Markup => mapLegend(marksOf(mapRows(input)));

const NOTHING = new Float32Array(0);

const setOf = ({ samples, prototypes, classNames }: MappedSamples) => ({ ...samples, prototypes, classNames });

function galleryOf(input: MappedSamples, rows: readonly PictureRow[]): Gallery {
  return { name: `${rows.map(({ label }) => label).join(", ")}, by class`, columns: sampleClasses(setOf(input)), rows };
}

function mapRows(input: MappedSamples): PictureRow[] {
  return input.runs.map(({ name, maps, dead, predictions }) =>
    mapsRow(setOf(input), { label: `${name} map`, what: `Map by ${name}`, maps, dead, predictions }),
  );
}
