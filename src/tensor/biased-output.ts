import type { Tensor } from "./tensor.ts";

/** The result of an operator to which it has just added a bias. */
export interface BiasedOutput {
  readonly output: Tensor;
  /** The parameter; null where a norm shifts its input and has none. */
  readonly bias: Tensor | null;
  /** What was added whatever the input was, of a shape that broadcasts to the output's. */
  added(): Tensor;
  /** Dimension of an output of four dimensions that holds the channels. */
  readonly channelDim: 1 | 3;
}

/** Sees the result, and says what takes its place. */
export type BiasObserver = (biased: BiasedOutput) => Tensor;

let observer: BiasObserver | null = null;

/** What operators that add a bias pass their result through. */
export const reportBias = (biased: BiasedOutput): Tensor => (observer === null ? biased.output : observer(biased));

/** Runs `fn` in sight of an observer of every bias. Synchronous. */
export function observeBiases<T>(see: BiasObserver, fn: () => T): T {
  const outer = observer;
  observer = see;
  try {
    return fn();
  } finally {
    observer = outer;
  }
}
