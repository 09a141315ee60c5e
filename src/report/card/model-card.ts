import { stringify } from "yaml";
import { counted, theFirst } from "../../counted.ts";
import { DATASETS } from "../../data/description.ts";
import { arrowOf, MEASURES, whyMissing } from "../../measures.ts";
import { MODEL_FAMILIES } from "../../models/description.ts";
import type { EpochRecord, SplitRecord, StartEvent, TrainResult } from "../../train/index.ts";
import { duration } from "../text/duration.ts";
import { inCell, inText, markdownTable } from "../text/markdown.ts";
import { DASH, formatCount, isNumber } from "../text/numbers.ts";
import { rejudgedInWords } from "../text/rejudged.ts";
import { inOneLine } from "../text/unsafe-characters.ts";
import { unfinishedWarmUp } from "../text/warm-up.ts";
import { CARD_MARK } from "./card-mark.ts";

/** The contents of a card: a run that has ended, or was stopped. */
export interface CardInput {
  result: TrainResult;
  start: StartEvent;
  /** The options that differ from their defaults. */
  options: Readonly<Record<string, unknown>>;
  /** Whether the images are the user's own. The name of the data set then only says how they are read. */
  ownData: boolean;
  /** The run directory, quoted for a shell command. */
  runWord: string;
  /** The command that trains the same run again. */
  again: string;
  /** The reasons why that command does not give exactly the same run, one sentence each. */
  caveats?: readonly string[];
  /** The contents of `environment.json`. */
  environment: Readonly<Record<string, unknown>>;
}

/** A run's model card, in Markdown with the front matter that the Hugging Face hub reads. */
export function modelCard(input: CardInput): string {
  const { config } = input.start;
  return [
    `---\n${stringify(frontMatter(input))}---`,
    CARD_MARK,
    `# ${inline(config.experiment)}`,
    introduction(input),
    ...results(input),
    usage(input),
    limits(input),
    making(input),
    "",
  ].join("\n\n");
}

function frontMatter({ result: { test }, start: { config }, ownData }: CardInput): object {
  const metrics =
    test === null
      ? []
      : HUB_METRICS.filter(([key]) => Number.isFinite(test[key])).map(([key, name]) => ({
          type: name,
          name,
          value: test[key],
        }));
  const task = { type: "image-classification" };
  const own = config.dataDir !== undefined && ownData;
  const dataset = {
    name: own ? folderName(String(config.dataDir)) : config.dataset,
    type: config.dataset,
    split: "test",
  };
  const index = { name: config.experiment, results: [{ task, dataset, metrics }] };
  return {
    library_name: "batch-cam",
    pipeline_tag: "image-classification",
    tags: ["batch-cam", "grad-cam", "explainability"],
    ...(own ? {} : { datasets: [config.dataset] }),
    ...(test === null ? {} : { "model-index": [index] }),
  };
}

/** The name of the folder without its path, which is private. */
const folderName = (path: string): string => path.split("/").filter(Boolean).at(-1) ?? path;

const HUB_METRICS = [
  ["accuracy", "accuracy"],
  ["mapSsim", "map_ssim_to_prototype"],
  ["coherence", "map_coherence"],
  ["deadMaps", "dead_maps"],
] as const satisfies (readonly [keyof SplitRecord, string])[];

function introduction({ result, start }: CardInput): string {
  const { config, parameters, camLayer, mapSize, trainImages, valImages, testImages } = start;
  const source = config.dataDir === undefined ? config.dataset : `${config.dataset} in ${inline(config.dataDir)}`;
  const trial = config.fastDevRun
    ? " **This was a fast dev run, of two steps, to check that everything works: its numbers mean nothing.**"
    : "";
  const state = result.interrupted ? ` **It was stopped at step ${result.step}, and has not been tested.**` : "";
  return [
    `A ${inline(config.model)} of ${counted(parameters, "parameter", formatCount)}, trained on ${source} (${counted(trainImages, "image", formatCount)}; ${formatCount(valImages)} for validation, ${formatCount(testImages)} for the test).${state}${trial}`,
    "",
    `${objective(config, result.step)} Maps are Grad-CAM maps of the true class, ${mapSize.join("x")}, from the layer ${inline(camLayer)}.`,
  ].join("\n");
}

