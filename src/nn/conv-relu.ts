import { convRelu as convReluOp, fusedDtype } from "../tensor/fused-ops.ts";
import type { Pair, Tensor } from "../tensor/index.ts";
import { ReLU } from "./activation.ts";
import { squareWindow, takes } from "./conv-shape.ts";
import { Conv2d } from "./conv2d.ts";
import { isOf, isPlain, wantsFused } from "./fused.ts";
import { MaxPool2d } from "./pooling.ts";
import { observed, report } from "./recorder.ts";

/**
 * pool(relu(conv(x))), what plain convolutional networks are made of: one kernel where nobody asks for the output of the
 * convolution or of the ReLU, else the layers one after the other. The values and what ties give are the layers' own.
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
  const y = observed(conv, () => convReluOp(x.to(dtype), weight, bias, { ...window, pool: pool !== null }));
  return report(pool ?? relu, y);
}

/** Whether a pool takes the maximum of adjacent, non-overlapping windows of 2x2 pixels. */
function halves(pool: MaxPool2d): boolean {
  const { kernelSize, options } = pool;
  const { stride = kernelSize, padding = 0, ceilMode = false } = options;
  const all = (pair: Pair, side: number) => [pair].flat().every((own) => own === side);
  const window = all(kernelSize, 2) && all(stride, 2) && all(padding, 0);
  return isOf(pool, MaxPool2d) && window && !ceilMode;
}
