import { describeValue, expectInteger } from "../arguments.ts";
import { check, type Handle, native } from "../engine/internal.ts";
import { BatchCamError } from "../errors.ts";
import { handleOf, keep } from "./core.ts";
import { Tensor } from "./tensor.ts";

/** Seeds this thread's random generator, a Mersenne Twister as in torch on the CPU. The same seed gives the same bits. */
export function manualSeed(seed: number): void {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new BatchCamError(
      "E_ARGUMENT",
      `manualSeed: seed must be an integer from 0 to 2^53 - 1, got ${describeValue(seed)}`,
    );
  }
  native.manualSeed(seed);
}

/** The complete state of the random generator, uint8. `setRngState` continues the sequence from it. */
export function getRngState(): Tensor {
  return new Tensor(check("getRngState", native.rngState()) as Handle);
}

export function setRngState(state: Tensor): void {
  check("setRngState", native.setRngState(handleOf(state, "setRngState: state")));
}

/** A random stream with its own seed. Drawing from it does not change the state of the thread's generator. */
export class OwnGenerator {
  #state: Tensor | undefined;

  constructor(operation: string, seed: number) {
    expectInteger(`${operation}: seed`, seed, 0);
    this.draw(() => manualSeed(seed));
  }

  /** Runs `fn`, whose draws continue the sequence from the last call. */
  draw<T>(fn: () => T): T {
    const outer = getRngState();
    if (this.#state !== undefined) setRngState(this.#state);
    try {
      return fn();
    } finally {
      this.#state?.dispose();
      this.#state = keep(getRngState());
      setRngState(outer);
      outer.dispose();
    }
  }

  [Symbol.dispose](): void {
    this.#state?.dispose();
    this.#state = undefined;
  }
}