/** The objective in words. */
function objective(config: StartEvent["config"], steps: number): string {
  const { lambdaPrototype, lambdaBatch, lambdaBaseline, baseline, distance, prototypes } = config;
  const terms = [
    ...(lambdaPrototype > 0 ? [`${lambdaPrototype} times the Prototype Loss`] : []),
    ...(lambdaBatch > 0 ? [`${lambdaBatch} times the Batch-CAM Loss`] : []),
    ...(baseline === undefined ? [] : [`${lambdaBaseline} times the term of the baseline ${baseline}`]),
  ];
  if (terms.length === 0) return "It was trained with cross-entropy alone, without guidance of its maps.";
  const guided = lambdaPrototype + lambdaBatch > 0;
  const by = guided ? `, by the distance ${distance.toUpperCase()}` : "";
  const control =
    guided && prototypes !== "class"
      ? ` **This is a control: its maps were guided to ${prototypes} prototypes, not to those of their own classes.**`
      : "";
  return `It was trained with cross-entropy and ${terms.join(" and ")}${by} (Batch-CAM, arXiv 2510.00664).${guidedPart(config)}${warmUp(config, steps)}${control}`;
}

/** The steps and images that were guided, if that is a part of them. */
function guidedPart({ guideEvery, guideShare }: StartEvent["config"]): string {
  const every = typeof guideEvery === "number" && guideEvery > 1 ? guideEvery : 1;
  const steps = every > 1 ? [`at one step in ${every}, with ${every} times these weights`] : [];
  const images = (guideShare ?? 1) < 1 ? [`on ${Number((100 * guideShare).toPrecision(3))} % of each batch`] : [];
  return steps.length + images.length === 0 ? "" : ` Maps were guided ${[...steps, ...images].join(", ")}.`;
}

/** The part of the warm-up that was complete when the run ended. */
function warmUp(config: StartEvent["config"], steps: number): string {
  const { lambdaWarmup = 0 } = config;
  if (lambdaWarmup === 0) return "";
  const rise = ` These weights rose from 0 over ${theFirst(lambdaWarmup, "step")}`;
  const unfinished = unfinishedWarmUp({ ...config }, steps);
  if (unfinished === null) return `${rise} of ${formatCount(steps)}.`;
  return `${rise}, and the run took ${steps}: **they reached ${Math.round(100 * unfinished.share)} % at most** (see \`--lambda-warmup\`).`;
}

/** The measures that a card lists. */
const LISTED = [
  ...([
    "accuracy",
    "crossEntropy",
    "mapSsim",
    "mapL1",
    "mapL2",
    "coherence",
    "energyInForeground",
    "deadMaps",
  ] as const),
];

function results({ result, start, ownData }: CardInput): string[] {
  const { test, history, bestEpoch } = result;
  const parts: string[] = [];
  if (test !== null) {
    // The background of a photograph is often not darker than its object, so the object cannot be found by its
    // brightness.
    const names = LISTED.filter((name) => name !== "energyInForeground" || !ownData);
    const rows = names.map((name) => {
      const { short, definition } = MEASURES[name];
      return [`${short} ${arrowOf(MEASURES[name])}`, figure(test[name]), inCell(definition)];
    });
    parts.push(
      `## Results\nOn the ${counted(test.images, "test image", formatCount)}, with the weights of epoch ${bestEpoch}, which was the best on the validation images:`,
    );
    parts.push(markdownTable(["measure", "value", "what it is"], rows));
    const missing = names.filter((name) => figure(test[name]) === DASH);
    for (const name of missing)
      parts.push(`There is no ${MEASURES[name].name}, because ${whyMissing(name, test.deadMaps)}.`);
    parts.push(...classTable(start.classNames, test.classAccuracy));
  }
  if (history.length > 0)
    parts.push(
      `## Epochs\n${markdownTable(
        EPOCH_COLUMNS,
        history.map((record) => epochRow(record, bestEpoch)),
      )}`,
    );
  const rejudged = rejudgedInWords(result);
  if (rejudged !== null) parts.push(`**${rejudged}**`);
  return parts;
}

