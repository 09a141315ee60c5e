import { expectInteger } from "../arguments.ts";
import { getRngState, keep, manualSeed, rand, setRngState, type Tensor } from "./index.ts";

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

  /** Standard normal values by Box and Muller: unlike `randn`, the same whether drawn in one call or row by row. */
  normalRows(count: number, shape: readonly number[]): Tensor {
    const [radius, angle] = this.draw(() => rand([count, 2, ...shape], { dtype: "float64" })).unbind(1) as [
      Tensor,
      Tensor,
    ];
    const length = radius.neg().add(1).log().mul(-2).sqrt(); // 1 − u lies in (0, 1]
    return length.mul(angle.mul(2 * Math.PI).cos());
  }

  [Symbol.dispose](): void {
    this.#state?.dispose();
    this.#state = undefined;
  }
}
