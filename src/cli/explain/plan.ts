import { type ExplainOptions, type MethodName, methodOf } from "../../cam/index.ts";
import { LAYERLESS_METHODS } from "../../cam/internal.ts";
import type { ExplainConfig } from "../../config/index.ts";
import { hint } from "../../config/internal.ts";
import { counted } from "../../counted.ts";
import { listImages } from "../../data/index.ts";
import { BatchCamError } from "../../errors.ts";
import { readFileBytes } from "../../io/internal.ts";
import { isExportedPath, traitsOf } from "../../models/internal.ts";
import { nearestNames } from "../../nearest-name.ts";
import { usesBfloat16 } from "../../train/internal.ts";
import {
  fileBatches,
  type LoadedModel,
  type LoadedRun,
  openExported,
  openRun,
  openRunModel,
  openWeights,
  problemWithPath,
  type SourceBatch,
  splitBatches,
  type TargetChoice,
} from "../../workflows/internal.ts";
import { oneLine } from "../safe-output.ts";

/** The number of images of a split that are explained by default. */
const FEW = 16;

/** Everything that an explanation needs. */
export interface ExplanationPlan {
  subject: LoadedModel;
  /** The classes as people read them. */
  shownNames: readonly string[];
  methods: MethodName[];
  layers: string[];
  target: TargetChoice;
  options: ExplainOptions;
  amp: boolean;
  /** The image files; empty if the images come from a split. */
  files: string[];
  /** The number of images. */
  count: number;
  batches: AsyncIterable<SourceBatch>;
}

export interface PlanOptions {
  skipped: SkippedFile[];
  say: (message: string) => void;
  onWarning: (message: string) => void;
  signal?: AbortSignal | undefined;
}

/** A file that could not be read, and why. */
export interface SkippedFile {
  file: string;
  error: string;
  /** The path and the problem alone, without what to do. */
  problem: string;
}

/** Splits "a, b" at the commas and removes blanks. */
const listOf = (text: string): string[] =>
  text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");

/** The methods that "a, b" names, each once. @throws E_CONFIG if the text names no method or an unknown one */
export function methodsOf(command: string, text: string): MethodName[] {
  const methods = new Set(listOf(text).map((name) => methodNamed(command, name)));
  if (methods.size === 0) throw new BatchCamError("E_CONFIG", `${command}: --method must name at least one method`);
  return [...methods];
}

/** `methodOf` with an error that names the flag. */
function methodNamed(command: string, name: string): MethodName {
  try {
    return methodOf(name);
  } catch (error) {
    if (!(error instanceof BatchCamError)) throw error;
    throw new BatchCamError(error.code, `${command}: --method: ${error.message}`, { cause: error });
  }
}

/**
 * Opens the model and the images that a config names. The caller disposes of `plan.subject`. Files that cannot be read are added to
 * `skipped` if the config allows that. `say` is called with notes on the content of folders, `onWarning` with warnings about the run's
 * data.
 */
export async function planExplanation(
  config: ExplainConfig,
  { skipped, say, onWarning, signal }: PlanOptions,
): Promise<ExplanationPlan> {
  checkSources(config);
  const methods = methodsOf("explain", config.method);
  const files = config.images === undefined ? [] : await filesOf(config.images, config.followLinks, say);
  const subject = await openSubject(config, onWarning);
  try {
    const layers = config.layer === undefined ? usualLayers(subject, methods) : layersOf(subject, config.layer);
    const { augSmooth, eigenSmooth, convention, seed, samples, noise, steps } = config;
    const numbers = Object.entries({ samples, noise, steps }).filter(([, value]) => value !== undefined);
    const upsample = true;
    const options = { augSmooth, eigenSmooth, convention, seed, upsample, ...Object.fromEntries(numbers) };
    const target = targetOf(config.target, subject.classNames);
    expectPictures(config, subject.classNames.length);
    const source = sourceOf(config, { subject, files, skipped, signal });
    const shownNames = shownNamesOf(subject, config);
    return { subject, shownNames, methods, layers, target, options, amp: usesBfloat16(config), ...source };
  } catch (error) {
    subject.dispose();
    throw error;
  }
}

