import { createHash } from "node:crypto";
import { cpus } from "node:os";
import { join } from "node:path";
import { writeFileAtomically, writeFirst } from "../../atomic-file.ts";
import { cacheFolder } from "../../cache-folder.ts";
import type { TrainConfig } from "../../config/index.ts";
import { BatchCamError } from "../../errors.ts";
import { crossEntropy } from "../../losses/index.ts";
import type { Module } from "../../nn/index.ts";
import { readRegularText } from "../../regular-file.ts";
import {
  type Capabilities,
  capabilities,
  getNumThreads,
  getRngState,
  grad,
  noGrad,
  randn,
  setRngState,
  type Tensor,
  tensor,
  tidy,
} from "../../tensor/index.ts";
import { inPrecision, type Precision, precisionOf } from "../loop/precision.ts";
import { type Environment, type RunEnvironment, readEnvironment } from "./environment.ts";
import type { PrecisionTiming } from "./events.ts";
import type { ImagesAndClasses } from "./from-config.ts";

// `--amp auto` on a processor with bfloat16 instructions: whether they make a step faster depends on the network and on the kernels that
// exist for it, so that a plain step of the network is timed in each precision, once, and the result is kept in the user's cache.

/** The precision that a run takes, and the measurement that decided it; null if none was needed. */
export interface ChosenPrecision extends Required<Precision> {
  readonly timings: readonly PrecisionTiming[] | null;
}

/** Runs with fewer steps take the processor's rule (`precisionOf`), because a measurement takes as long as some ten steps. */
const FEWEST_STEPS = 200;

/** How much faster than float32 bfloat16 must be, since float32 is more exact. */
const MARGIN = 0.97;

/** The most pixels of a measured batch: a step of larger batches takes seconds, and its ratios are those of smaller ones. */
const MOST_PIXELS = 400_000;

/** Timed steps of each candidate, after a first one that also prepares kernels. A slow first step counts as the only one. */
const ROUNDS = 3;
const SLOW_MILLISECONDS = 2000;

/** The properties of the machine that the choice depends on. */
type Processor = Pick<Capabilities, "fastBfloat16" | "forcedBfloat16">;

export interface PrecisionOptions {
  config: TrainConfig;
  model: Module;
  /** The images and classes that the model is trained on. */
  train: ImagesAndClasses;
  /** The number of steps of the run. */
  steps: number;
}

/**
 * The precision and layout of a new run. With `amp: "auto"`, a processor with bfloat16 instructions and a run of at least 200 steps, it is
 * the fastest of the candidates, measured or read from the cache; otherwise `precisionOf(config)`. The model and the generator's state are
 * left as they were.
 */
export async function choosePrecision(
  options: PrecisionOptions,
  processor: Processor = capabilities(),
): Promise<ChosenPrecision> {
  const { config, steps } = options;
  const byRule = { ...precisionOf(config), timings: null };
  if (!isOpen(config, processor) || !processor.fastBfloat16 || steps < FEWEST_STEPS) return byRule;
  const path = join(cacheFolder(), "precision", `${keyOf(options)}.json`);
  const timings = (await readTimings(path)) ?? (await keepFirst(path, measure(options)));
  return { ...fastest(timings, byRule), timings };
}

/** Whether neither the config nor the environment decides the precision. */
const isOpen = ({ amp }: TrainConfig, { forcedBfloat16 }: Processor): boolean =>
  amp === "auto" && forcedBfloat16 === null;

/**
 * The precision and layout that a run recorded, so that its later parts and its evaluations compute as it began. A run that computed in
 * bfloat16 computes in float32 on a processor without instructions for it. Runs without a record take `precisionOf(config)`.
 */
export async function recordedPrecision(
  runDirectory: string,
  config: TrainConfig,
  processor: Processor = capabilities(),
): Promise<Required<Precision>> {
  const byRule = precisionOf(config);
  if (!isOpen(config, processor)) return byRule;
  const { resumed = [], ...first } = await readEnvironment(runDirectory).catch(() => ({}) as RunEnvironment);
  const { precision, layout }: Partial<Environment> = Object.assign({}, first, ...resumed);
  const amp = precision === undefined ? byRule.amp : precision === "bfloat16" && processor.fastBfloat16;
  const last =
    config.channelsLast === "auto" && layout !== undefined ? layout === "channels last" : byRule.channelsLast;
  return { amp, channelsLast: last };
}

/** The fastest candidate; float32 unless bfloat16 is faster by the margin. */
function fastest(timings: readonly PrecisionTiming[], byRule: Required<Precision>): Required<Precision> {
  const cost = ({ amp, milliseconds }: PrecisionTiming) =>
    (milliseconds ?? Number.POSITIVE_INFINITY) / (amp ? MARGIN : 1);
  const best = [...timings].sort((a, b) => cost(a) - cost(b))[0];
  if (best === undefined || best.milliseconds === null) return byRule;
  return { amp: best.amp, channelsLast: best.channelsLast };
}

