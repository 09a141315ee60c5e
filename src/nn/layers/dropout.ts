import { expectNumber } from "../../arguments.ts";
import { empty, type Tensor } from "../../tensor/index.ts";
import { expectTensor } from "../../tensor/internal.ts";
import { Module } from "../module.ts";
import { settingsText } from "../print.ts";

/**
 * Dropout (Srivastava et al., JMLR 2014): in training y = x·m / (1 − p) with m drawn from Bernoulli(1 − p) for each value, so that the
 * mean does not change; in evaluation y = x. The same as torch's `nn.Dropout`.
 *
 * @throws E_ARGUMENT unless 0 <= p < 1
 */
export class Dropout extends Module {
  readonly p: number;

  constructor(p = 0.5) {
    super();
    expectNumber("Dropout: p", p, "be in [0, 1)", (n) => n >= 0 && n < 1);
    this.p = p;
  }

  override extraRepr(): string {
    return settingsText([], { p: this.p, inplace: false });
  }

  override forward(x: Tensor): Tensor {
    expectTensor(x, "Dropout: x");
    return this.training && this.p > 0 ? dropped(x, x.sizes, this.p) : x;
  }
}

/** x·m / (1 − p), where m is drawn from Bernoulli(1 − p) in a shape that broadcasts to that of x. */
export function dropped(x: Tensor, shape: readonly number[], p: number): Tensor {
  return x.mul(
    empty(shape, { dtype: x.dtype })
      .bernoulli_(1 - p)
      .div_(1 - p),
  );
}

/**
 * Stochastic depth (Huang et al., arXiv 1603.09382), on the branch of a residual block: in training y[n] = x[n]·m[n] / (1 − rate) with
 * m[n] drawn from Bernoulli(1 − rate) for each sample, so that the mean does not change; in evaluation y = x. (N, ...) → (N, ...).
 *
 * @throws E_ARGUMENT unless 0 <= rate < 1
 */
export class DropPath extends Module {
  readonly rate: number;

  constructor(rate: number) {
    super();
    expectNumber("DropPath: rate", rate, "be in [0, 1)", (n) => n >= 0 && n < 1);
    this.rate = rate;
  }

  override extraRepr(): string {
    return `drop_prob=${this.rate.toFixed(3)}`;
  }

  override forward(x: Tensor): Tensor {
    expectTensor(x, "DropPath: x");
    if (!this.training || this.rate === 0) return x;
    const [samples = 1, ...rest] = x.sizes;
    return dropped(x, [samples, ...rest.map(() => 1)], this.rate);
  }
}
