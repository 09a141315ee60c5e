import { type ExplainOptions, type MethodName, methodOf } from "../../cam/index.ts";
import type { ExplainConfig } from "../../config/index.ts";
import { hint } from "../../config/internal.ts";
import { counted } from "../../counted.ts";
import { listImages } from "../../data/index.ts";
import { BatchCamError } from "../../errors.ts";
import { readFileBytes } from "../../io/internal.ts";
import { nearestNames } from "../../nearest-name.ts";
import { usesBfloat16 } from "../../train/loop/precision.ts";
import type { TargetChoice } from "../../workflows/explain/explain-images.ts";
import { fileBatches, type SourceBatch, splitBatches } from "../../workflows/explain/image-source.ts";
import { openRun, openRunModel, openWeights, type RunSubject, type Subject } from "../../workflows/loaded-model.ts";
import { oneLine } from "../safe-output.ts";

/** Images of a split that are explained where no number is given. */
const FEW = 16;

/** What an explanation is made of. */
export interface ExplanationPlan {
  subject: Subject;
  methods: MethodName[];
  layers: string[];
  target: TargetChoice;
  options: ExplainOptions;
  amp: boolean;
  /** The image files, none for a split. */
  files: string[];
  /** How many images there are. */
  count: number;
  batches: AsyncIterable<SourceBatch>;
}

export interface PlanOptions {
  skipped: SkippedFile[];
  say: (message: string) => void;
  onWarning: (message: string) => void;
}

/** A file that could not be read, and why. */
export interface SkippedFile {
  file: string;
  error: string;
}

/** "a, b" as a list without blanks. */
const listOf = (text: string): string[] =>
  text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");

/** The methods that "a, b" names, each once. @throws E_CONFIG where it names none, or one that there is not */
export function methodsOf(command: string, text: string): MethodName[] {
  const methods = new Set(listOf(text).map((name) => methodNamed(command, name)));
  if (methods.size === 0) throw new BatchCamError("E_CONFIG", `${command}: --method names no method`);
  return [...methods];
}

/** `methodOf`, whose error names the flag. */
function methodNamed(command: string, name: string): MethodName {
  try {
    return methodOf(name);
  } catch (error) {
    if (!(error instanceof BatchCamError)) throw error;
    throw new BatchCamError(error.code, `${command}: --method: ${error.message}`, { cause: error });
  }
}

/**
 * Opens the model and the images that a config names; `plan.subject` is to be disposed of. `skipped` gathers the files that
 * cannot be read, where the config lets them pass; `say` is told what folders hold besides images, `onWarning` what is to be said of
 * the run's data.
 */
export async function planExplanation(
  config: ExplainConfig,
  { skipped, say, onWarning }: PlanOptions,
): Promise<ExplanationPlan> {
  checkSources(config);
  const methods = methodsOf("explain", config.method);
  const files = config.images === undefined ? [] : await filesOf(config.images, config.followLinks, say);
  const subject = await openSubject(config, onWarning);
  try {
    const layers = config.layer === undefined ? [subject.camLayer] : layersOf(subject, config.layer);
    const { augSmooth, eigenSmooth, convention, seed, samples, noise, steps } = config;
    const numbers = Object.entries({ samples, noise, steps }).filter(([, value]) => value !== undefined);
    const upsample = true;
    const options = { augSmooth, eigenSmooth, convention, seed, upsample, ...Object.fromEntries(numbers) };
    const target = targetOf(config.target, subject.classNames);
    expectPictures(config, subject.classNames.length);
    const source = sourceOf(config, { subject, files, skipped });
    return { subject, methods, layers, target, options, amp: usesBfloat16(config), ...source };
  } catch (error) {
    subject.dispose();
    throw error;
  }
}

/** The layers that "a, b" names. @throws E_CONFIG where it names none, or one that the model lacks: before a folder is made */
function layersOf({ model }: Subject, text: string): string[] {
  const layers = listOf(text);
  if (layers.length === 0) throw new BatchCamError("E_CONFIG", "explain: --layer names no layer");
  for (const layer of layers) model.moduleAt(layer, "explain: --layer");
  return layers;
}

