import { expectNumber, expectString, objectOf, optionsOf } from "../arguments.ts";
import { crc32 } from "../checksum.ts";
import { DATASETS } from "../data/description.ts";
import { BatchCamError } from "../errors.ts";
import { DISTANCES } from "../losses/description.ts";
import { exportedName, isExportedPath } from "../models/exported/description.ts";
import { type GivenParts, givenPartsOf, markedAsGiven, withoutGiven } from "./given.ts";
import { figuresOf } from "./normalization.ts";
import { OWN_DATA } from "./outcome.ts";
import { type ParseOptions, parseConfig } from "./parse.ts";
import { type NamedTrainConfig, type ParsedTrainConfig, TrainConfig, type TrainConfigInput } from "./train.ts";
import { splitRunDirectory } from "./train-checks.ts";

/** The weight of the Prototype Loss if the config does not set it. */
export function defaultLambda(distance: string): number {
  return DISTANCES.find(({ name }) => name === distance)?.lambda ?? 1;
}

/**
 * Checks a config and fills in every default.
 *
 * @throws E_CONFIG naming every wrong key with what was expected and what was given
 */
export function parseTrainConfig(input: unknown, options: Partial<ParseOptions> = {}): NamedTrainConfig {
  const { what = "train config", ...rest } = optionsOf("parseTrainConfig", options, ["what", "label"]);
  return resolveTrainConfig(parseConfig(TrainConfig, input, { what, ...rest })) as NamedTrainConfig;
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;

/**
 * `parseTrainConfig` for a run whose model or images a program gives. Their options are then "given"; images replace a data set that the
 * config names.
 *
 * @throws E_CONFIG for a config that names a model although one is passed, or the location of images that are passed
 */
export function parseGivenConfig(input: unknown, given: GivenParts, options: Partial<ParseOptions> = {}): TrainConfig {
  if (!isObject(input) || !(given.model || given.data)) return parseTrainConfig(input, options);
  const { model, dataDir, prototypes } = input as TrainConfigInput;
  const contradicting = [
    ...(given.model && model !== undefined ? [["model", "model"]] : []),
    ...(given.data && dataDir !== undefined ? [["dataDir", "data"]] : []),
    ...(given.data && prototypes === "clean" ? [['prototypes "clean"', "data"]] : []), // they are made from a decoy set's own images
  ];
  for (const [key, option] of contradicting)
    throw new BatchCamError(
      "E_CONFIG",
      `train config: ${key} and the option ${option} of train contradict each other: leave one of them out`,
    );
  return parseMarked(input, given, { what: "train config", ...options });
}

/** The values of options in runs of earlier versions, which did not have them, if these differ from the present defaults. */
export const EARLIER_VALUES = { guideEvery: 1 } as const satisfies Partial<ParsedTrainConfig>;

/** Checks the content of a run's `config.json`, in which a model or images may be "given". A run of an earlier version continues as it began. */
export function parseSavedConfig(saved: unknown, what: string): TrainConfig {
  if (!isObject(saved)) return parseTrainConfig(saved, { what });
  return parseMarked({ ...EARLIER_VALUES, ...saved }, givenPartsOf(saved), { what });
}

function parseMarked(input: object, given: GivenParts, options: ParseOptions): TrainConfig {
  const parsed = parseConfig(TrainConfig, withoutGiven(input, given), options);
  return resolveTrainConfig(markedAsGiven(parsed, given));
}

/** Fills in the defaults that depend on other keys. Resolving a resolved config changes nothing. */
export function resolveTrainConfig(parsed: ParsedTrainConfig | TrainConfig): TrainConfig {
  objectOf("resolveTrainConfig: parsed", parsed);
  const alone = parsed.plain || parsed.baseline !== undefined; // a baseline is used alone unless a guidance weight is given
  const lambdaPrototype = parsed.lambdaPrototype ?? (alone ? 0 : defaultLambda(parsed.distance));
  const plain = lambdaPrototype === 0 && parsed.lambdaBatch === 0;
  const place = typeof parsed.resume === "string" ? splitRunDirectory(parsed.resume) : { output: parsed.output };
  const { mean, std, ...rest } = parsed;
  const weighed = { ...rest, ...asTexts({ mean, std }), plain, lambdaPrototype };
  const resolved = { ...weighed, experiment: parsed.experiment ?? defaultExperiment(weighed), ...place };
  return resolved.fastDevRun ? shortened(resolved) : resolved;
}

/** Converts lists to text, as on the command line, so that they compare by value. */
function asTexts(given: Pick<ParsedTrainConfig, "mean" | "std">): Pick<TrainConfig, "mean" | "std"> {
  const texts = Object.entries(given).flatMap(([key, value]) =>
    value === undefined ? [] : [[key, figuresOf(value)?.join(",")]],
  );
  return Object.fromEntries(texts);
}

const DEV_RUN = "fast-dev-run";

/** Limits a config to two steps and one batch of each split, in a folder of its own that is replaced each time. */
function shortened(config: TrainConfig): TrainConfig {
  const { experiment, batchSize } = config;
  const own = experiment.endsWith(DEV_RUN) ? experiment : `${experiment}-${DEV_RUN}`;
  return {
    ...config,
    ...{ experiment: own, overwrite: true, epochs: 1, maxSteps: Math.min(config.maxSteps ?? 2, 2), logEvery: 1 },
    ...{ limitVal: batchSize, limitTest: batchSize, limitTrainBatches: Math.min(config.limitTrainBatches ?? 2, 2) },
    lambdaWarmup: 0, // with a warm-up the maps would have almost no weight
    guideEvery: config.guideEvery === "auto" ? config.guideEvery : Math.min(config.guideEvery, 2),
  };
}

/** The run directory of a config: `<output>/<experiment>`. */
export function runDirectoryOf(config: Pick<TrainConfig, "output" | "experiment">): string {
  const { output, experiment } = objectOf("runDirectoryOf: config", config);
  expectString("runDirectoryOf: output", output);
  expectString("runDirectoryOf: experiment", experiment);
  const folder = output.replace(/\/+$/, "");
  if (folder === ".") return experiment;
  return `${folder}/${experiment}`;
}

function defaultExperiment(config: Omit<TrainConfig, "experiment">): string {
  expectString("resolveTrainConfig: model", config.model);
  expectString("resolveTrainConfig: dataset", config.dataset);
  expectNumber("resolveTrainConfig: seed", config.seed);
  return [modelLabel(config.model), dataName(config), objectiveName(config), `seed${config.seed}`].join("-");
}

/** A short name for the model: its own, or that of its file. */
export const modelLabel = (model: string): string =>
  isExportedPath(model) ? wordOf(exportedName(model)) || "pt2" : model;

/** A short name for the images: the data set with its variant, or the user's folder or file. */
export function dataName({
  dataset,
  decoyVariant,
  dataDir,
}: Pick<TrainConfig, "dataset" | "decoyVariant" | "dataDir">): string {
  const decoy = DATASETS.some(({ name, options }) => name === dataset && "decoyVariant" in options);
  if (decoy) return decoyVariant === "rrr" ? dataset : `${dataset}-${decoyVariant}`;
  if (!OWN_DATA.has(dataset) || dataDir === undefined) return dataset;
  const last =
    dataDir
      .split("/")
      .filter((part) => part !== "")
      .at(-1) ?? "";
  return wordOf(last.replace(/\.(csv|npz)$/, "")) || dataset;
}

/**
 * The letters and digits of a file's name, of all scripts, with dashes in place of what a run's name cannot contain. A name without
 * letters and digits becomes a checksum, so that different names stay different. A name that consists only of dots gives "".
 */
function wordOf(name: string): string {
  // macOS and Linux may write "é" as different characters, which must give the same name.
  const text = name.normalize("NFC");
  const word = text.replace(/[^\p{L}\p{M}\p{N}_.+=@-]+/gu, "-").replace(/^[^\p{L}\p{N}_]+/u, "");
  // Names of ASCII characters alone keep the name that earlier versions gave them.
  if (word !== "" || /^[\0-\x7f]*$/.test(text)) return word;
  return crc32(new TextEncoder().encode(text)).toString(16).padStart(8, "0");
}

/** A short name for the objective and its weights: `plain`, `ssim-p0.5`, `l1-p2-b0.5`, `rrr10`. */
export function objectiveName(
  config: Pick<TrainConfig, "plain" | "distance" | "lambdaPrototype" | "lambdaBatch"> &
    Partial<Pick<TrainConfig, "baseline" | "lambdaBaseline" | "prototypes">>,
): string {
  const { plain, baseline, lambdaBaseline = 1 } = objectOf("objectiveName: config", config);
  const named = [...(plain ? [] : [guidanceName(config)]), ...(baseline ? [`${baseline}${lambdaBaseline}`] : [])];
  return named.join("-") || "plain";
}

function guidanceName(
  config: Pick<TrainConfig, "distance" | "lambdaPrototype" | "lambdaBatch"> & Partial<Pick<TrainConfig, "prototypes">>,
): string {
  const weights = { p: config.lambdaPrototype, b: config.lambdaBatch };
  expectString("objectiveName: distance", config.distance);
  for (const weight of Object.values(weights)) expectNumber("objectiveName: a weight", weight);
  const named = Object.entries(weights).filter(([, weight]) => weight > 0);
  const source = config.prototypes === undefined || config.prototypes === "class" ? [] : [config.prototypes];
  return [config.distance, ...named.map(([term, weight]) => `${term}${weight}`), ...source].join("-");
}

/**
 * Overrides the keys of `base` by those of `over`. `plain` and the weights of the losses are one choice: if `over`
 * gives one of them, it replaces the other in `base` instead of contradicting it.
 */
export function overrideTrainConfig(base: TrainConfigInput, over: TrainConfigInput): TrainConfigInput {
  const { lambdaPrototype, lambdaBatch, ...rest } = objectOf("overrideTrainConfig: base", base);
  objectOf("overrideTrainConfig: over", over);
  const given = Object.fromEntries(Object.entries(over).filter(([, value]) => value !== undefined)) as TrainConfigInput;
  if (given.plain === true) return { ...rest, ...given };
  const weighed = (given.lambdaPrototype ?? 0) > 0 || (given.lambdaBatch ?? 0) > 0;
  return { ...base, ...(weighed && base.plain ? { plain: false } : {}), ...given };
}
