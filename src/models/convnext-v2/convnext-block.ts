import { Conv2d, DropPath, GELU, GRN, Identity, LayerNorm, Linear, Module } from "../../nn/index.ts";
import { isPlain } from "../../nn/internal.ts";
import { linear, type Tensor, zerosLike } from "../../tensor/index.ts";
import {
  type ConvNextMlpWeights,
  convNextMlp,
  depthwiseConv,
  expectLast,
  fusedDtype,
  hasConvNextMlp,
  wantsFused,
} from "../../tensor/internal.ts";

const EPS = 1e-6; // the eps of every layer norm, as in timm

/** The kind of layer that has the MLP's weights. Both compute the same, and timm's small variants have 1x1 convolutions. */
export type MlpKind = "conv" | "linear";

/** A linear layer over the channels of (N, H, W, C) whose weight has the shape of a 1x1 convolution, (K, C, 1, 1). */
class Pointwise extends Conv2d {
  constructor(from: number, to: number) {
    super(from, to, 1);
  }

  override get channelDim(): 1 | 3 {
    return 3;
  }

  override forward(x: Tensor): Tensor {
    expectLast("Pointwise", x, this.inChannels);
    return linear(x, this.weight.flatten(1), this.bias);
  }
}

/** y = fc2(grn(gelu(fc1(x)))) over the channels, with four times as many hidden channels, (N, H, W, C) → (N, H, W, C). */
class GrnMlp extends Module {
  readonly fc1: Pointwise | Linear;
  readonly act = new GELU();
  readonly grn: GRN;
  readonly fc2: Pointwise | Linear;

  constructor(channels: number, kind: MlpKind) {
    super();
    const Layer = kind === "conv" ? Pointwise : Linear;
    this.fc1 = new Layer(channels, 4 * channels);
    this.grn = new GRN(4 * channels);
    this.fc2 = new Layer(4 * channels, channels);
  }

  override forward(x: Tensor): Tensor {
    return this.fc2.run(this.grn.run(this.act.run(this.fc1.run(x))));
  }

  /** Whether no observer needs the outputs of its layers. */
  isFusable(): boolean {
    const linears = [this.fc1, this.fc2].every((layer) => isPlain(layer, Pointwise) || isPlain(layer, Linear));
    return linears && isPlain(this, GrnMlp) && isPlain(this.grn, GRN) && isPlain(this.act, GELU);
  }

  /** The weights that the fused kernel reads, including those of the norm. */
  weights(norm: LayerNorm): ConvNextMlpWeights {
    const product = ({ weight, bias }: Pointwise | Linear) => ({ weight: weight.flatten(1), bias: bias as Tensor });
    return { norm, fc1: product(this.fc1), grn: this.grn, fc2: product(this.fc2) };
  }
}

/** y = x + dropPath(mlp(norm(depthwise7x7(x)))), (N, C, H, W) → (N, C, H, W). */
export class ConvNextBlock extends Module {
  readonly conv_dw: Conv2d;
  readonly norm: LayerNorm;
  readonly mlp: GrnMlp;
  readonly drop_path: Module;

  constructor(channels: number, { mlp, dropPath }: { mlp: MlpKind; dropPath: number }) {
    super();
    this.conv_dw = new Conv2d(channels, channels, 7, { padding: 3, groups: channels });
    this.norm = new LayerNorm(channels, { eps: EPS });
    this.mlp = new GrnMlp(channels, mlp);
    this.drop_path = dropPath > 0 ? new DropPath(dropPath) : new Identity();
  }

  override forward(x: Tensor): Tensor {
    // From the first layer norm on, maps are channels-last in memory, so that `permute` needs no copy.
    const pixels = x.permute([0, 2, 3, 1]); // (N, H, W, C)
    const fused = this.#inTwoKernels(pixels);
    if (fused !== null) return fused.permute([0, 3, 1, 2]);
    const maps = this.conv_dw.run(x).permute([0, 2, 3, 1]);
    const branch = this.drop_path.run(this.mlp.run(this.norm.run(maps)));
    return x.add(branch.permute([0, 3, 1, 2]));
  }

  /**
   * The same in one kernel; null if the output of one of its layers is observed or the kernels are switched off. Both
   * agree up to rounding.
   */
  #inTwoKernels(pixels: Tensor): Tensor | null {
    const { conv_dw, norm, mlp, drop_path } = this;
    const dtype = fusedDtype(pixels);
    if (dtype === null || !hasConvNextMlp(dtype, conv_dw.inChannels) || !wantsFused() || pixels.numel === 0)
      return null;
    if (!isPlain(conv_dw, Conv2d) || !isPlain(norm, LayerNorm) || !mlp.isFusable()) return null;
    const { bias, weight } = conv_dw;
    if (bias === null || weight.dtype !== "float32" || pixels.sizes[3] !== conv_dw.inChannels) return null;
    const x = pixels.to(dtype);
    const maps = depthwiseConv(x, weight, bias);
    const dropping = !isPlain(drop_path, Identity);
    const branch = convNextMlp(maps, dropping ? zerosLike(x) : x, mlp.weights(norm));
    return dropping ? x.add(drop_path.run(branch)) : branch;
  }
}
