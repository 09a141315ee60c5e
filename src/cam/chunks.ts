import type { Module } from "../nn/index.ts";
import { cat, stack, type Tensor, tensor, tidy } from "../tensor/index.ts";
import type { MethodSettings } from "./options.ts";
import { watchOutputs } from "./recorded-forward.ts";
import type { Target } from "./targets.ts";

const MEMORY = 2 ** 30;
/** The largest chunk. More images do not fit the CPU's caches, so that they do not make a forward pass faster. */
const MOST = 128;
/**
 * An estimate of how many tensors of the size of the largest output a forward pass without a graph holds at the same
 * time.
 */
const HELD = 4;

/** How many images a memory limit allows in one forward pass, estimated from the largest output of any module for one image. */
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

/** The rows of one forward pass. Each row is a pair of a sample and a channel. */
export interface Pairs {
  /** (n), int64: the sample of each row */
  readonly samples: Tensor;
  /** (n), int64: the channel of each row */
  readonly channels: Tensor;
  readonly count: number;
}

export interface ChannelScoresOptions {
  /** B */
  batch: number;
  /** K */
  channels: number;
  /** The largest number of rows in one forward pass. */
  size: number;
  target: Target;
}

/**
 * Scores (B, K) of the logits that a method computes for every pair of a sample and a channel. The forward passes take at most `size`
 * rows each. The target may be a function of the caller's. It gets the logits (B, C) of the whole batch in its order, once for each
 * channel, so that it can look up values such as labels by the position of a row, whatever `size` is.
 *
 * @param logitsOf returns the logits (n, C) of n pairs
 */
export function channelScores(
  { batch, channels, size, target }: ChannelScoresOptions,
  logitsOf: (pairs: Pairs) => Tensor,
): Tensor {
  const together = Math.max(1, Math.floor(size / batch));
  const scores: Tensor[] = [];
  for (let first = 0; first < channels; first += together) {
    const count = Math.min(together, channels - first);
    const group = tidy(() => {
      const runs = runsOf({ start: first * batch, count: count * batch }, size);
      const logits = cat(runs.map((run) => tidy(() => logitsOf(pairsOf(run, batch)))));
      const byChannel = logits.view([count, batch, -1]).unbind(0);
      return stack(byChannel.map((own) => target.score(own.contiguous())));
    });
    scores.push(group); // (channels of the group, B)
  }
  return cat(scores).t().contiguous();
}

interface Run {
  readonly start: number;
  readonly count: number;
}

/** Splits `count` items into as few parts of at most `size` as possible, of nearly equal length. */
function runsOf({ start, count }: Run, size: number): Run[] {
  const parts = Math.ceil(count / size);
  const bounds = Array.from({ length: parts + 1 }, (_, part) => start + Math.floor((part * count) / parts));
  return bounds.slice(1).map((end, part) => ({ start: bounds[part] as number, count: end - (bounds[part] as number) }));
}

/** The pairs of one pass, counted channel by channel: pair i is sample i mod B and channel ⌊i / B⌋. */
function pairsOf({ start, count }: Run, batch: number): Pairs {
  const indices = (of: (pair: number) => number) =>
    tensor(BigInt64Array.from({ length: count }, (_, i) => BigInt(of(start + i))));
  return { samples: indices((i) => i % batch), channels: indices((i) => Math.floor(i / batch)), count };
}