/** A card lists the accuracy of each class up to this number of classes. */
const MOST_CLASSES = 30;

function classTable(names: readonly string[], accuracy: SplitRecord["classAccuracy"]): string[] {
  if (accuracy === undefined || names.length > MOST_CLASSES) return [];
  return [
    markdownTable(
      ["class", "accuracy"],
      names.map((name, i) => [inCell(inline(name)), figure(accuracy[i] ?? null)]),
    ),
  ];
}

const EPOCH_COLUMNS = ["epoch", "training loss", "training accuracy", "validation accuracy", "map SSIM", "dead maps"];

const epochRow = ({ epoch, train, val }: EpochRecord, bestEpoch: number): string[] => [
  epoch === bestEpoch ? `${epoch} (best)` : String(epoch),
  ...[train.loss, train.accuracy, val.accuracy, val.mapSsim, val.deadMaps].map(figure),
];

function usage({ result, start, runWord }: CardInput): string {
  const { model } = start.config;
  const library = MODEL_FAMILIES.find(({ models }) => (models as readonly string[]).includes(model))?.namesOf ?? null;
  const names =
    library === null
      ? ""
      : ` Names are ${library}'s, and so are shapes, unless the stem, the channels or the classes are this run's own.`;
  return [
    "## Use",
    "```",
    `npx batch-cam explain --run ${runWord} image.png`,
    `npx batch-cam evaluate ${runWord}`,
    "```",
    "Commands are for the folder that the run was made in.",
    `In Python, \`safetensors.torch.load_file("checkpoints/${result.best === null ? "last" : "best"}.safetensors")\` gives the weights.${names}`,
  ].join("\n");
}

function limits({ start: { config, testImages } }: CardInput): string {
  const guided = config.lambdaPrototype + config.lambdaBatch > 0;
  const points = [
    `One run with seed ${config.seed}: other seeds give other numbers, by some tenths of a point of accuracy or more.${testImages === 0 ? " It was not tested." : ` One test image is ${Number((100 / testImages).toPrecision(2))} points.`}`,
    ...(guided
      ? [
          "Maps that are close to prototypes are what training optimised. They do not prove that the model decides by the object: compare it with a run with `--prototypes shuffled`.",
        ]
      : []),
    "A prototype contains whatever the images of a class share, including a mark in a corner.",
    DATASETS.find(({ name }) => name === config.dataset)?.cue ??
      "The test images come from the same source as the training images; the model was not tested on others.",
  ];
  return `## Limits\n${points.map((point) => `- ${point}`).join("\n")}`;
}

function making({ options, environment, result, again: command, caveats = [] }: CardInput): string {
  const cell = (value: unknown) => inCell(inline(String(value)));
  const rows = Object.entries(options).map(([key, value]) => [cell(key), cell(value)]);
  const about = ["batchCam", "libtorch", "node", "cpu", "threads", "precision"].map(
    (key) => `${key} ${String(environment[key] ?? "unknown")}`,
  );
  const set = rows.length === 0 ? "All options were the default ones." : markdownTable(["option", "value"], rows);
  const warned = caveats.map((caveat) => `\n\n**${inText(caveat)}**`).join("");
  const again =
    caveats.length === 0
      ? `${inline(command)} trains it again.`
      : `${inline(command)} trains a run with the same options.${warned}`;
  return `## How it was made\n${set}\n\n${duration(result.seconds)} of training steps; ${about.join(", ")}. ${again}`;
}

const figure = (value: number | string | null): string =>
  typeof value === "number" && isNumber(value) ? value.toFixed(4) : DASH;

/** Any text as inline code: on one line, in a fence that is longer than any fence within. */
function inline(text: string): string {
  const flat = inOneLine(text);
  const fence = "`".repeat(1 + Math.max(0, ...(flat.match(/`+/g) ?? []).map((run) => run.length)));
  const room = /^`|`$|^$/.test(flat) ? " " : "";
  return `${fence}${room}${flat}${room}${fence}`;
}
