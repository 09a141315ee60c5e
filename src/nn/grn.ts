import { expectNumber, optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { reportBias } from "../tensor/biased-output.ts";
import { handleOf } from "../tensor/core.ts";
import { type Tensor, zeros } from "../tensor/index.ts";
import { expectCounts } from "./checks.ts";
import { Module } from "./module.ts";
import { parameter } from "./parameter.ts";
import { settingsText } from "./print.ts";

export interface GRNOptions {
  eps?: number;
  /** True for (N, H, W, C), false for (N, C, H, W). */
  channelsLast?: boolean;
}

/**
 * Global response normalisation (ConvNeXt V2, arXiv 2301.00808): y = x + weight·(x·R) + bias, R = g / (mean_c g + eps),
 * g[n, c] = ‖x[n, :, :, c]‖₂. Names are timm's; both parameters start at zero, so that the layer starts as the identity.
 */
export class GRN extends Module {
  readonly weight: Tensor; // (C)
  readonly bias: Tensor; // (C)
  readonly eps: number;
  readonly channelsLast: boolean;
  readonly channels: number;

  constructor(channels: number, options: GRNOptions = {}) {
    super();
    const { eps = 1e-6, channelsLast = true } = optionsOf("GRN", options, ["eps", "channelsLast"]);
    expectNumber("GRN: eps", eps);
    expectCounts("GRN", { channels });
    this.channels = channels;
    this.eps = eps;
    this.channelsLast = channelsLast;
    this.weight = parameter(zeros([channels]));
    this.bias = parameter(zeros([channels]));
  }

  /** Dimension of the output that holds the channels. */
  get channelDim(): 1 | 3 {
    return this.channelsLast ? 3 : 1;
  }

  override extraRepr(): string {
    return settingsText([this.channels], { eps: this.eps, channels_last: this.channelsLast });
  }

  override forward(x: Tensor): Tensor {
    handleOf(x, "GRN: x");
    const [space, channel, shape] = this.channelsLast ? [[1, 2], 3, [-1]] : [[2, 3], 1, [-1, 1, 1]];
    if (x.ndim !== 4 || x.sizes[channel] !== this.channels) {
      const expected = this.channelsLast ? `[N, H, W, ${this.channels}]` : `[N, ${this.channels}, H, W]`;
      throw new BatchCamError("E_SHAPE", `GRN: x must be ${expected}, got [${x.sizes.join(", ")}]`);
    }
    const energy = norms(x, space); // (N, 1, 1, C)
    const response = energy.div(energy.mean([channel], { keepDims: true }).add(this.eps)); // (N, 1, 1, C)
    // The same sum as x·(1 + weight·R) + bias, which reads and writes the large tensor once instead of four times.
    const scale = response.mul(this.weight.view(shape)).add(1);
    const output = this.bias.view(shape).addcmul(x, scale);
    return reportBias({ output, bias: this.bias, added: () => this.bias.view(shape), channelDim: this.channelDim });
  }
}

/**
 * ‖x‖₂ over `dims`, with gradient zero where it is zero. libtorch's own norm is slow over strided data, and its second-order
 * gradient is NaN where a channel is dead.
 */
function norms(x: Tensor, dims: readonly number[]): Tensor {
  const squared = x.square().sum(dims, { keepDims: true });
  const dead = squared.eq(0);
  return squared.maskedFill(dead, 1).sqrt().maskedFill(dead, 0);
}