/** The model's own target layer; none if no layer gives maps and the methods need none. */
function usualLayers({ camLayer, modelName }: LoadedModel, methods: readonly MethodName[]): string[] {
  if (camLayer !== null) return [camLayer];
  const needy = methods.find((method) => !LAYERLESS_METHODS.includes(method));
  if (needy === undefined) return [];
  throw new BatchCamError(
    "E_CONFIG",
    `explain: --method ${needy} needs a layer with maps of more than one cell, and ${modelName} has none: use a method that needs no layer (${LAYERLESS_METHODS.join(", ")})`,
  );
}

/**
 * The layers that "a, b" names. They are checked before a folder is made. @throws E_CONFIG if the text names no layer, or one that the
 * model does not have
 */
function layersOf({ model }: LoadedModel, text: string): string[] {
  const layers = listOf(text);
  if (layers.length === 0) throw new BatchCamError("E_CONFIG", "explain: --layer must name at least one layer");
  for (const layer of layers) model.moduleAt(layer, "explain: --layer");
  return layers;
}

function checkSources(config: ExplainConfig): void {
  const { run, weights, weightsKey, normalization, mean, std, images, split, model, target } = config;
  const { dataDir, acceptNewData } = config;
  const exported = model !== undefined && isExportedPath(model);
  const fail = (message: string): never => {
    throw new BatchCamError("E_CONFIG", `explain: ${message}`);
  };
  if ((run === undefined) === (weights === undefined && !exported))
    fail(
      "name the model: give either --run with a run directory, --weights with a file of weights, or --model with a .pt2 file",
    );
  if ((images === undefined) === (split === undefined))
    fail("name the images: give either files or folders, or --split test with --run");
  const withWeights = { "--weights-key": weightsKey, "--normalization": normalization, "--mean": mean, "--std": std };
  const [stray] = Object.entries(withWeights).filter(([, value]) => run !== undefined && value !== undefined);
  if (stray !== undefined) fail(`${stray[0]} is not for --run: a run's is recorded in it`);
  if (weightsKey !== undefined && weights === undefined) fail("--weights-key needs --weights, in which it is a key");
  if (split !== undefined && run === undefined) fail("--split needs --run, whose data set the split belongs to");
  if (run === undefined && (dataDir !== undefined || acceptNewData))
    fail("--data-dir and --accept-new-data are only for --run, whose data they describe");
  if (model !== undefined && !exported && weights === undefined)
    fail("--model is only for --weights: a run's is recorded in it");
  if (target === "label" && split === undefined)
    fail("--target label needs --split: the true classes of image files are not known");
}

/** The largest number of classes for which pictures are drawn for every class. */
const MOST_CLASSES = 50;

function expectPictures({ target, overlays, grid }: ExplainConfig, classes: number): void {
  if (target !== "all" || classes <= MOST_CLASSES || (!overlays && !grid)) return;
  throw new BatchCamError(
    "E_CONFIG",
    `explain: --target all would draw ${counted(classes, "picture")} of each image: name a class, or add --no-overlays --no-grid to write only the raw maps`,
  );
}

async function filesOf(
  paths: readonly string[],
  followLinks: boolean,
  onWarning: (message: string) => void,
): Promise<string[]> {
  const found: string[] = [];
  for (const path of paths) found.push(...(await listImages(path, { followLinks, onWarning })));
  return [...new Set(found)];
}

async function openSubject(config: ExplainConfig, onWarning: (message: string) => void): Promise<LoadedModel> {
  const names = config.classNames === undefined ? undefined : await readNames(config.classNames);
  const { weightsKey: key, model, imageSize, normalization, mean, std } = config;
  if (model !== undefined && isExportedPath(model)) {
    const options = { weights: config.weights, key, imageSize, normalization, mean, std };
    return withNames(await openExported(model, options), names, config);
  }
  if (config.weights !== undefined) {
    const options = { key, model, imageSize, normalization, mean, std };
    return withNames(await openWeights(config.weights, options), names, config);
  }
  const { run, dataDir, acceptNewData } = config;
  // Explaining files needs only the run's model; images of a split need its data set too.
  const open = config.split === undefined ? openRunModel : openRun;
  return withNames(await open(run as string, "explain", { dataDir, acceptNewData, onWarning }), names, config);
}

/**
 * The names of the classes for people. A class whose name is not known has its index as its name, which would look like a value next to
 * the confidence, and is shown as "class 3". The data of a run always name their classes.
 */
