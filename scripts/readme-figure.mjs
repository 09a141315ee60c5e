#!/usr/bin/env node
// Draws docs/images/mnist-maps.png from the two runs of the demo: `npm start && node scripts/readme-figure.mjs`.
import { mkdirSync, writeFileSync } from "node:fs";
import { camFigure } from "../dist/report/index.js";
import { evaluate } from "../dist/train.js";

const runs = { plain: await evaluate("runs/demo/plain"), guided: await evaluate("runs/demo/guided") };
const { height, width, images, labels, prototypes, classNames } = runs.plain.samples;
/**
 * @param {"image" | "map"} kind
 * @returns {(pixels: Float32Array) => import("../dist/report/index.js").FigureCell}
 */
const cell = (kind) => (pixels) => ({ kind, pixels, height, width });
/**
 * The maps of a run, with the marks of the report for dead maps and for misread digits.
 *
 * @param {keyof typeof runs} label
 */
function mapRow(label) {
  const { maps, dead, predictions } = runs[label].samples;
  const wrong = predictions.map((predicted, i) => predicted !== labels[i]);
  return {
    label,
    cells: maps.map((pixels, i) => ({ ...cell("map")(pixels), dead: dead[i] === true, wrong: wrong[i] === true })),
    captions: predictions.map((predicted, i) => (wrong[i] ? `read as ${classNames[predicted]}` : "")),
  };
}

const { png } = camFigure({
  title: "Grad-CAM of the true class on MNIST test images",
  subtitle: Object.entries(runs)
    .map(
      ([name, { test }]) =>
        `${name}: accuracy ${(100 * test.accuracy).toFixed(2)} %, SSIM of map and prototype ${test.mapSsim.toFixed(3)}`,
    )
    .join("   ·   "),
  columns: labels.map((label) => classNames[label] ?? ""),
  rows: [
    { label: "image", cells: images.map(cell("image")) },
    { label: "prototype", cells: labels.map((label) => cell("image")(prototypes[label] ?? new Float32Array())) },
    mapRow("plain"),
    mapRow("guided"),
  ],
});
mkdirSync("docs/images", { recursive: true });
writeFileSync("docs/images/mnist-maps.png", png);
