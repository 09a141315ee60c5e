import { expectNumber } from "../arguments.ts";
import { handleOf } from "../tensor/core.ts";
import type { Tensor } from "../tensor/index.ts";
import { dropped } from "./dropout.ts";
import { Module } from "./module.ts";

/**
 * Stochastic depth (Huang et al., arXiv 1603.09382), on the branch of a residual block: in training y[n] = x[n]·m[n] / (1 − rate)
 * with m[n] one Bernoulli(1 − rate) for each sample, so that the mean stays; in evaluation y = x. (N, ...) → (N, ...).
 *
 * @throws E_ARGUMENT unless 0 <= rate < 1
 */
export class DropPath extends Module {
  readonly rate: number;

  constructor(rate: number) {
    super();
    expectNumber("DropPath: rate", rate, "lie in [0, 1)", (n) => n >= 0 && n < 1);
    this.rate = rate;
  }

  override extraRepr(): string {
    return `drop_prob=${this.rate.toFixed(3)}`;
  }

  override forward(x: Tensor): Tensor {
    handleOf(x, "DropPath: x");
    if (!this.training || this.rate === 0) return x;
    const [samples = 1, ...rest] = x.sizes;
    return dropped(x, [samples, ...rest.map(() => 1)], this.rate);
  }
}
