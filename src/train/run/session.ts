import { join } from "node:path";
import { configWarnings, lambdaWarmupOf, type TrainConfig, type TrainConfigInput } from "../../config/index.ts";
import { describeShape } from "../../data/batches/prototype-shape.ts";
import { batchCount, classCounts, prototypes as classPrototypes, type Split } from "../../data/index.ts";
import { contentDigest } from "../../data/record/data-record.ts";
import { saveSafetensors } from "../../io/index.ts";
import { CamEma } from "../../losses/index.ts";
import type { Model } from "../../models/index.ts";
import { WeightEma } from "../../optim/index.ts";
import { capabilities, keep, manualSeed, setNumThreads, type Tensor, tensor, tidy } from "../../tensor/index.ts";
import { normalizationNote } from "../data/normalization.ts";
import { type RunData, writeRunData } from "../data/run-data.ts";
import { guidedPrototypes, prototypeOptions } from "../loop/guided-prototypes.ts";
import { createOptimizer, freeze, learningRate } from "../loop/optimisation.ts";
import { usesBfloat16, usesChannelsLast } from "../loop/precision.ts";
import { profilerOf } from "../loop/profiling.ts";
import { imagesPerStep } from "../loop/step.ts";
import { disposeAll } from "./checkpoint.ts";
import type { TrainEvent } from "./events.ts";
import { modelFor } from "./from-config.ts";
import { MetricsLog } from "./metrics-log.ts";
import { resume } from "./resume.ts";
import { type OpenRun, openRun, writeJson } from "./run-directory.ts";
import {
  checkMapSize,
  expectAnnotations,
  guidedLayer,
  guidedShape,
  normWarnings,
  sizeWarnings,
} from "./session-checks.ts";
import {
  epochSteps,
  newRunData,
  openData,
  runPrototypes,
  type SessionData,
  type SessionDataOptions,
  smallestBatch,
} from "./session-data.ts";
import { environmentOf, type Session } from "./session-state.ts";
import { loadStart, NO_START, startModel } from "./starting-weights.ts";

/**
 * Opens the run that a config names, and closes it whatever becomes of fn.
 * @param options `signal` rejects with its reason where it is aborted while data are loaded
 */
export async function withSession<T>(
  input: TrainConfigInput,
  emit: (event: TrainEvent) => void,
  fn: (session: Session) => Promise<T>,
  options: SessionDataOptions = {},
): Promise<T> {
  const run = await openRun(input);
  try {
    const session = await openSession(run, emit, options);
    try {
      return await fn(session);
    } finally {
      session.close();
    }
  } finally {
    run.close();
  }
}

