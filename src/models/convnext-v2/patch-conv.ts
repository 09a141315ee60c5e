import { Conv2d } from "../../nn/index.ts";
import { expectImages } from "../../nn/internal.ts";
import { linear, type Tensor } from "../../tensor/index.ts";
import { fusedDtype, observesBiases, wantsFused } from "../../tensor/internal.ts";

/**
 * A convolution whose stride is the side of its kernel, so that its patches do not overlap. It is one matrix product with the patches of
 * channels-last images, which takes about half the time of the general kernel in both directions. `setFusedTraining` and
 * `setFusedInference` switch to that kernel.
 */
export class PatchConv extends Conv2d {
  readonly side: number;

  constructor(inChannels: number, outChannels: number, side: number) {
    super(inChannels, outChannels, side, { stride: side });
    this.side = side;
  }

  // The layer is a convolution in timm.
  override typeName(): string {
    return "Conv2d";
  }

  override forward(x: Tensor): Tensor {
    expectImages("Conv2d", x, this.inChannels);
    const { side, weight, bias } = this;
    const [images = 0, channels = 0, height = 0, width = 0] = x.sizes;
    const [rows, columns] = [Math.floor(height / side), Math.floor(width / side)];
    const dtype = fusedDtype(x);
    const isFused = wantsFused() && !observesBiases(); // an observer needs the bias added to maps, not to rows of patches
    if (dtype === null || weight.dtype !== "float32" || images * rows * columns === 0 || !isFused)
      return super.forward(x);
    const pixels = x
      .permute([0, 2, 3, 1])
      .narrow(1, 0, rows * side)
      .narrow(2, 0, columns * side);
    const patches = pixels
      .to(dtype)
      .reshape([images, rows, side, columns, side, channels])
      .permute([0, 1, 3, 2, 4, 5])
      .reshape([images * rows * columns, side * side * channels]);
    const matrix = weight.permute([0, 2, 3, 1]).flatten(1);
    return linear(patches, matrix, bias).view([images, rows, columns, -1]).permute([0, 3, 1, 2]);
  }
}
