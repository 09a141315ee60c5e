import { BatchCamError } from "../errors.ts";
import type { BalanceEvent, JudgedRun, StepMetrics } from "../train/events.ts";
import { channelsOf, expectMap } from "./picture.ts";

/** One of the two runs that the report compares. */
export interface DemoRun {
  name: "plain" | "guided";
  /** The effective configuration, as in the run directory's config.json. */
  config: Record<string, unknown>;
  result: JudgedRun;
  /** The logged steps; one every few is enough. */
  steps: readonly { step: number; metrics: StepMetrics }[];
  /** What the run has logged of the balance of its losses. */
  balance?: readonly Omit<BalanceEvent, "type">[];
  /** One map `(H, W)` per sample, normalised to [0, 1]. */
  maps: readonly Float32Array[];
  /** Whether the map of each sample is zero everywhere. */
  dead: readonly boolean[];
  /** The predicted class of each sample. */
  predictions: readonly number[];
}

/** What `renderDemoReport` shows. */
export interface DemoReportInput {
  title: string;
  /** One run or two; with both, their differences are shown. */
  runs: readonly DemoRun[];
  /** Test images, grey `(H, W)` or colour `(3, H, W)` in [0, 1], the same for both runs; one per class is best. */
  samples: { images: readonly Float32Array[]; labels: readonly number[]; height: number; width: number };
  /** The class means, one per class, shaped as the images or `(H, W)`. */
  prototypes: readonly Float32Array[];
  classNames: readonly string[];
  /** Versions, processor, threads, seed. */
  environment: Record<string, string | number>;
  /** Commands that produce this report again; `npm start` by default. */
  commands?: readonly string[];
}

/** Checks what the types cannot: names, counts, sizes and ranges. Throws E_ARGUMENT or E_SHAPE. */
export function checkDemoInput(input: DemoReportInput): void {
  const { title, runs, classNames, prototypes } = input;
  if (title.trim() === "") fail("E_ARGUMENT", "title must not be empty");
  const names = runs.map(({ name }) => name);
  if (names.length === 0 || new Set(names).size !== names.length) {
    const got = names.length === 0 ? "none" : names.join(", ");
    fail("E_ARGUMENT", `runs must hold "plain", "guided" or one of each, got ${got}`);
  }
  if (classNames.length === 0) fail("E_ARGUMENT", "classNames must hold at least one name, got none");
  expectCount("prototypes", prototypes.length, { expected: classNames.length, per: "class" });
  checkSamples(input);
  for (const run of runs) checkRun(run, input);
}

function checkSamples({ samples, prototypes, classNames }: DemoReportInput): void {
  const { images, labels, height, width } = samples;
  if (images.length === 0) fail("E_ARGUMENT", "samples.images must hold at least one image, got none");
  expectCount("samples.labels", labels.length, { expected: images.length, per: "image" });
  expectClasses("samples.labels", labels, classNames.length);
  images.forEach((pixels, index) => {
    channelsOf({ pixels, height, width }, `renderDemoReport: samples.images[${index}]`);
  });
  prototypes.forEach((pixels, index) => {
    channelsOf({ pixels, height, width }, `renderDemoReport: prototypes[${index}]`);
  });
}

function checkRun(run: DemoRun, { samples, classNames }: DemoReportInput): void {
  const where = `runs.${run.name}`;
  const { images, height, width } = samples;
  for (const list of ["maps", "dead", "predictions"] as const) {
    expectCount(`${where}.${list}`, run[list].length, { expected: images.length, per: "sample" });
  }
  expectClasses(`${where}.predictions`, run.predictions, classNames.length);
  run.maps.forEach((pixels, index) => {
    expectMap({ pixels, height, width }, `renderDemoReport: ${where}.maps[${index}]`);
  });
}

function expectClasses(argument: string, values: readonly number[], classes: number): void {
  const bad = values.findIndex((value) => !Number.isInteger(value) || value < 0 || value >= classes);
  if (bad < 0) return;
  fail("E_ARGUMENT", `${argument}[${bad}] must be a class from 0 to ${classes - 1}, got ${values[bad]}`);
}

function expectCount(argument: string, got: number, { expected, per }: { expected: number; per: string }): void {
  if (got !== expected) fail("E_SHAPE", `${argument} must hold ${expected} entries, one per ${per}, got ${got}`);
}

function fail(code: "E_ARGUMENT" | "E_SHAPE", message: string): never {
  throw new BatchCamError(code, `renderDemoReport: ${message}`);
}
