import { describe, expect, it } from "vitest";
import { isGradEnabled, memory, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import { confidence } from "./confidence.ts";
import { deletionCurve, insertionCurve } from "./perturbation-curve.ts";
import type { Predict } from "./predict.ts";
import { road } from "./road.ts";

const flat: Predict = (images) => zeros([images.sizes[0] as number, 3]);
const gone = zeros([2, 1, 4, 4]);
gone.dispose();
const [images, maps, labels] = [zeros([2, 1, 4, 4]), zeros([2, 4, 4]), [0, 2]];

type Arguments = [Predict, Tensor, Tensor, Tensor | readonly number[], { batchSize?: number }?];

const BAD: [string, Arguments, string, RegExp][] = [
  [
    "what is no model",
    ["resnet18" as never, images, maps, labels],
    "E_ARGUMENT",
    /predict must be a function, got "resnet18"/,
  ],
  [
    "images of another rank",
    [flat, zeros([2, 4, 4]), maps, labels],
    "E_SHAPE",
    /images must be \[N, C, H, W\], got \[2, 4, 4\]/,
  ],
  [
    "images of bytes",
    [flat, images.to("uint8"), maps, labels],
    "E_DTYPE",
    /images: expected normalised floating-point images/,
  ],
  ["disposed images", [flat, gone, maps, labels], "E_DISPOSED", /images: the tensor was disposed/],
  ["an empty batch", [flat, zeros([0, 1, 4, 4]), zeros([0, 4, 4]), []], "E_SHAPE", /images have no samples/],
  ["images of no pixel", [flat, zeros([2, 1, 4, 0]), zeros([2, 4, 0]), labels], "E_SHAPE", /images have no pixel/],
  [
    "maps of another size",
    [flat, images, zeros([2, 2, 2]), labels],
    "E_SHAPE",
    /maps must be \[N, H=4, W=4\], got \[2, 2, 2\]/,
  ],
  ["one map for all", [flat, images, zeros([1, 4, 4]), labels], "E_SHAPE", /maps must be \[N=2/],
  ["maps that are no tensor", [flat, images, [[1]] as never, labels], "E_ARGUMENT", /maps: expected a Tensor/],
  ["too few labels", [flat, images, maps, [0]], "E_SHAPE", /expected 2 labels, one for each sample, got 1/],
  ["fractional labels", [flat, images, maps, [0, 0.5]], "E_DTYPE", /label 1 must be a class index, got 0.5/],
  ["a label below zero", [flat, images, maps, [-1, 0]], "E_ARGUMENT", /label 0 must be >= 0, got -1/],
  ["a label that the model lacks", [flat, images, maps, [0, 3]], "E_ARGUMENT", /label 1 must be 0 to 2, got 3/],
  [
    "batches of nothing",
    [flat, images, maps, labels, { batchSize: 0 }],
    "E_ARGUMENT",
    /batchSize must be an integer >= 1/,
  ],
  ["options that are none", [flat, images, maps, labels, 3 as never], "E_ARGUMENT", /options must be an object, got 3/],
  [
    "a model of one row",
    [() => zeros([1, 3]), images, maps, labels],
    "E_SHAPE",
    /logits that predict returned must be \[N=\d+, C\], got \[1, 3\]/,
  ],
  [
    "a model of maps",
    [(x) => x, images, maps, labels],
    "E_SHAPE",
    /logits that predict returned must be .* got \[\d+, 1, 4, 4\]/,
  ],
  ["a model of classes", [(x) => flat(x).to("int64"), images, maps, labels], "E_DTYPE", /logits .* got "int64"/],
  [
    "a model of nothing",
    [() => undefined as never, images, maps, labels],
    "E_ARGUMENT",
    /logits .*: expected a Tensor/,
  ],
  [
    "a model that gives what is gone",
    [() => gone, images, maps, labels],
    "E_DISPOSED",
    /logits .*: the tensor was disposed/,
  ],
  ["a model that promises", [(async () => 1) as never, images, maps, labels], "E_ARGUMENT", /must be synchronous/],
];

describe.each([
  ["confidence", confidence],
  ["deletionCurve", deletionCurve],
  ["insertionCurve", insertionCurve],
  ["road", road],
] as const)("%s", (name, metric) => {
  it.each(BAD)("refuses %s", (_, given, code, message) => {
    const run = () => tidy(() => metric(...given) as unknown);
    expect(run).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
    expect(run).toThrow(new RegExp(`^${name}: `));
  });

  it("lets an error of the model through, frees all it made and turns gradients on again", () => {
    const failing: Predict = () => {
      throw new RangeError("no such layer");
    };
    expect(() => metric(failing, images, maps, labels)).toThrow(new RangeError("no such layer"));
    const { liveTensors } = memory();
    expect(() => metric(failing, images, maps, labels)).toThrow(RangeError);
    expect(memory().liveTensors).toBe(liveTensors);
    expect(isGradEnabled()).toBe(true);
  });

  it("runs the model without a graph, and takes labels of any integers", () =>
    tidy(() => {
      const enabled: boolean[] = [];
      const watched: Predict = (x) => {
        enabled.push(isGradEnabled());
        return flat(x);
      };
      metric(watched, images, maps, labels);
      metric(watched, images, maps, tensor(labels, { dtype: "uint8" }));
      metric(watched, images, maps, tensor([0n, 2n]));
      metric(watched, images, maps, Int32Array.from(labels) as unknown as number[]);
      expect(new Set(enabled)).toEqual(new Set([false]));
    }));
});
