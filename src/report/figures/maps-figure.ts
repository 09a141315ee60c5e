import type { MapSamples } from "../../train/run/events.ts";
import type { FigureInput } from "../index.ts";

/** One column a class: the image, the prototype it is held against, and the map of its true class. */
export function mapsFigure(samples: MapSamples, title: string, subtitle: string): FigureInput {
  const { height, width, labels, predictions, classNames } = samples;
  const image = (pixels: Float32Array) => ({ kind: "image", pixels, height, width }) as const;
  const wrong = (index: number) => predictions[index] !== labels[index];
  const maps = samples.maps.map((pixels, index) => {
    return { kind: "map", pixels, height, width, dead: samples.dead[index] ?? false, wrong: wrong(index) } as const;
  });
  const prototypes = labels.map((label) => samples.prototypes[label]);
  return {
    title,
    subtitle,
    columns: labels.map((label) => classNames[label] ?? String(label)),
    rows: [
      { label: "image", cells: samples.images.map(image) },
      { label: "prototype", cells: prototypes.map((pixels) => (pixels === undefined ? null : image(pixels))) },
      {
        label: "map",
        cells: maps,
        captions: predictions.map((predicted, index) => (wrong(index) ? `read as ${classNames[predicted]}` : "")),
      },
    ],
  };
}
