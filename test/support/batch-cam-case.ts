import { batchCam } from "../../src/cam/index.ts";
import { batchCamLoss, crossEntropy, type DistanceName, prototypeLoss } from "../../src/losses/index.ts";
import type { Model } from "../../src/models/index.ts";
import { type DType, grad, type Tensor } from "../../src/tensor/index.ts";
import { type Fixture, fixture } from "./fixtures.ts";
import { networkOf } from "./reference-networks.ts";
import { smallCnnOf } from "./small-cnn.ts";

/** How α is computed: by autograd, or by the closed form, which only some heads allow. */
export type Way = "autograd" | "closed form";

export interface Forward {
  logits: Tensor;
  labels: Tensor;
  activations: Tensor;
  /** G (B, K, h, w) */
  gradient: Tensor;
  /** α (B, K), recovered from the maps: the weight of each activation in the signed map */
  alpha: Tensor;
  signed: Tensor;
  cam: Tensor;
  up: Tensor;
  norm: Tensor;
  ce: Tensor;
}

/** One of the fixtures `batchcam_*`, computed by the public functions. */
export class BatchCamCase {
  readonly reference: Fixture;
  readonly dtype: DType;
  readonly model: Model;
  /** The path of the target layer. */
  readonly layer: string;
  readonly prototypes: Tensor;

  constructor(name: string, dtype: DType) {
    this.reference = fixture(name);
    this.dtype = dtype;
    this.layer = this.reference.params.target_layer;
    this.model = modelOf(name, this.reference).to(dtype);
    this.model.train(this.reference.params.train_mode ?? true);
    this.prototypes = this.reference.tensor("input/P").to(dtype);
  }

  forward(way: Way, { x = this.reference.tensor("input/x"), y = this.reference.tensor("input/y") } = {}): Forward {
    const labels = y.to("int64");
    const head = way === "closed form" ? this.model.closedFormHead() : null;
    const { logits, taps } = this.model.forwardWith(x.to(this.dtype), {
      taps: [this.layer, ...(head === null ? [] : [head.layer])],
    });
    const activations = taps[this.layer] as Tensor;
    const target = logits.gather(1, labels.unsqueeze(1)).sum();
    const [gradient] = grad(target, activations, { retainGraph: true }) as [Tensor];
    const options = head === null ? {} : { head: { weight: head.weight, output: taps[head.layer] as Tensor } };
    const size = x.sizes.slice(-2) as [number, number];
    const signed = batchCam(logits, activations, labels, { ...options, relu: false });
    const constant = batchCam(logits, activations, labels, { ...options, relu: false, order: "first" });
    const [counts] = grad(constant.sum(), activations, { retainGraph: true }) as [Tensor];
    const cam = batchCam(logits, activations, labels, options);
    const up = batchCam(logits, activations, labels, { ...options, upsample: size });
    const norm = batchCam(logits, activations, labels, { ...options, upsample: size, normalize: true });
    const alpha = counts.select(3, 0).select(2, 0);
    return { logits, labels, activations, gradient, alpha, signed, cam, up, norm, ce: crossEntropy(logits, labels) };
  }

  /** The regulariser that the fixtures call `combo`, such as "within_sg_L1". */
  regulariser(combo: string, norm: Tensor, labels: Tensor): Tensor {
    const [, kind, name] = combo.match(/^(proto|batch|within|within_sg)_(L1|L2|SSIM)$/) as string[];
    const distance = (name as string).toLowerCase() as DistanceName;
    if (kind === "proto") return prototypeLoss(norm, labels, this.prototypes, { distance });
    if (kind === "batch") return batchCamLoss(norm, labels, { distance, prototypes: this.prototypes });
    return batchCamLoss(norm, labels, { distance, target: "batch-mean", detach: kind === "within_sg" });
  }

  /** The gradients of `total` by parameter name. The graph is kept for further calls. */
  gradients(total: Tensor): Map<string, Tensor> {
    const parameters = this.model.namedParameters();
    const gradients = grad(total, [...parameters.values()], { retainGraph: true, allowUnused: true });
    return new Map([...parameters.keys()].map((name, i) => [name, gradients[i] as Tensor]));
  }
}

function modelOf(name: string, reference: Fixture): Model {
  if (/^batchcam_(resnet|convnext)/.test(name)) return networkOf(reference);
  const strides = name === "batchcam_edge_1x1" ? ([4, 4, 2] as const) : ([1, 2, 2] as const);
  return smallCnnOf(reference, { strides });
}