/** Loads the data, builds the model and, on resuming, puts everything where the checkpoint left it. */
async function openSession(
  run: OpenRun,
  emit: (event: TrainEvent) => void,
  options: SessionDataOptions,
): Promise<Session> {
  const { directory } = run;
  setNumThreads(run.config.threads ?? capabilities().cores);
  const start = run.resuming ? NO_START : await loadStart(run.config);
  const started = { ...run, config: { ...run.config, ...start.choice } };
  const data = await openData(started, options).catch((error: unknown) => {
    disposeAll(start.weights);
    throw error;
  });
  let { config } = data;
  expectAnnotations(config, data);
  manualSeed(config.seed);
  const model = modelFor(config, data.train);
  const adapted = startModel(model, start, config.model);
  if (start.source !== null) adapted.push(normalizationNote(data.train.normalization, start.source));
  const { camLayer, size } = guidedLayer(config, model, data.train);
  checkMapSize(size, camLayer, emit);
  const imageSize = data.train.images.sizes.slice(-2) as [number, number];
  const statistics = prototypeOptions(config, (message) => emit({ type: "warning", message }));
  const computed = keep(await classPrototypes(data.train, statistics));
  const known = await runPrototypes(run, data, computed);
  const { references } = known;
  const camEma =
    config.statistic === "cam-ema" && !config.plain
      ? new CamEma(data.train.numClasses, imageSize, { decay: config.emaDecay })
      : null;
  const prototypes = camEma?.prototypes ?? (await guidedPrototypes(references, config, statistics));
  const classWeights = config.classWeights === "balanced" ? keep(balancedWeights(data.train)) : null;
  const frozen = config.freeze === undefined ? [] : freeze(model, config.freeze);
  const image = data.train.images.sizes.slice(1) as [number, number, number];
  const fewest = smallestBatch(config, model, { frozen, image, images: data.train.labels.numel });
  const steps = Math.min(
    batchCount(data.train.labels.numel, { batchSize: imagesPerStep(config), smallestBatch: fewest }),
    config.limitTrainBatches ?? Number.POSITIVE_INFINITY,
  );
  const { stepsPerEpoch, plan, warnings } = epochSteps(steps, data);
  const totalSteps = config.epochs * stepsPerEpoch;
  const lastStep = Math.min(config.maxSteps ?? Number.POSITIVE_INFINITY, totalSteps);
  config = { ...config, lambdaWarmup: lambdaWarmupOf(config, lastStep) }; // kept with the run, which goes on with it
  const shape = guidedShape(config, data.train);
  for (const message of [
    ...configWarnings(config, lastStep),
    ...data.warnings,
    ...known.warnings,
    ...warnings,
    ...sizeWarnings(config, lastStep, data),
    ...normWarnings(config, lastStep, model),
    ...(shape === null || shape.carries === "shape" ? [] : [describeShape(shape)]),
    ...adapted,
  ])
    emit({ type: "warning", message });
  const session: Session = {
    run,
    config,
    train: data.train,
    val: data.val,
    test: data.test,
    model,
    frozen,
    optimizer: createOptimizer(config, model),
    weightEma: config.modelEma ? averageOf(model, config) : null,
    guidance: { config, camLayer, prototypes, camEma, classWeights },
    prototypeShape: shape,
    references,
    rate: learningRate(config, plan.stepsPerEpoch * config.epochs),
    smallestBatch: fewest,
    stepsPerEpoch,
    totalSteps,
    lastStep,
    mapSize: size,
    amp: usesBfloat16(config),
    channelsLast: usesChannelsLast(config),
    log: new MetricsLog(directory),
    profiler: profilerOf(config, model),
    progress: {
      step: 0,
      epoch: 1,
      batch: 0,
      means: { images: 0, sums: {} },
      history: [],
      bestEpoch: 0,
      ...(run.resuming ? {} : { validation: contentDigest(data.val) }),
      seconds: 0,
      epochSeconds: 0,
    },
    rewound: { fromStep: 0, left: [] },
    balance: null,
    savedStep: null,
    emit,
    close: () => closeSession(session, data),
  };
  if (run.resuming) await resume(session, { data, plan, ...options });
  else await begin(session, newRunData(data, plan, { directory, given: options.given }));
  return session;
}

/** N / (C · n_c): weights by which every class counts alike, of mean 1 over the images. Classes without images weigh nothing. */
function balancedWeights(split: Split): Tensor {
  const counts = classCounts(split.labels, split.numClasses);
  const present = counts.filter((count) => count > 0).length;
  return tensor(
    counts.map((count) => (count > 0 ? split.labels.numel / (present * count) : 0)),
    { dtype: "float32" },
  );
}

async function begin(session: Session, data: RunData): Promise<void> {
  const { run, config, references, emit } = session;
  if (config.resume !== false) {
    emit({ type: "warning", message: `${run.directory} has no checkpoint: the run begins anew` });
  }
  await run.clear();
  await writeJson(join(run.directory, "environment.json"), environmentOf(session));
  await saveSafetensors(join(run.directory, "prototypes.safetensors"), new Map([["prototypes", references]]));
  await writeRunData(run.directory, data);
  // Last: a run exists once its config does.
  const own = { resume: false, overwrite: false, profile: false, acceptNewData: false };
  await writeJson(join(run.directory, "config.json"), { ...config, ...own });
}

function averageOf(model: Model, { modelEmaDecay: decay, modelEmaWarmup: warmup }: TrainConfig): WeightEma {
  return tidy(() => new WeightEma(model.stateDict(), { decay, warmup }));
}

function closeSession(session: Session, data: SessionData): void {
  const { model, optimizer, weightEma, references, guidance, profiler } = session;
  profiler?.finish();
  model.dispose();
  disposeAll(optimizer.stateTensors());
  if (guidance.camEma === null) guidance.prototypes.dispose();
  else disposeAll(guidance.camEma.state());
  weightEma?.dispose();
  references.dispose();
  guidance.classWeights?.dispose();
  data.dispose();
}
