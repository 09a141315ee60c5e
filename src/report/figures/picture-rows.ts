import type { MapSamples } from "../../train/index.ts";
import { isDead } from "../pictures/picture.ts";
import type { FigureInput, FigureRow } from "./cam-figure.ts";
import type { FigureCell } from "./cell.ts";

/** Pixels of a picture; null or undefined if they are missing or damaged. */
type Pixels = Float32Array | null | undefined;

/** Test images with their classes, and the prototypes of all classes. */
export interface SampleSet extends Pick<MapSamples, "classNames" | "height" | "width"> {
  labels: readonly number[];
  images: readonly Pixels[];
  prototypes: readonly Pixels[];
}

/** A row of pictures, one for each sample or class. */
export interface PictureRow extends FigureRow {
  /** Describes each picture for a reader who cannot see it, before ", class 3". */
  what: string;
}

/** The name of a class; its number if it has none. */
export const className = ({ classNames }: Pick<SampleSet, "classNames">, label: number): string =>
  classNames[label] ?? String(label);

/** The class of each sample. */
export const sampleClasses = (set: SampleSet): string[] => set.labels.map((label) => className(set, label));

/** A row of pictures without marks. */
export function imagesRow(
  { height, width }: Pick<SampleSet, "height" | "width">,
  { pixels, ...texts }: Pick<PictureRow, "label" | "what"> & { pixels: readonly Pixels[] },
): PictureRow {
  return { ...texts, cells: pixels.map((one) => (one ? { kind: "image", pixels: one, height, width } : null)) };
}

/** The images of the samples, and the prototype of the class of each. */
export function sampleRows(set: SampleSet): PictureRow[] {
  const prototypes = set.labels.map((label) => set.prototypes[label]);
  return [
    imagesRow(set, { label: "image", what: "Test image", pixels: set.images }),
    imagesRow(set, { label: "prototype", what: "Prototype", pixels: prototypes }),
  ];
}

interface Maps extends Pick<PictureRow, "label" | "what"> {
  maps: readonly Pixels[];
  /** Whether each map is dead; found from its pixels if absent. */
  dead?: readonly boolean[];
  /** The predicted class of each sample; absent if the maps belong to no single image. */
  predictions?: readonly number[];
}

/** A row of maps. Marks show which maps are dead, and which samples were classified wrongly, with the predicted class. */
export function mapsRow(
  set: Omit<SampleSet, "images" | "prototypes">,
  { maps, dead, predictions, ...texts }: Maps,
): PictureRow {
  const { height, width, labels } = set;
  const wrong = maps.map((_, index) => predictions !== undefined && predictions[index] !== labels[index]);
  const cells = maps.map((pixels, index): FigureCell | null => {
    if (!pixels) return null;
    return { kind: "map", pixels, height, width, dead: dead?.[index] ?? isDead(pixels), wrong: wrong[index] ?? false };
  });
  if (predictions === undefined) return { ...texts, cells };
  const captions = predictions.map((label, index) => (wrong[index] ? `read as ${className(set, label)}` : ""));
  return { ...texts, cells, captions };
}

/** The picture of an epoch: a column for each class, with the image, the prototype, and the map of the true class. */
export function mapsFigure(samples: MapSamples, title: string, subtitle: string): FigureInput {
  const rows = [...sampleRows(samples), mapsRow(samples, { ...samples, label: "map", what: "Map" })];
  return { title, subtitle, columns: sampleClasses(samples), rows };
}