function shownNamesOf({ classNames }: LoadedModel, config: ExplainConfig): readonly string[] {
  if (config.run !== undefined || config.classNames !== undefined) return classNames;
  return classNames.map((name, index) => (name === String(index) ? `class ${name}` : name));
}

/** Replaces the subject's class names by those of `--class-names`, if given. */
function withNames(
  subject: LoadedModel,
  names: readonly string[] | undefined,
  { classNames }: ExplainConfig,
): LoadedModel {
  if (names === undefined) return subject;
  if (names.length === subject.classNames.length) return { ...subject, classNames: names };
  const counts = `${counted(names.length, "name")}, but the model has ${counted(subject.classNames.length, "class")}`;
  subject.dispose();
  const problem = `${classNames} contains ${counts}: write one name per line, in the order of the classes`;
  throw new BatchCamError("E_CONFIG", `explain: --class-names: ${problem}`);
}

async function readNames(path: string): Promise<string[]> {
  const context = { operation: "explain: --class-names", remedy: "name a text file with one class name per line" };
  const text = Buffer.from(await readFileBytes(path, context)).toString("utf8");
  if (/[\0\ufffd]/.test(text))
    throw new BatchCamError("E_DATA", `${context.operation}: ${path}: is not text in UTF-8; ${context.remedy}`);
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  return lines.map((line) => line.trim()).filter((line) => line !== "");
}

interface Material {
  subject: LoadedModel;
  files: string[];
  skipped: SkippedFile[];
  signal: AbortSignal | undefined;
}

function sourceOf(config: ExplainConfig, { subject, files, skipped, signal }: Material) {
  const { split, limit, fit, invert, maxPixels } = config;
  // A model that was exported for one image at a time takes any number of them one by one.
  const batchSize = Math.min(config.batchSize, traitsOf(subject.model).fixedBatch ?? config.batchSize);
  if (split !== undefined) {
    const { [split]: images, root } = (subject as LoadedRun).data;
    const count = Math.min(limit ?? FEW, images.labels.numel);
    return { files: [], count, batches: splitBatches(images, { limit: count, batchSize, root }) };
  }
  const skip = (error: BatchCamError, file: string) =>
    void skipped.push({ file, error: error.detail, problem: problemWithPath(error) });
  const onError = config.badImages === "skip" ? skip : undefined;
  const chosen = onError === undefined ? files.slice(0, limit) : files; // a skipped file does not count towards the limit, so all files stay candidates
  const { channels, imageSize: size } = subject;
  return {
    files: chosen,
    count: Math.min(limit ?? chosen.length, chosen.length),
    batches: fileBatches(chosen, { channels, size, fit, batchSize, maxPixels, invert, onError, limit, signal }),
  };
}

/** The number of class names that a message lists. */
const MOST_LISTED = 12;

/** Parses "prediction", "label", "all", "kth:3", a class name or a class number. */
export function targetOf(text: string, classNames: readonly string[]): TargetChoice {
  if (text === "prediction" || text === "label" || text === "all") return text;
  const count = classNames.length;
  const fail = (rule: string): never => {
    throw new BatchCamError("E_CONFIG", `explain: --target ${rule}`);
  };
  const kth = /^kth:(\d+)$/.exec(text)?.[1];
  if (kth !== undefined) {
    if (Number(kth) < 1 || Number(kth) > count)
      fail(`kth:K must have a K from 1 to ${count}, the number of classes, got "${text}"`);
    return { kth: Number(kth) };
  }
  const named = classNames.indexOf(text);
  if (named >= 0) return named;
  if (/^\d+$/.test(text)) {
    if (Number(text) >= count) fail(`must be a class from 0 to ${count - 1}, got ${text}`);
    return Number(text);
  }
  const near = hint(text, ["prediction", "label", "all", "kth:2", ...classNames]);
  const classes = `the classes are ${listed(classNames, text)}`;
  return fail(`must be prediction, label, all, kth:K, a class name or its number, got "${text}"${near}; ${classes}`);
}

/** All names, or the names most similar to the text if there are many. */
function listed(names: readonly string[], text: string): string {
  if (names.length <= MOST_LISTED) return names.map(oneLine).join(", ");
  const nearest = nearestNames(text, names, MOST_LISTED).map(oneLine);
  return `${nearest.join(", ")} and ${names.length - MOST_LISTED} more`;
}
