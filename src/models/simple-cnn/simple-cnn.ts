import { BatchCamError } from "../../errors.ts";
import {
  BatchNorm2d,
  Conv2d,
  Dropout,
  Flatten,
  GlobalAvgPool2d,
  Linear,
  MaxPool2d,
  type Module,
  ReLU,
} from "../../nn/index.ts";
import { convRelu, flatLinear } from "../../nn/internal.ts";
import type { Tensor } from "../../tensor/index.ts";
import { expectInput, ImagesTooSmall } from "../../tensor/internal.ts";
import { type ClosedFormHead, expectOneOf, expectRate, expectSizes, knownOptions, Model } from "../model.ts";

export interface SimpleCnnOptions {
  numClasses?: number;
  inChannels?: number;
  /** The side of the images (28), which determines the size of the first linear layer of the "mlp" head. */
  imageSize?: number;
  /** "mlp" is flatten - linear 128 - ReLU - linear; "gap" is global average pooling - linear. */
  head?: "mlp" | "gap";
  /** "batch" adds a batch norm after each convolution, which then has no bias. */
  norm?: "none" | "batch";
  /** The probability with which training drops each value before the last layer (0). */
  dropout?: number;
}

const SIMPLE_CNN_OPTIONS = [
  "numClasses",
  "inChannels",
  "imageSize",
  "head",
  "norm",
  "dropout",
] as const satisfies (keyof SimpleCnnOptions)[];

/**
 * The small network of the paper's first experiments: conv3x3 32 - ReLU - conv3x3 64 - ReLU - max-pool 2 - conv3x3 128
 * - ReLU - max-pool 2 - head. The maps are the output of the last max-pool, 7x7 for images of 28x28.
 */
export class SimpleCNN extends Model {
  readonly camLayer = "pool2";
  readonly classifier: string;
  readonly firstConv = "conv1";
  override readonly layerPatterns = [/^(?:conv|bn)(\d)/, /^fc1/];
  readonly numClasses: number;
  readonly #mapSide: number | undefined; // the "mlp" head supports only maps of one size
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d | null;
  readonly act1 = new ReLU();
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d | null;
  readonly act2 = new ReLU();
  readonly pool1 = new MaxPool2d(2);
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm2d | null;
  readonly act3 = new ReLU();
  readonly pool2 = new MaxPool2d(2);
  readonly flatten: Flatten | null;
  readonly fc1: Linear | null;
  readonly act4: ReLU | null;
  readonly drop: Dropout | null;
  readonly fc2: Linear | null;
  readonly gap: GlobalAvgPool2d | null;
  readonly fc: Linear | null;

  constructor(options: SimpleCnnOptions = {}) {
    super();
    const {
      numClasses = 10,
      inChannels = 1,
      imageSize = 28,
      head = "mlp",
      norm = "none",
      dropout = 0,
    } = knownOptions("simple-cnn", options, SIMPLE_CNN_OPTIONS);
    expectSizes("simple-cnn", { numClasses, inChannels, imageSize });
    expectOneOf("simple-cnn", "head", [head, ["mlp", "gap"]]);
    expectOneOf("simple-cnn", "norm", [norm, ["none", "batch"]]);
    expectRate("simple-cnn", "dropout", dropout);
    const side = Math.floor(imageSize / 4); // of the maps
    if (side < 1)
      throw new ImagesTooSmall("E_CONFIG", "simple-cnn", { height: imageSize, width: imageSize, leastSide: 4 });
    const conv = (from: number, to: number) => new Conv2d(from, to, 3, { padding: 1, bias: norm === "none" });
    const batchNorm = (channels: number) => (norm === "batch" ? new BatchNorm2d(channels) : null);
    this.numClasses = numClasses;
    this.conv1 = conv(inChannels, 32);
    this.bn1 = batchNorm(32);
    this.conv2 = conv(32, 64);
    this.bn2 = batchNorm(64);
    this.conv3 = conv(64, 128);
    this.bn3 = batchNorm(128);
    const mlp = head === "mlp";
    this.classifier = mlp ? "fc2" : "fc";
    this.#mapSide = mlp ? side : undefined;
    this.flatten = mlp ? new Flatten() : null;
    this.fc1 = mlp ? new Linear(128 * side * side, 128) : null;
    this.act4 = mlp ? new ReLU() : null;
    this.drop = dropout > 0 ? new Dropout(dropout) : null;
    this.fc2 = mlp ? new Linear(128, numClasses) : null;
    this.gap = mlp ? null : new GlobalAvgPool2d();
    this.fc = mlp ? null : new Linear(128, numClasses);
  }

  override forward(x: Tensor): Tensor {
    this.#expectSize(x);
    const y = stage(this.conv1, this.bn1, this.act1, null, x); // (N, 32, 28, 28)
    const z = stage(this.conv2, this.bn2, this.act2, this.pool1, y); // (N, 64, 14, 14)
    const maps = stage(this.conv3, this.bn3, this.act3, this.pool2, z); // (N, 128, 7, 7)
    const { flatten, fc1 } = this;
    if (flatten === null || fc1 === null) return inTurn([this.gap, this.drop, this.fc], maps); // (N, numClasses)
    return inTurn([this.act4, this.drop, this.fc2], flatLinear(flatten, fc1, maps));
  }

  #expectSize(x: Tensor): void {
    expectInput("SimpleCNN", x, { leastSide: this.#mapSide === undefined ? 4 : 0 });
    const [, , height = 0, width = 0] = x.sizes;
    const sides = [Math.floor(height / 4), Math.floor(width / 4)];
    if (this.#mapSide !== undefined && sides.some((side) => side !== this.#mapSide)) {
      const made = `${this.#mapSide * 4}x${this.#mapSide * 4}`;
      throw new BatchCamError(
        "E_SHAPE",
        `SimpleCNN: the model was made for images of ${made}, got ${height}x${width}; set imageSize, or head "gap", which takes any size`,
        { options: ["imageSize"] },
      );
    }
  }

  override get camLayers(): readonly string[] {
    return ["act1", "pool1", "pool2"];
  }

  override closedFormHead(): ClosedFormHead | null {
    if (this.drop !== null) return null; // the dropped values affect the gradient
    if (this.fc1 !== null && this.fc2 !== null)
      return { layer: "fc1", weight: this.fc1.weight, readout: this.fc2.weight };
    return this.fc === null ? null : { layer: "fc", weight: this.fc.weight };
  }
}

function stage(conv: Conv2d, norm: BatchNorm2d | null, act: ReLU, pool: MaxPool2d | null, x: Tensor): Tensor {
  return norm === null ? convRelu(conv, act, pool, x) : inTurn([conv, norm, act, pool], x);
}

const inTurn = (layers: readonly (Module | null)[], x: Tensor): Tensor =>
  layers.reduce((y, layer) => layer?.run(y) ?? y, x);
