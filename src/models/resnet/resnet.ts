import {
  AdaptiveAvgPool2d,
  BatchNorm2d,
  Conv2d,
  convNorm,
  Identity,
  kaimingNormal_,
  Linear,
  MaxPool2d,
  Module,
  ReLU,
  Sequential,
} from "../../nn/index.ts";
import { isPlain } from "../../nn/internal.ts";
import { noGrad, type Tensor } from "../../tensor/index.ts";
import { expectInput } from "../../tensor/internal.ts";
import { type ClosedFormHead, expectOneOf, expectSizes, knownOptions, Model } from "../model.ts";
import type { resnetDescription } from "./description.ts";

export interface ResNetOptions {
  /** The number of classes (1000, as in torchvision). */
  numClasses?: number;
  /** The channels of the images (3, as in torchvision). */
  inChannels?: number;
  /**
   * "imagenet" (default) is a 7x7 convolution of stride 2 and a 3x3 max-pool of stride 2; "small", for images of 28 to 64 pixels, is a
   * 3x3 convolution of stride 1.
   */
  stem?: "imagenet" | "small";
  /** The channels of the first stage (64). Each later stage has twice as many as the previous one. */
  width?: number;
  /**
   * Whether the last norm of each block starts with zero weights, so that the block starts as its shortcut: torchvision's
   * `zero_init_residual`.
   */
  zeroInitLast?: boolean;
}

const RESNET_OPTIONS = [
  "numClasses",
  "inChannels",
  "stem",
  "width",
  "zeroInitLast",
] as const satisfies (keyof ResNetOptions)[];

export type ResNetName = (typeof resnetDescription)["models"][number];

/** The number of blocks of each stage. */
export const DEPTHS = {
  resnet18: [2, 2, 2, 2],
  resnet34: [3, 4, 6, 3],
} as const satisfies Record<ResNetName, readonly number[]>;

/** A convolution without bias, because the batch norm after it would cancel a bias. */
function convolution(from: number, to: number, kernel: number, stride = 1): Conv2d {
  return new Conv2d(from, to, kernel, { stride, padding: (kernel - 1) / 2, bias: false });
}

/** y = relu(bn(conv3x3(relu(bn(conv3x3(x))))) + shortcut(x)), (N, C, H, W) → (N, C', ⌈H/stride⌉, ⌈W/stride⌉). */
class BasicBlock extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly downsample: Sequential | null;

  constructor(from: number, to: number, stride: number) {
    super();
    // It is made before the convolutions of the block, as in torchvision, so that the same seed gives the same weights.
    const projection = stride !== 1 || from !== to;
    this.downsample = projection ? new Sequential(convolution(from, to, 1, stride), new BatchNorm2d(to)) : null;
    this.conv1 = convolution(from, to, 3, stride);
    this.bn1 = new BatchNorm2d(to);
    this.conv2 = convolution(to, to, 3);
    this.bn2 = new BatchNorm2d(to);
  }

  override forward(x: Tensor): Tensor {
    const inner = convNorm(this.conv1, this.bn1, x, { relu: true });
    const shortcut = this.downsample?.run(x) ?? x;
    return convNorm(this.conv2, this.bn2, inner, { add: shortcut, relu: true });
  }
}

function stage(from: number, to: number, { depth, stride }: { depth: number; stride: number }): Sequential {
  const blocks = Array.from({ length: depth }, (_, i) => new BasicBlock(i === 0 ? from : to, to, i === 0 ? stride : 1));
  return new Sequential(...blocks);
}

/**
 * ResNet-18 and -34 (He et al., arXiv 1512.03385): stem, four stages of basic blocks, the last three of which halve the map, global
 * average pooling, one linear layer. State-dict names and shapes are torchvision's, so that weights can be exchanged in both directions.
 * The sides of the maps of layer1 to layer4: 56, 28, 14, 7 for 224x224 with the "imagenet" stem; 28, 14, 7, 4 for 28x28 with the "small"
 * one.
 */
export class ResNet extends Model {
  readonly camLayer = "layer4";
  readonly classifier = "fc";
  readonly firstConv = "conv1";
  override readonly layerPatterns = [/^(?:conv1|bn1)\./, /^layer(\d+)\.(\d+)\./];
  readonly numClasses: number;
  readonly inChannels: number;
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly relu = new ReLU();
  readonly maxpool: Module;
  readonly layer1: Sequential;
  readonly layer2: Sequential;
  readonly layer3: Sequential;
  readonly layer4: Sequential;
  readonly avgpool = new AdaptiveAvgPool2d(1);
  readonly fc: Linear;

  constructor(name: ResNetName, options: ResNetOptions = {}) {
    super();
    expectOneOf("ResNet", "name", [name, Object.keys(DEPTHS) as ResNetName[]]);
    const {
      numClasses = 1000,
      inChannels = 3,
      stem = "imagenet",
      width = 64,
      zeroInitLast = false,
    } = knownOptions(name, options, RESNET_OPTIONS);
    expectSizes(name, { numClasses, inChannels, width });
    expectOneOf(name, "stem", [stem, ["imagenet", "small"]]);
    expectOneOf(name, "zeroInitLast", [zeroInitLast, [true, false]]);
    const imagenet = stem === "imagenet";
    const [first, second, third, fourth] = DEPTHS[name];
    this.numClasses = numClasses;
    this.inChannels = inChannels;
    this.conv1 = imagenet ? convolution(inChannels, width, 7, 2) : convolution(inChannels, width, 3);
    this.bn1 = new BatchNorm2d(width);
    this.maxpool = imagenet ? new MaxPool2d(3, { stride: 2, padding: 1 }) : new Identity();
    this.layer1 = stage(width, width, { depth: first, stride: 1 });
    this.layer2 = stage(width, 2 * width, { depth: second, stride: 2 });
    this.layer3 = stage(2 * width, 4 * width, { depth: third, stride: 2 });
    this.layer4 = stage(4 * width, 8 * width, { depth: fourth, stride: 2 });
    this.fc = new Linear(8 * width, numClasses);
    initialise(this, zeroInitLast);
  }

  override forward(x: Tensor): Tensor {
    expectInput("ResNet", x, { channels: this.inChannels, leastSide: 1 });
    const rectified = isPlain(this.relu, ReLU)
      ? convNorm(this.conv1, this.bn1, x, { relu: true })
      : this.relu.run(convNorm(this.conv1, this.bn1, x));
    const stem = this.maxpool.run(rectified);
    const stages = [this.layer1, this.layer2, this.layer3, this.layer4];
    const pooled = [...stages, this.avgpool].reduce((y: Tensor, layer) => layer.run(y), stem); // (N, 8·width, 1, 1)
    return this.fc.run(pooled.flatten(1));
  }

  override get camLayers(): readonly string[] {
    return ["layer1", "layer2", "layer3", "layer4"];
  }

  override closedFormHead(): ClosedFormHead {
    return { layer: "fc", weight: this.fc.weight };
  }
}

/**
 * Initialises as torchvision does: convolutions from a normal distribution with standard deviation √(2 / fanOut). Norms and the linear
 * layer keep the initial values of their classes.
 */
function initialise(model: ResNet, zeroInitLast: boolean): void {
  for (const module of model.namedModules().values()) {
    if (module instanceof Conv2d) kaimingNormal_(module.weight, { mode: "fanOut" });
    if (zeroInitLast && module instanceof BasicBlock) noGrad(() => module.bn2.weight.zero_());
  }
}
