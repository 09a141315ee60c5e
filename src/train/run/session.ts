import { configWarnings, lambdaWarmupOf, type TrainConfig, type TrainConfigInput } from "../../config/index.ts";
import { batchCount } from "../../data/index.ts";
import { contentDigest, describeShape } from "../../data/internal.ts";
import type { ExportedModel } from "../../models/index.ts";
import type { Module } from "../../nn/index.ts";
import { WeightEma } from "../../optim/index.ts";
import { capabilities, manualSeed, setNumThreads, tidy } from "../../tensor/index.ts";
import { normalizationNote } from "../data/normalization.ts";
import type { RunPlan } from "../data/run-data.ts";
import { planOf } from "../loop/objective.ts";
import { createOptimizer, freeze, learningRate } from "../loop/optimisation.ts";
import { precisionOf } from "../loop/precision.ts";
import { profilerOf } from "../loop/profiling.ts";
import { imagesPerStep } from "../loop/step.ts";
import { begin } from "./begin.ts";
import { disposeAll, type Progress } from "./checkpoint.ts";
import type { TrainEvent } from "./events.ts";
import { exportedOfConfig, exportedOfRun, withImagesOf } from "./exported-run.ts";
import { expectFiniteWeights } from "./finite-weights.ts";
import { augmentationOf } from "./from-config.ts";
import type { GivenToRun } from "./given-parts.ts";
import { type GuidedRun, guideEveryOf } from "./guide-every.ts";
import {
  type ChosenPrecision,
  choosePrecision,
  type PrecisionOptions,
  recordedPrecision,
} from "./measured-precision.ts";
import { MetricsLog } from "./metrics-log.ts";
import { resume } from "./resume.ts";
import { type OpenRun, openRun } from "./run-directory.ts";
import { runGuidance } from "./run-guidance.ts";
import { networkOf, type RunNetwork } from "./run-network.ts";
import { expectAnnotations, guidedShape, sizeWarnings } from "./session-checks.ts";
import {
  epochSteps,
  newRunData,
  newWarnings,
  openData,
  type SessionData,
  type SessionDataOptions,
  smallestBatch,
} from "./session-data.ts";
import type { Optimisation, Reporting, RunLength, Session } from "./session-state.ts";
import { loadStart, NO_START, type Start, startModel } from "./starting-weights.ts";

