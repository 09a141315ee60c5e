import { optionsOf } from "../../arguments.ts";
import {
  adaptiveAvgPool2d,
  avgPool2d,
  maxPool2d,
  type Pair,
  type PoolOptions,
  type Tensor,
} from "../../tensor/index.ts";
import { Module } from "../module.ts";
import { settingsText } from "../print.ts";
import { expectCounts, expectImages } from "./checks.ts";

/** The kernel and its options, checked once. */
abstract class Pool2d extends Module {
  readonly kernelSize: Pair;
  readonly options: PoolOptions;

  constructor(kernelSize: Pair, options: PoolOptions = {}) {
    super();
    expectCounts(new.target.name, {
      kernelSize,
      stride: optionsOf(new.target.name, options, ["stride", "padding", "ceilMode"]).stride ?? kernelSize,
    });
    this.kernelSize = kernelSize;
    this.options = options;
  }

  protected settings() {
    const { stride = this.kernelSize, padding = 0 } = this.options;
    return { kernel_size: this.kernelSize, stride, padding };
  }
}

/** Largest value under each window; the stride is the kernel's size unless told otherwise. (N, C, H, W) → (N, C, H', W'). */
export class MaxPool2d extends Pool2d {
  override extraRepr(): string {
    return settingsText([], { ...this.settings(), dilation: 1, ceil_mode: this.options.ceilMode === true });
  }

  override forward(x: Tensor): Tensor {
    expectImages("MaxPool2d", x);
    return maxPool2d(x, this.kernelSize, this.options);
  }
}

/** Mean under each window, padding counted as zeros. (N, C, H, W) → (N, C, H', W'). */
export class AvgPool2d extends Pool2d {
  override extraRepr(): string {
    return settingsText([], this.settings());
  }

  override forward(x: Tensor): Tensor {
    expectImages("AvgPool2d", x);
    return avgPool2d(x, this.kernelSize, this.options);
  }
}

/** Means over a grid of `size` windows as equal as can be. (N, C, H, W) → (N, C, size...). */
export class AdaptiveAvgPool2d extends Module {
  readonly size: Pair;

  constructor(size: Pair) {
    super();
    expectCounts("AdaptiveAvgPool2d", { size });
    this.size = size;
  }

  override extraRepr(): string {
    return settingsText([], { output_size: this.size });
  }

  override forward(x: Tensor): Tensor {
    expectImages("AdaptiveAvgPool2d", x);
    return adaptiveAvgPool2d(x, this.size);
  }
}

/** Mean over all pixels. (N, C, H, W) → (N, C). */
export class GlobalAvgPool2d extends Module {
  override forward(x: Tensor): Tensor {
    expectImages("GlobalAvgPool2d", x);
    return x.mean([2, 3]);
  }
}
