import { optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { type ConvOptions, conv2d, empty, type Pair, type Tensor } from "../tensor/index.ts";
import { pairOf } from "../tensor/layers.ts";
import { expectCounts, expectImages } from "./checks.ts";
import { biasUniform_, kaimingUniform_ } from "./init.ts";
import { Module } from "./module.ts";
import { parameter } from "./parameter.ts";
import { settingsText } from "./print.ts";

export interface Conv2dOptions extends ConvOptions {
  bias?: boolean;
}

/**
 * Convolution: y[n, k] = bias[k] + Σ_c weight[k, c] ⋆ x[n, c] (cross-correlation), (N, C, H, W) → (N, K, H', W') with
 * H' = ⌊(H + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1. Initialised as in torch.
 *
 * @throws E_ARGUMENT where sizes are no positive integers or `groups` does not divide the channels; E_SHAPE for a wrong x.
 */
export class Conv2d extends Module {
  readonly weight: Tensor; // (K, C / groups, kh, kw)
  readonly bias: Tensor | null; // (K)
  readonly inChannels: number;
  readonly options: ConvOptions;

  constructor(inChannels: number, outChannels: number, kernelSize: Pair, given: Conv2dOptions = {}) {
    super();
    const { bias = true, ...options } = optionsOf("Conv2d", given, ["stride", "padding", "dilation", "groups", "bias"]);
    const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
    expectCounts("Conv2d", { inChannels, outChannels, kernelSize, stride, dilation, groups });
    if (inChannels % groups !== 0 || outChannels % groups !== 0) {
      const channels = `inChannels ${inChannels} and outChannels ${outChannels}`;
      throw new BatchCamError("E_ARGUMENT", `Conv2d: groups must divide ${channels}, got ${groups}`);
    }
    this.inChannels = inChannels;
    this.options = { stride, padding, dilation, groups };
    const kernel = typeof kernelSize === "number" ? [kernelSize, kernelSize] : kernelSize;
    this.weight = parameter(kaimingUniform_(empty([outChannels, inChannels / groups, ...kernel])));
    this.bias = bias ? parameter(biasUniform_(empty([outChannels]), this.weight)) : null;
  }

  /** Dimension of the output that holds the channels. */
  get channelDim(): 1 | 3 {
    return 1;
  }

  override extraRepr(): string {
    const [outChannels = 0, , ...kernel] = this.weight.sizes;
    const { stride = 1, padding = 0, dilation = 1, groups = 1 } = this.options;
    const differs = (pair: Pair, usual: number) => pairOf(pair).some((value) => value !== usual);
    return settingsText([this.inChannels, outChannels], {
      kernel_size: kernel,
      stride: pairOf(stride),
      ...(differs(padding, 0) ? { padding: pairOf(padding) } : {}),
      ...(differs(dilation, 1) ? { dilation: pairOf(dilation) } : {}),
      ...(groups === 1 ? {} : { groups }),
      ...(this.bias === null ? { bias: false } : {}),
    });
  }

  override forward(x: Tensor): Tensor {
    expectImages("Conv2d", x, this.inChannels);
    return conv2d(x, this.weight, this.bias, this.options);
  }
}