function candidatesOf({ channelsLast }: TrainConfig): Required<Precision>[] {
  const layouts = channelsLast === "auto" ? [true, false] : [channelsLast === "on"];
  // Autocast's kernels are made for channels last.
  const half = { amp: true, channelsLast: channelsLast !== "off" };
  return [half, ...layouts.map((last) => ({ amp: false, channelsLast: last }))];
}

/** Names the processor, the versions, the threads, the network and the shape of its batches. */
function keyOf({ config, model, train }: PrecisionOptions): string {
  const { version, cpuCapability, kernels } = capabilities();
  const machine = [cpus()[0]?.model, version, cpuCapability, kernels, getNumThreads()];
  const network = [...model.namedParameters()].map(([name, { sizes }]) => [name, ...sizes]);
  const batch = [batchOf(config, train), ...train.images.sizes.slice(1), config.channelsLast];
  return createHash("sha256")
    .update(JSON.stringify([FORMAT, machine, model.constructor.name, network, batch]))
    .digest("hex")
    .slice(0, 32);
}

function batchOf({ batchSize }: TrainConfig, { images }: ImagesAndClasses): number {
  const [, , height = 1, width = 1] = images.sizes;
  return Math.max(2, Math.min(batchSize, Math.floor(MOST_PIXELS / (height * width))));
}

/** Times the candidates in turn, so that a change of the machine's load affects all of them. */
function measure(options: PrecisionOptions): PrecisionTiming[] {
  const state = getRngState();
  const restore = rememberBuffers(options.model);
  try {
    return tidy(() => timeEach(options));
  } finally {
    restore();
    setRngState(state);
    state.dispose();
  }
}

function timeEach({ config, model, train }: PrecisionOptions): PrecisionTiming[] {
  const count = batchOf(config, train);
  const images = randn([count, ...train.images.sizes.slice(1)]);
  const labels = tensor(BigInt64Array.from({ length: count }, (_, i) => BigInt(i % train.numClasses)));
  model.train();
  const timings = candidatesOf(config).map((candidate): PrecisionTiming => {
    const first = timeStep(model, { images, labels }, candidate);
    return { ...candidate, milliseconds: first };
  });
  for (let round = 0; round < ROUNDS; round++) {
    for (const timing of timings) {
      const before = timing.milliseconds;
      if (before === null || before > SLOW_MILLISECONDS) continue;
      const again = timeStep(model, { images, labels }, timing);
      // The first step is replaced, because it also prepares kernels.
      timing.milliseconds = round === 0 || again === null ? again : Math.min(before, again);
    }
  }
  return timings;
}

/** Milliseconds of a forward and a backward pass; null if the network cannot compute in this precision. */
function timeStep(
  model: Module,
  { images, labels }: { images: Tensor; labels: Tensor },
  precision: Required<Precision>,
): number | null {
  try {
    return tidy(() => {
      const trained = model.parameters().filter(({ requiresGrad }) => requiresGrad);
      const start = performance.now();
      const logits = inPrecision(images, precision, (laid) => model.forward(laid)).to("float32");
      grad(crossEntropy(logits, labels), trained, { allowUnused: true });
      return performance.now() - start;
    });
  } catch (error) {
    if (error instanceof BatchCamError) return null;
    throw error;
  }
}

/** Keeps the buffers, such as running statistics. Returns what puts their values back. */
function rememberBuffers(model: Module): () => void {
  const kept = [...model.namedBuffers().values()].map((buffer) => ({ buffer, value: buffer.detach().clone() }));
  return () => {
    noGrad(() => {
      for (const { buffer, value } of kept) {
        buffer.copy_(value);
        value.dispose();
      }
    });
  };
}

const FORMAT = 1;

/** Whether a value has the form in which `keepFirst` writes timings. */
function areTimings(value: unknown): value is PrecisionTiming[] {
  const isTime = (time: unknown) => time === null || (typeof time === "number" && time > 0);
  const isTiming = ({ amp, channelsLast, milliseconds }: Partial<PrecisionTiming>) =>
    typeof amp === "boolean" && typeof channelsLast === "boolean" && isTime(milliseconds);
  return Array.isArray(value) && value.length > 0 && value.every((timing) => isTiming(Object(timing)));
}

/** Timings of an earlier run; null if there are none, or if the file is damaged. */
async function readTimings(path: string): Promise<readonly PrecisionTiming[] | null> {
  try {
    const { format, timings } = Object(JSON.parse(await readRegularText(path))) as {
      format?: unknown;
      timings?: unknown;
    };
    return format === FORMAT && areTimings(timings) ? timings : null;
  } catch {
    return null;
  }
}

/**
 * Stores timings unless another process has stored its own, which then apply to both: two runs of a network on one machine must make
 * the same choice. If the cache cannot be written, they are not stored.
 */
async function keepFirst(path: string, timings: readonly PrecisionTiming[]): Promise<readonly PrecisionTiming[]> {
  try {
    const text = JSON.stringify({ format: FORMAT, timings });
    if (await writeFirst(path, text)) return timings;
    const others = await readTimings(path);
    if (others !== null) return others;
    await writeFileAtomically(path, text); // the file was damaged
  } catch (error) {
    if (!(error instanceof BatchCamError)) throw error;
  }
  return timings;
}