function checkSources(config: ExplainConfig): void {
  const { run, weights, weightsKey, normalization, mean, std, images, split, model, target } = config;
  const { dataDir, acceptNewData } = config;
  const fail = (message: string): never => {
    throw new BatchCamError("E_CONFIG", `explain: ${message}`);
  };
  if ((run === undefined) === (weights === undefined))
    fail("name the model: --run with a run directory, or --weights with a file of weights, one of the two");
  if ((images === undefined) === (split === undefined))
    fail("name the images: files or folders, or --split test with --run, one of the two");
  const withWeights = { "--weights-key": weightsKey, "--normalization": normalization, "--mean": mean, "--std": std };
  const [stray] = Object.entries(withWeights).filter(([, value]) => weights === undefined && value !== undefined);
  if (stray !== undefined) fail(`${stray[0]} goes with --weights; a run knows its own`);
  if (split !== undefined && run === undefined) fail("--split needs --run, whose data set it is a part of");
  if (run === undefined && (dataDir !== undefined || acceptNewData))
    fail("--data-dir and --accept-new-data go with --run, whose data they are about");
  if (model !== undefined && weights === undefined) fail("--model goes with --weights; a run knows its own");
  if (target === "label" && split === undefined)
    fail("--target label needs --split: the classes of files are not known");
}

/** Classes of which pictures can still be looked at. */
const MOST_CLASSES = 50;

function expectPictures({ target, overlays, grid }: ExplainConfig, classes: number): void {
  if (target !== "all" || classes <= MOST_CLASSES || (!overlays && !grid)) return;
  throw new BatchCamError(
    "E_CONFIG",
    `explain: --target all would draw ${counted(classes, "picture")} of each image: name a class, or add --no-overlays --no-grid for the raw maps alone`,
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

async function openSubject(config: ExplainConfig, onWarning: (message: string) => void): Promise<Subject> {
  const names = config.classNames === undefined ? undefined : await readNames(config.classNames);
  if (config.weights !== undefined) {
    const { weightsKey: key, model, imageSize, normalization, mean, std } = config;
    const options = { key, model, imageSize, normalization, mean, std };
    return withNames(await openWeights(config.weights, options), names, config);
  }
  const { run, dataDir, acceptNewData } = config;
  // Files need the run alone; images of a split need its data set too.
  const open = config.split === undefined ? openRunModel : openRun;
  return withNames(await open(run as string, "explain", { dataDir, acceptNewData, onWarning }), names, config);
}

/** The subject with the names of `--class-names` for its classes. */
function withNames(subject: Subject, names: readonly string[] | undefined, { classNames }: ExplainConfig): Subject {
  if (names === undefined) return subject;
  if (names.length === subject.classNames.length) return { ...subject, classNames: names };
  const counts = `${counted(names.length, "name")}, and the model has ${counted(subject.classNames.length, "class")}`;
  subject.dispose();
  const problem = `${classNames} holds ${counts}: write one on each line, in their order`;
  throw new BatchCamError("E_CONFIG", `explain: --class-names: ${problem}`);
}

async function readNames(path: string): Promise<string[]> {
  const context = { operation: "explain: --class-names", remedy: "name a text file with a class on each line" };
  const text = Buffer.from(await readFileBytes(path, context)).toString("utf8");
  if (/[\0\ufffd]/.test(text))
    throw new BatchCamError("E_DATA", `${context.operation}: ${path}: is no text in UTF-8; ${context.remedy}`);
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  return lines.map((line) => line.trim()).filter((line) => line !== "");
}

interface Material {
  subject: Subject;
  files: string[];
  skipped: SkippedFile[];
}

function sourceOf(config: ExplainConfig, { subject, files, skipped }: Material) {
  const { split, limit, batchSize, fit, invert, maxPixels } = config;
  if (split !== undefined) {
    const { [split]: images, root } = (subject as RunSubject).data;
    const count = Math.min(limit ?? FEW, images.labels.numel);
    return { files: [], count, batches: splitBatches(images, { limit: count, batchSize, root }) };
  }
  const skip = (error: BatchCamError, file: string) => void skipped.push({ file, error: error.detail });
  const onError = config.badImages === "skip" ? skip : undefined;
  const chosen = onError === undefined ? files.slice(0, limit) : files; // one that is left out makes room for another
  const { channels, imageSize: size } = subject;
  return {
    files: chosen,
    count: Math.min(limit ?? chosen.length, chosen.length),
    batches: fileBatches(chosen, { channels, size, fit, batchSize, maxPixels, invert, onError, limit }),
  };
}

/** Class names that a message lists. */
const MOST_LISTED = 12;

/** "prediction", "label", "all", "kth:3", a class name or a class number. */
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

/** All names, or of many those that are most like a text. */
function listed(names: readonly string[], text: string): string {
  if (names.length <= MOST_LISTED) return names.map(oneLine).join(", ");
  const nearest = nearestNames(text, names, MOST_LISTED).map(oneLine);
  return `${nearest.join(", ")} and ${names.length - MOST_LISTED} more`;
}
