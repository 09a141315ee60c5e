import { expectInteger } from "../arguments.ts";
import { getRngState, keep, manualSeed, setRngState, type Tensor } from "./index.ts";

/** Random numbers of a seed of their own: what is drawn here leaves the thread's generator as it was. */
export class OwnGenerator {
  #state: Tensor | undefined;

  constructor(operation: string, seed: number) {
    expectInteger(`${operation}: seed`, seed, 0);
    this.draw(() => manualSeed(seed));
  }

  /** Runs `fn`, whose draws go on from those of the last call. */
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
