import { expectNumber, optionsOf } from "../arguments.ts";
import { layerNorm, ones, type Tensor, zeros } from "../tensor/index.ts";
import { expectCounts, expectImages, expectLast } from "./checks.ts";
import { Module } from "./module.ts";
import { parameter } from "./parameter.ts";
import { settingsText } from "./print.ts";

/** y = (x − mean x) / √(var x + eps) · weight + bias over the last dimension (biased variance), (..., n) → (..., n). */
export class LayerNorm extends Module {
  readonly weight: Tensor; // (n)
  readonly bias: Tensor; // (n)
  readonly eps: number;
  readonly size: number;

  constructor(size: number, options: { eps?: number } = {}) {
    super();
    const { eps = 1e-5 } = optionsOf("LayerNorm", options, ["eps"]);
    expectNumber("LayerNorm: eps", eps);
    expectCounts("LayerNorm", { size });
    this.size = size;
    this.eps = eps;
    this.weight = parameter(ones([size]));
    this.bias = parameter(zeros([size]));
  }

  override extraRepr(): string {
    return settingsText([[this.size]], { eps: this.eps, elementwise_affine: true });
  }

  override forward(x: Tensor): Tensor {
    expectLast("LayerNorm", x, this.size);
    return layerNorm(x, [this.size], weightsOf(this));
  }
}

/** Layer norm over the channels of each pixel of (N, C, H, W): timm's LayerNorm2d. */
export class LayerNorm2d extends LayerNorm {
  override forward(x: Tensor): Tensor {
    expectImages("LayerNorm2d", x, this.size);
    return layerNorm(x.permute([0, 2, 3, 1]), [this.size], weightsOf(this)).permute([0, 3, 1, 2]);
  }
}

const weightsOf = ({ weight, bias, eps }: LayerNorm) => ({ weight, bias, eps });
