import { BatchCamError } from "../../errors.ts";
import {
  AdaptiveAvgPool2d,
  Conv2d,
  Flatten,
  LayerNorm2d,
  Linear,
  Module,
  Sequential,
  truncatedNormal_,
} from "../../nn/index.ts";
import { noGrad, type Tensor } from "../../tensor/index.ts";
import { expectInput } from "../../tensor/internal.ts";
import { expectOneOf, expectRate, expectSizeLists, expectSizes, knownOptions, Model } from "../model.ts";
import { ConvNextBlock, type MlpKind } from "./convnext-block.ts";
import type { convNextV2Description } from "./description.ts";
import { PatchConv } from "./patch-conv.ts";

export interface ConvNextV2Options {
  /** The number of classes (1000, as in timm). */
  numClasses?: number;
  /** The channels of the images (3, as in timm). */
  inChannels?: number;
  /**
   * timm's `patch_size`: the side and stride of the stem's convolution, 4 (default), 2 or 1. With 2, the first stage also halves the map.
   */
  patchSize?: 1 | 2 | 4;
  /** 2 makes the stem a 2x2 convolution of stride 2, instead of `patchSize`: maps of 14, 7, 3, 1 for images of 28x28. */
  stemStride?: 2;
  /** The channels of the four stages. */
  dims?: readonly number[];
  /** The number of blocks in each of the four stages. */
  depths?: readonly number[];
  /** The rate of stochastic depth in the last block. It rises from 0 in the first block in equal steps: timm's `drop_path_rate`. */
  dropPath?: number;
}

const CONVNEXT_V2_OPTIONS = [
  "numClasses",
  "inChannels",
  "patchSize",
  "stemStride",
  "dims",
  "depths",
  "dropPath",
] as const satisfies (keyof ConvNextV2Options)[];

export type ConvNextV2Name = (typeof convNextV2Description)["models"][number];

interface Variant {
  readonly depths: readonly number[];
  readonly dims: readonly number[];
  readonly mlp: MlpKind;
}

export const VARIANTS = {
  convnextv2_atto: { depths: [2, 2, 6, 2], dims: [40, 80, 160, 320], mlp: "conv" },
  convnextv2_femto: { depths: [2, 2, 6, 2], dims: [48, 96, 192, 384], mlp: "conv" },
  convnextv2_pico: { depths: [2, 2, 6, 2], dims: [64, 128, 256, 512], mlp: "conv" },
  convnextv2_nano: { depths: [2, 2, 8, 2], dims: [80, 160, 320, 640], mlp: "conv" },
  convnextv2_tiny: { depths: [3, 3, 9, 3], dims: [96, 192, 384, 768], mlp: "linear" },
  convnextv2_base: { depths: [3, 3, 27, 3], dims: [128, 256, 512, 1024], mlp: "linear" },
} as const satisfies Record<ConvNextV2Name, Variant>;

const STAGES = 4;
const EPS = 1e-6; // the eps of every layer norm

interface StageOptions {
  /** The stride of the convolution before the blocks; 2 halves the map. */
  stride: 1 | 2;
  mlp: MlpKind;
  /** The rate of stochastic depth in each block. */
  rates: readonly number[];
}

/** blocks(downsample(x)), downsample = conv2x2(norm(x)) of stride 2: (N, C, H, W) → (N, C', ⌊H/2⌋, ⌊W/2⌋). */
class Stage extends Module {
  readonly downsample: Sequential | null;
  readonly blocks: Sequential;

  constructor(from: number, to: number, { stride, mlp, rates }: StageOptions) {
    super();
    const changes = stride > 1 || from !== to;
    this.downsample = changes
      ? new Sequential(new LayerNorm2d(from, { eps: EPS }), new PatchConv(from, to, stride))
      : null;
    this.blocks = new Sequential(...rates.map((dropPath) => new ConvNextBlock(to, { mlp, dropPath })));
  }

  override forward(x: Tensor): Tensor {
    return this.blocks.run(this.downsample?.run(x) ?? x);
  }
}

/** logits = fc(norm(mean over the map)), (N, C, H, W) → (N, classes). */
export class Head extends Module {
  readonly global_pool = new AdaptiveAvgPool2d(1);
  readonly norm: LayerNorm2d;
  readonly flatten = new Flatten();
  readonly fc: Linear;

  constructor(channels: number, numClasses: number) {
    super();
    this.norm = new LayerNorm2d(channels, { eps: EPS });
    this.fc = new Linear(channels, numClasses);
  }

  override forward(x: Tensor): Tensor {
    return this.fc.run(this.flatten.run(this.norm.run(this.global_pool.run(x))));
  }
}

