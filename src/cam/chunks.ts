import type { Module } from "../nn/index.ts";
import { arange, type Tensor } from "../tensor/index.ts";
import type { MethodSettings } from "./settings.ts";
import { watchOutputs } from "./watch-outputs.ts";

const MEMORY = 2 ** 30;
/** Beyond this many images a forward pass on the CPU only leaves its caches. */
const MOST = 128;
/** Tensors of the size of the largest output that a forward pass without a graph holds at once, roughly. */
const HELD = 4;

/** Images of one forward pass that a memory limit allows, by the largest output of any module for one image. */
export function chunkSize(
  model: Module,
  x: Tensor,
  { chunkSize: given, memoryLimit = MEMORY }: MethodSettings,
): number {
  if (given !== undefined) return given;
  const bytes = 4 * HELD * largestOutput(model, x);
  return Math.max(1, Math.min(MOST, Math.floor(memoryLimit / bytes)));
}

function largestOutput(model: Module, x: Tensor): number {
  let largest = x.numel / (x.sizes[0] as number);
  watchOutputs(model, x, ({ numel }) => {
    largest = Math.max(largest, numel);
  });
  return largest;
}

/** A run of (sample, channel) pairs, sample-major. */
export interface Pairs {
  /** (n), int64: sample of each pair */
  readonly samples: Tensor;
  /** (n), int64: channel of each pair */
  readonly channels: Tensor;
  readonly start: number;
  readonly count: number;
}

/** All pairs of B samples and K channels, in runs of at most `size`. */
export function* pairsOf(batch: number, channels: number, size: number): Generator<Pairs> {
  const all = batch * channels;
  for (let start = 0; start < all; start += size) {
    const count = Math.min(size, all - start);
    const index = arange(start, start + count);
    const channel = index.remainder(channels);
    const samples = index.sub(channel).to("float64").div(channels).to("int64"); // exact, as float32 is not beyond 2^24
    yield { samples, channels: channel, start, count };
  }
}
