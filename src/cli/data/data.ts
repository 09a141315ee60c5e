import { join } from "node:path";
import { writeFileAtomically } from "../../atomic-file.ts";
import type { DataConfig } from "../../config/index.ts";
import { dataName } from "../../config/internal.ts";
import { counted, grouped } from "../../counted.ts";
import {
  classCounts,
  type Dataset,
  disposeDataset,
  gatherPixels,
  loadDataset,
  prototypeShape,
  prototypes,
  type Split,
} from "../../data/index.ts";
import { describeShape } from "../../data/internal.ts";
import { camFigure, type FigureInput } from "../../report/index.ts";
import { type Tensor, tidy } from "../../tensor/index.ts";
import { datasetOptions } from "../../train/internal.ts";
import type { CommandCall, Outcome } from "../command.ts";
import { formatTable } from "../table.ts";
import { percent } from "../train/progress-lines.ts";
import { warnTo } from "../warn.ts";
import { checkData, type DataChecks } from "./checks.ts";

/** `batch-cam data`: loads a data set, which also checks it, and prints its splits and classes. */
export async function runData({
  config,
  stdout,
  stderr,
}: Pick<CommandCall, "stdout" | "stderr"> & { config: unknown }): Promise<Outcome> {
  const given = config as DataConfig;
  const label = dataName(given);
  const { picture = join("runs", "data", `${label}.png`), json } = given;
  const dataset = await loadDataset(given.dataset, datasetOptions(given));
  try {
    const checks = checkData(dataset, given.dataDir ?? given.dataset);
    checks.warnings.forEach(warnTo(stderr));
    const shape = prototypeShape(dataset.train);
    if (json) stdout.write(`${JSON.stringify({ ...dataSummary(dataset, checks), prototypes: shape })}\n`);
    else stdout.write(`${tableOf(dataset, { label, heldOut: checks.heldOut })}${describeShape(shape)}\n`);
    const figure = await figureOf(dataset, label);
    await writeFileAtomically(picture, camFigure(figure).png);
    if (!json) stdout.write(`picture: ${picture}\n`);
    return "done";
  } finally {
    disposeDataset(dataset);
  }
}

const splitsOf = ({ train, val, test }: Dataset): Split[] => (val === undefined ? [train, test] : [train, val, test]);
const countsOf = ({ labels, numClasses }: Split): number[] => classCounts(labels, numClasses);

function dataSummary(dataset: Dataset, { heldOut, thinClasses, identicalImages }: DataChecks) {
  const { name, classNames, normalization, train } = dataset;
  const byClass = (counts: readonly number[]) => Object.fromEntries(classNames.map((name, i) => [name, counts[i]]));
  const splits = splitsOf(dataset).map((split) => [split.name, byClass(countsOf(split))] as const);
  const [, channels, height, width] = train.images.sizes;
  return {
    name,
    channels,
    height,
    width,
    normalization,
    splits: Object.fromEntries(splits),
    masks: train.masks !== undefined,
    heldOutForValidation: heldOut === null ? null : byClass(heldOut),
    ...{ thinClasses, identicalImages },
  };
}

function tableOf(dataset: Dataset, { label, heldOut }: { label: string; heldOut: readonly number[] | null }): string {
  const { classNames, normalization, train } = dataset;
  const splits = splitsOf(dataset);
  const counts = splits.map(countsOf);
  const total = (of: readonly number[]) => of.reduce((sum, n) => sum + n, 0);
  const [first = []] = counts;
  const rows = classNames.map((name, i) => [
    name,
    ...counts.map((of) => (of[i] ?? 0).toLocaleString("en")),
    percent((first[i] ?? 0) / total(first)),
  ]);
  const sums = ["all", ...counts.map((of) => total(of).toLocaleString("en")), percent(1)];
  const [, channels, height, width] = train.images.sizes;
  const figures = (list: readonly number[]) => list.map((value) => value.toFixed(4)).join(", ");
  return [
    `${label}: ${counted(classNames.length, "class")}, images of ${channels}x${height}x${width}${train.masks ? ", with masks" : ""}`,
    `training pixels in [0, 1]: mean ${figures(normalization.mean)}, deviation ${figures(normalization.std)}`,
    "",
    formatTable(["class", ...splits.map((split) => split.name), "share of train"], [...rows, sums]),
    balance(first),
    heldOut !== null
      ? `Training holds out ${total(heldOut).toLocaleString("en")} of the train images for validation (--val-images).`
      : "",
    "",
  ].join("\n");
}

/** A sentence on how balanced the classes are, with the train options for unequal classes. */
function balance(counts: readonly number[]): string {
  const present = counts.filter((count) => count > 0);
  const ratio = Math.max(...present) / Math.min(...present);
  if (ratio < 1.5) return "The classes are about equally large.";
  return `The largest class has ${ratio.toFixed(1)} times the images of the smallest: see --sampler balanced and --class-weights balanced.`;
}

/** One column per class: its first training image and its prototype. */
async function figureOf(dataset: Dataset, label: string): Promise<FigureInput> {
  const { classNames, train } = dataset;
  const labels = Array.from(train.labels.data() as BigInt64Array, Number);
  const [, , height = 0, width = 0] = train.images.sizes;
  const means = await prototypes(train);
  const pixelsOf = (image: Tensor) => image.data() as Float32Array;
  const first = tidy(() =>
    classNames.map((_, label) => {
      const at = labels.indexOf(label);
      if (at < 0) return null;
      const pixels = gatherPixels(train, Int32Array.of(at));
      return { kind: "image", pixels: pixelsOf(pixels).slice(), height, width } as const;
    }),
  );
  const averages = tidy(() =>
    means.unbind(0).map((image) => ({ kind: "image", pixels: pixelsOf(image).slice(), height, width }) as const),
  );
  means.dispose();
  return {
    title: label,
    subtitle: `${counted(labels.length, "training image", grouped)} in ${counted(classNames.length, "class")}`,
    columns: [...classNames],
    rows: [
      { label: "first image", cells: first },
      { label: "prototype", cells: averages },
    ],
  };
}