export interface SessionOptions {
  given?: GivenToRun | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Opens the run that a config names, calls fn, and closes the run even if fn throws.
 * @param options `signal` rejects with its reason if it is aborted while data are loaded
 */
export async function withSession<T>(
  input: TrainConfigInput,
  emit: (event: TrainEvent) => void,
  fn: (session: Session) => Promise<T>,
  options: SessionOptions = {},
): Promise<T> {
  const exported = options.given?.model === undefined ? await exportedOfConfig(input) : null;
  const run = await openRunOf(input, exported, options.given).catch((error: unknown) => {
    exported?.dispose();
    throw error;
  });
  try {
    const session = await openSession(run, emit, { ...options, exported });
    try {
      return await fn(session);
    } finally {
      session.close();
    }
  } finally {
    run.close();
  }
}

/** Opens the run with images that fit the exported model, unless a program gives the images. */
async function openRunOf(
  input: TrainConfigInput,
  exported: ExportedModel | null,
  given: GivenToRun | undefined,
): Promise<OpenRun> {
  const fits = exported === null || given?.data !== undefined;
  return openRun(fits ? input : withImagesOf(exported, input), given);
}

/** Loads the data, builds the model and, if the run is resumed, restores the state of the checkpoint. */
async function openSession(
  run: OpenRun,
  emit: (event: TrainEvent) => void,
  { given = {}, signal, exported: opened }: SessionOptions & { exported: ExportedModel | null },
): Promise<Session> {
  setNumThreads(run.config.threads ?? capabilities().cores);
  const resumes = run.start === "continue";
  const exported = opened ?? (given.model === undefined ? await exportedOfRun(run.directory, run.config) : null);
  try {
    const start = resumes ? NO_START : await loadStart(run.config, exported);
    const data = await dataFor(run, start, { given: given.data, signal });
    manualSeed(data.config.seed);
    const network = networkOf(data, { given: given.model, exported });
    try {
      return await sessionOf(run, emit, { data, start, network, given, signal, exported });
    } catch (error) {
      network.release();
      throw error;
    }
  } catch (error) {
    exported?.dispose();
    throw error;
  }
}

/** What a session is made of. */
interface Parts {
  data: SessionData;
  start: Start;
  network: RunNetwork;
  exported: ExportedModel | null;
  given: GivenToRun;
  signal: AbortSignal | undefined;
}

async function sessionOf(
  run: OpenRun,
  emit: (event: TrainEvent) => void,
  { data, start, network: { model, release, notes }, exported, given, signal }: Parts,
): Promise<Session> {
  const resumes = run.start === "continue";
  const adapted = [...notes, ...startModel(model, start, data.config.model)];
  if (!resumes) expectFiniteWeights(model, start.path || (exported === null ? "the model" : data.config.model));
  if (start.source !== null) adapted.push(normalizationNote(data.train.normalization, start.source));
  const guided = await runGuidance(run, { data, model, emit });
  const frozen = data.config.freeze === undefined ? [] : freeze(model, data.config.freeze);
  const { length, plan, warnings } = lengthOf(data, model, frozen);
  const { camLayer } = guided.guidance;
  const config = decidedConfig(data, { model, camLayer, steps: length.lastStep, losses: given.losses });
  const prototypeShape = guidedShape(config, data.train);
  const shapeWarnings =
    prototypeShape === null || prototypeShape.carries === "shape" ? [] : [describeShape(prototypeShape)];
  const dataWarnings = [...data.warnings, ...shapeWarnings];
  const messages = [
    ...configWarnings(config, length.lastStep),
    ...newWarnings(dataWarnings, data.before?.warnings),
    ...guided.warnings,
    ...warnings,
    ...sizeWarnings(config, length.lastStep, { ...data, model }),
  ];
  for (const message of messages) emit({ type: "warning", message });
  for (const message of adapted) emit({ type: "note", message });
  const precision = await precisionFor(run, { config, model, train: data.train, steps: length.lastStep }, given);
  const session: Session = {
    run,
    config,
    trained: {
      config,
      model,
      amp: precision.amp,
      channelsLast: precision.channelsLast,
      data,
      camLayer,
      prototypes: guided.references,
    },
    training: { augmentation: augmentationOf(config), frozen, release },
    losses: given.losses ?? new Map(),
    optimisation: optimisationOf(config, model, plan.stepsPerEpoch * config.epochs),
    guidance: planOf(model, { config, smallestBatch: length.smallestBatch, ...guided.guidance }),
    maps: { size: guided.size, prototypeShape },
    length,
    reporting: reportingOf(run, emit, { profiler: profilerOf(config, model), timings: precision.timings }),
    progress: resumes ? noProgress() : { ...noProgress(), validation: contentDigest(data.val) },
    savedStep: null,
    close: () => closeSession(session, data),
  };
  if (resumes) await resume(session, { data, plan, warnings: dataWarnings, given: given.data, signal });
  else {
    const about = { directory: run.directory, given: given.data, warnings: dataWarnings };
    await begin(session, newRunData(data, plan, about), { given, exported });
  }
  return session;
}

/** The precision of the run: as it began, or as the model's steps are fastest. A program's own model is not run for a measurement. */
async function precisionFor(
  { start, directory }: OpenRun,
  options: PrecisionOptions,
  { model: given }: GivenToRun,
): Promise<ChosenPrecision> {
  if (start === "continue") return { ...(await recordedPrecision(directory, options.config)), timings: null };
  return given === undefined ? choosePrecision(options) : { ...precisionOf(options.config), timings: null };
}

/** The config with the numbers that are decided when a run begins. They are stored with the run, so that a resumed run uses the same ones. */
function decidedConfig(
  { config, train }: SessionData,
  { losses, ...about }: Pick<GuidedRun, "model" | "camLayer" | "steps"> & Pick<GivenToRun, "losses">,
): TrainConfig {
  const image = train.images.sizes.slice(1) as [number, number, number];
  const guideEvery = guideEveryOf(config, { ...about, image, hasOwnTerms: (losses?.size ?? 0) > 0 });
  return { ...config, guideEvery, lambdaWarmup: lambdaWarmupOf(config, about.steps) };
}

function optimisationOf(config: TrainConfig, model: Module, scheduledSteps: number): Optimisation {
  return {
    optimizer: createOptimizer(config, model),
    parameters: model.parameters(),
    weightEma: config.modelEma ? averageOf(model, config) : null,
    rate: learningRate(config, scheduledSteps),
  };
}

function reportingOf(
  { directory }: OpenRun,
  emit: (event: TrainEvent) => void,
  measured: Pick<Reporting, "profiler" | "timings">,
): Reporting {
  return { emit, log: new MetricsLog(directory), ...measured, rewound: { fromStep: 0, left: [] }, balance: null };
}

/** The images of a run, which are normalised as the weights that it starts from expect. */
async function dataFor(run: OpenRun, start: Start, options: SessionDataOptions): Promise<SessionData> {
  const data = await openData({ ...run, config: { ...run.config, ...start.choice } }, options).catch(
    (error: unknown) => {
      disposeAll(start.weights);
      throw error;
    },
  );
  expectAnnotations(data.config, data);
  return data;
}

/** The number of steps, which follows from the images and the config, and the plan that a resumed run keeps. */
function lengthOf(
  data: SessionData,
  model: Module,
  frozen: readonly Module[],
): { length: RunLength; plan: RunPlan; warnings: string[] } {
  const { config, train } = data;
  const image = train.images.sizes.slice(1) as [number, number, number];
  const fewest = smallestBatch(config, model, { frozen, image, images: train.labels.numel });
  const steps = Math.min(
    batchCount(train.labels.numel, { batchSize: imagesPerStep(config), smallestBatch: fewest }),
    config.limitTrainBatches ?? Number.POSITIVE_INFINITY,
  );
  const { stepsPerEpoch, plan, warnings } = epochSteps(steps, data);
  const totalSteps = config.epochs * stepsPerEpoch;
  const lastStep = Math.min(config.maxSteps ?? Number.POSITIVE_INFINITY, totalSteps);
  return { length: { smallestBatch: fewest, stepsPerEpoch, totalSteps, lastStep }, plan, warnings };
}

/** The progress of a run before its first step. */
const noProgress = (): Progress => ({
  step: 0,
  epoch: 1,
  batch: 0,
  means: { images: 0, sums: {} },
  history: [],
  bestEpoch: 0,
  seconds: 0,
  epochSeconds: 0,
});

function averageOf(model: Module, { modelEmaDecay: decay, modelEmaWarmup: warmup }: TrainConfig): WeightEma {
  return tidy(() => new WeightEma(model.stateDict(), { decay, warmup }));
}

function closeSession({ trained, training, optimisation, guidance, reporting }: Session, data: SessionData): void {
  reporting.profiler?.finish();
  training.release();
  disposeAll(optimisation.optimizer.stateTensors());
  if (guidance.camEma === null) guidance.prototypes.dispose();
  else disposeAll(guidance.camEma.state());
  optimisation.weightEma?.dispose();
  trained.prototypes.dispose();
  guidance.classWeights?.dispose();
  data.dispose();
}
