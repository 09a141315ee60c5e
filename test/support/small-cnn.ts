import { Model } from "../../src/models/index.ts";
import { BatchNorm2d, Conv2d, Flatten, GlobalAvgPool2d, Linear, type Module, ReLU } from "../../src/nn/index.ts";
import type { Tensor } from "../../src/tensor/index.ts";
import type { Fixture } from "./fixtures.ts";

export interface SmallCnnOptions {
  inChannels?: number;
  channels: readonly [number, number, number];
  strides?: readonly [number, number, number];
  head: "gap" | "mlp";
  hidden?: number;
  /** The side of the last map, for the "mlp" head. */
  mapSize?: number;
  numClasses?: number;
}

/** The network of the fixtures `model_small_cnn_*` and `batchcam_*`: conv3x3 - batch norm - ReLU three times, and a head. */
export class SmallCNN extends Model {
  readonly camLayer = "act3";
  readonly classifier = "fc";
  readonly firstConv = "conv1";
  readonly numClasses: number;
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly act1 = new ReLU();
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly act2 = new ReLU();
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm2d;
  readonly act3 = new ReLU();
  readonly pool = new GlobalAvgPool2d();
  readonly flatten = new Flatten();
  readonly fc?: Linear;
  readonly fc1?: Linear;
  readonly act4 = new ReLU();
  readonly fc2?: Linear;
  readonly #layers: readonly Module[];

  constructor({
    inChannels = 1,
    channels,
    strides = [1, 2, 2],
    head,
    hidden = 20,
    mapSize = 7,
    numClasses = 10,
  }: SmallCnnOptions) {
    super();
    const [first, second, third] = channels;
    const conv = (from: number, to: number, stride: number) =>
      new Conv2d(from, to, 3, { stride, padding: 1, bias: false });
    this.numClasses = numClasses;
    this.conv1 = conv(inChannels, first, strides[0]);
    this.bn1 = new BatchNorm2d(first);
    this.conv2 = conv(first, second, strides[1]);
    this.bn2 = new BatchNorm2d(second);
    this.conv3 = conv(second, third, strides[2]);
    this.bn3 = new BatchNorm2d(third);
    const body = [this.conv1, this.bn1, this.act1, this.conv2, this.bn2, this.act2, this.conv3, this.bn3, this.act3];
    if (head === "gap") {
      this.fc = new Linear(third, numClasses);
      this.#layers = [...body, this.pool, this.fc];
    } else {
      this.fc1 = new Linear(third * mapSize * mapSize, hidden);
      this.fc2 = new Linear(hidden, numClasses);
      this.#layers = [...body, this.flatten, this.fc1, this.act4, this.fc2];
    }
  }

  override forward(x: Tensor): Tensor {
    return this.#layers.reduce((y, layer) => layer.run(y), x);
  }

  override closedFormHead(): { readonly layer: string; readonly weight: Tensor } | null {
    if (this.fc1 !== undefined) return { layer: "fc1", weight: this.fc1.weight };
    return this.fc === undefined ? null : { layer: "fc", weight: this.fc.weight };
  }
}

/** The network of a fixture with its weights, from which its sizes are read. */
export function smallCnnOf(
  reference: Fixture,
  { strides = [1, 2, 2] }: Pick<SmallCnnOptions, "strides"> = {},
): SmallCNN {
  const state = new Map(
    ["param/", "buffer/"].flatMap((prefix) =>
      reference.names(prefix).map((path) => [path.slice(prefix.length), reference.tensor(path)] as const),
    ),
  );
  const shape = (name: string) => state.get(`${name}.weight`)?.sizes ?? [];
  const [first = 0, inChannels = 0] = shape("conv1");
  const [second = 0] = shape("conv2");
  const [third = 0] = shape("conv3");
  const [hidden = 20, features = 0] = shape("fc1");
  const [numClasses = 0] = state.has("fc.weight") ? shape("fc") : shape("fc2");
  const head = state.has("fc.weight") ? "gap" : "mlp";
  const mapSize = Math.round(Math.sqrt(features / third));
  const model = new SmallCNN({
    inChannels,
    channels: [first, second, third],
    strides,
    head,
    hidden,
    mapSize,
    numClasses,
  });
  model.loadStateDict(state);
  for (const tensor of state.values()) tensor.dispose();
  return model;
}