/**
 * ConvNeXt V2 (Woo et al., arXiv 2301.00808): a stem of patches, four stages of depthwise 7x7 convolutions and MLPs with global response
 * normalisation, the last three of which halve the map, then mean, layer norm and a linear layer. State-dict names and shapes are timm's,
 * so that weights can be exchanged in both directions. Inside a block maps are (N, H, W, C), elsewhere (N, C, H, W). The sides of the
 * stages' maps are 1/4, 1/8, 1/16 and 1/32 of the image's side with `patchSize` 4 and 2; 1/2 to 1/16 with `stemStride` 2; and 1 to 1/8
 * with `patchSize` 1 (28, 14, 7, 3 for 28x28).
 */
export class ConvNextV2 extends Model {
  readonly camLayer = `stages.${STAGES - 1}`;
  readonly classifier = "head.fc";
  readonly firstConv = "stem.0";
  // The downsampling of a stage has the learning rate of the stage's first block, as in timm.
  override readonly layerPatterns = [/^stem\./, /^stages\.(\d+)\.(?:downsample|blocks\.(\d+))\./];
  readonly numClasses: number;
  readonly inChannels: number;
  readonly #leastSide: number; // which gives a last map of one pixel
  readonly stem: Sequential;
  readonly stages: Sequential;
  readonly head: Head;

  constructor(name: ConvNextV2Name, options: ConvNextV2Options = {}) {
    super();
    expectOneOf("ConvNextV2", "name", [name, Object.keys(VARIANTS) as ConvNextV2Name[]]);
    knownOptions(name, options, CONVNEXT_V2_OPTIONS);
    const { mlp, ...variant } = VARIANTS[name];
    const { numClasses = 1000, inChannels = 3, dims = variant.dims, depths = variant.depths, dropPath = 0 } = options;
    expectSizes(name, { numClasses, inChannels });
    expectSizeLists(name, STAGES, { dims, depths });
    expectRate(name, "dropPath", dropPath);
    const { patch, strides } = downsampling(name, options);
    const [first, last] = [dims[0] as number, dims[STAGES - 1] as number];
    const rates = dropPathRates(dropPath, depths);
    this.numClasses = numClasses;
    this.inChannels = inChannels;
    this.#leastSide = strides.reduce((product, stride) => product * stride, patch);
    this.stem = new Sequential(new PatchConv(inChannels, first, patch), new LayerNorm2d(first, { eps: EPS }));
    const stages = dims.map((to, i) => {
      const [from, stride] = [dims[i - 1] ?? first, strides[i] as 1 | 2];
      return new Stage(from, to, { stride, mlp, rates: rates[i] as number[] });
    });
    this.stages = new Sequential(...stages);
    this.head = new Head(last, numClasses);
    initialise(this);
  }

  override forward(x: Tensor): Tensor {
    expectInput("ConvNextV2", x, { channels: this.inChannels, leastSide: this.#leastSide });
    return this.head.run(this.stages.run(this.stem.run(x)));
  }

  override get camLayers(): readonly string[] {
    return Array.from({ length: STAGES }, (_, i) => `stages.${i}`);
  }
}

/** The side of the stem's patches, and the factor by which each stage reduces the size of its input. */
function downsampling(
  name: string,
  { patchSize, stemStride }: ConvNextV2Options,
): { patch: number; strides: readonly (1 | 2)[] } {
  if (stemStride !== undefined) {
    expectOneOf(name, "stemStride", [stemStride, [2]]);
    if (patchSize === undefined) return { patch: stemStride, strides: [1, 2, 2, 2] };
    throw new BatchCamError("E_CONFIG", `${name}: patchSize and stemStride both set the stem; leave one of them out`);
  }
  const patch = patchSize ?? 4;
  expectOneOf(name, "patchSize", [patch, [1, 2, 4]]);
  return { patch, strides: [patch === 2 ? 2 : 1, 2, 2, 2] };
}

/** The rates for each stage and block: rate·i / (blocks − 1) for the i-th block of the network. */
function dropPathRates(rate: number, depths: readonly number[]): number[][] {
  const blocks = depths.reduce((sum, depth) => sum + depth, 0);
  let before = 0;
  return depths.map((depth) => {
    const rates = Array.from({ length: depth }, (_, i) => (rate * (before + i)) / Math.max(1, blocks - 1));
    before += depth;
    return rates;
  });
}

/**
 * Initialises as timm does: weights of convolutions and linear layers from a truncated normal distribution with
 * standard deviation 0.02, and biases with zero.
 */
function initialise(model: ConvNextV2): void {
  for (const module of model.namedModules().values()) {
    if (!(module instanceof Conv2d || module instanceof Linear)) continue;
    truncatedNormal_(module.weight, { std: 0.02 });
    noGrad(() => module.bias?.zero_());
  }
}
