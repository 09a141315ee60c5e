import { counted } from "../../counted.ts";
import { BatchCamError } from "../../errors.ts";
import type { BalanceEvent, ExtraMetrics, JudgedRun, StepMetrics } from "../../train/index.ts";
import { channelsOf, expectMap } from "../pictures/picture.ts";
import { DECOY_RUNS, type DecoyRunName } from "./decoy-story.ts";

/** The maps and predictions of a run for some test images. */
export interface MappedRun {
  name: string;
  /** A map `(H, W)` for each sample, normalised to [0, 1]. */
  maps: readonly Float32Array[];
  /** Whether the map of each sample is zero everywhere. */
  dead: readonly boolean[];
  /** The predicted class of each sample. */
  predictions: readonly number[];
}

/** Test images with the maps and predictions of each run. */
export interface MappedSamples {
  runs: readonly MappedRun[];
  /** Test images, grey `(H, W)` or colour `(3, H, W)` in [0, 1], which are the same for all runs. One for each class is best. */
  samples: { images: readonly Float32Array[]; labels: readonly number[]; height: number; width: number };
  /** The prototypes, one for each class, in the shape of the images or `(H, W)`. */
  prototypes: readonly Float32Array[];
  classNames: readonly string[];
}

/** A run that the page is about. */
export interface ReportedRun extends MappedRun {
  name: "plain" | "guided";
  /** The effective configuration, as in the run directory's config.json. */
  config: Record<string, unknown>;
  result: JudgedRun;
  /** The logged steps. They need not be all steps. */
  steps: readonly { step: number; metrics: StepMetrics & ExtraMetrics }[];
  /** The names of the terms that a program added to the loss (none). */
  losses?: readonly string[];
  /** The balance of the losses, if the run has logged it. */
  balance?: readonly Omit<BalanceEvent, "type">[];
}

/** One of the three runs on a decoy set. */
export interface DecoyRun extends MappedRun {
  name: DecoyRunName;
  config: Record<string, unknown>;
  result: JudgedRun;
}

/** The runs on a decoy set, one of each name. */
export interface DecoyShown extends MappedSamples {
  runs: readonly DecoyRun[];
}

/** The input of `renderRunReport`. */
export interface RunReportInput extends MappedSamples {
  title: string;
  /** One run or two. The differences of two runs are shown. */
  runs: readonly ReportedRun[];
  /** Runs on a decoy set, which have a section of their own. */
  decoy?: DecoyShown;
  /** Versions, processor, threads, seed. */
  environment: Record<string, string | number>;
  /** Commands that produce this report again; `npm start` by default. */
  commands?: readonly string[];
  /** Why these do not give exactly the same numbers, one sentence each. */
  caveats?: readonly string[];
}

/** Checks names, counts, sizes and ranges, which types cannot express. Throws E_ARGUMENT or E_SHAPE. */
export function checkRunReportInput(input: RunReportInput): void {
  const { title, runs, decoy } = input;
  if (title.trim() === "") fail("E_ARGUMENT", "title must not be empty");
  const names = runs.map(({ name }) => name);
  if (names.length === 0 || new Set(names).size !== names.length) {
    const got = names.length === 0 ? "none" : names.join(", ");
    fail("E_ARGUMENT", `runs must hold "plain", "guided" or one of each, got ${got}`);
  }
  checkMapped(input, "");
  if (decoy === undefined) return;
  if (DECOY_RUNS.some((name, index) => decoy.runs[index]?.name !== name) || decoy.runs.length !== DECOY_RUNS.length) {
    const got = decoy.runs.map(({ name }) => name).join(", ") || "none";
    fail("E_ARGUMENT", `decoy.runs must be ${DECOY_RUNS.join(", ")}, in this order, got ${got}`);
  }
  checkMapped(decoy, "decoy.");
}

/** @param at a prefix of the arguments' names in messages */
function checkMapped(mapped: MappedSamples, at: string): void {
  const { classNames, prototypes, runs } = mapped;
  if (classNames.length === 0) fail("E_ARGUMENT", `${at}classNames must hold at least one name, got none`);
  expectCount(`${at}prototypes`, prototypes.length, { expected: classNames.length, per: "class" });
  checkSamples(mapped, at);
  for (const run of runs) checkRun(run, mapped, `${at}runs.${run.name}`);
}

function checkSamples({ samples, prototypes, classNames }: MappedSamples, at: string): void {
  const { images, labels, height, width } = samples;
  if (images.length === 0) fail("E_ARGUMENT", `${at}samples.images must hold at least one image, got none`);
  expectCount(`${at}samples.labels`, labels.length, { expected: images.length, per: "image" });
  expectClasses(`${at}samples.labels`, labels, classNames.length);
  images.forEach((pixels, index) => {
    channelsOf({ pixels, height, width }, `renderRunReport: ${at}samples.images[${index}]`);
  });
  prototypes.forEach((pixels, index) => {
    channelsOf({ pixels, height, width }, `renderRunReport: ${at}prototypes[${index}]`);
  });
}

function checkRun(run: MappedRun, { samples, classNames }: MappedSamples, where: string): void {
  const { images, height, width } = samples;
  for (const list of ["maps", "dead", "predictions"] as const) {
    expectCount(`${where}.${list}`, run[list].length, { expected: images.length, per: "sample" });
  }
  expectClasses(`${where}.predictions`, run.predictions, classNames.length);
  run.maps.forEach((pixels, index) => {
    expectMap({ pixels, height, width }, `renderRunReport: ${where}.maps[${index}]`);
  });
}

function expectClasses(argument: string, values: readonly number[], classes: number): void {
  const bad = values.findIndex((value) => !Number.isInteger(value) || value < 0 || value >= classes);
  if (bad < 0) return;
  fail("E_ARGUMENT", `${argument}[${bad}] must be a class from 0 to ${classes - 1}, got ${values[bad]}`);
}

function expectCount(argument: string, got: number, { expected, per }: { expected: number; per: string }): void {
  if (got !== expected)
    fail("E_SHAPE", `${argument} must hold ${counted(expected, "entry")}, one per ${per}, got ${got}`);
}

function fail(code: "E_ARGUMENT" | "E_SHAPE", message: string): never {
  throw new BatchCamError(code, `renderRunReport: ${message}`);
}
