import { maxPool2d, type Pair, type Tensor } from "../../tensor/index.ts";
import { convolution, convRelu as convReluOp, fusedDtype, wantsFused } from "../../tensor/internal.ts";
import { emitOutput, observed } from "../interception.ts";
import { ReLU } from "../layers/linear.ts";
import { Conv2d, MaxPool2d, squareWindow, takes } from "../layers/spatial.ts";
import { isOf, isPlain } from "./conv-norm.ts";
import { needsSecondDerivatives } from "./second-derivatives.ts";

/**
 * pool(relu(conv(x))), the building block of plain convolutional networks. It runs in one kernel if the outputs of the
 * convolution and the ReLU are not observed, otherwise layer by layer. If its gradient is differentiated again, the
 * convolution is a kernel of its own, which has a second derivative. Values, and gradients at ties, equal those of the
 * layers.
 */
export function convRelu(conv: Conv2d, relu: ReLU, pool: MaxPool2d | null, x: Tensor): Tensor {
  return fused(conv, relu, pool, x) ?? [conv, relu, pool].reduce((y, layer) => layer?.run(y) ?? y, x);
}

function fused(conv: Conv2d, relu: ReLU, pool: MaxPool2d | null, x: Tensor): Tensor | null {
  const window = squareWindow(conv);
  const dtype = fusedDtype(x);
  const { weight, bias } = conv;
  if (!wantsFused() || dtype === null || window === null || bias === null) return null;
  const known = pool === null ? isOf(relu, ReLU) : isPlain(relu, ReLU) && halves(pool);
  if (!known || !isPlain(conv, Conv2d) || !takes(conv, x, pool === null ? 1 : 2)) return null;
  if (weight.dtype !== "float32" || bias.dtype !== "float32") return null;
  const y = observed(conv, () =>
    needsSecondDerivatives()
      ? poolRelu(convolution(x.to(dtype), weight, window), bias, pool)
      : convReluOp(x.to(dtype), weight, bias, { ...window, pool: pool !== null }),
  );
  return emitOutput(pool ?? relu, y);
}

/**
 * pool(relu(z + bias)). Pooling comes first, which gives the same values from a quarter of the memory. In bfloat16 z is rounded
 * before the bias is added, so that pixels that are nearly equal may be chosen otherwise than by the layers.
 */
function poolRelu(z: Tensor, bias: Tensor, pool: MaxPool2d | null): Tensor {
  return (pool === null ? z : maxPool2d(z, 2)).add(bias.to(z.dtype).view([1, -1, 1, 1])).relu();
}

/** Whether a pool takes the maximum of adjacent, non-overlapping windows of 2x2 pixels. */
function halves(pool: MaxPool2d): boolean {
  const { kernelSize, options } = pool;
  const { stride = kernelSize, padding = 0, ceilMode = false } = options;
  const all = (pair: Pair, side: number) => [pair].flat().every((own) => own === side);
  const window = all(kernelSize, 2) && all(stride, 2) && all(padding, 0);
  return isOf(pool, MaxPool2d) && window && !ceilMode;
}
