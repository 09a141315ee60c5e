import { describe, expect, it } from "vitest";
import {
  adaptiveAvgPool2d,
  avgPool2d,
  batchNorm,
  cat,
  conv2d,
  gelu,
  grad,
  layerNorm,
  leakyRelu,
  linear,
  logSoftmax,
  manualSeed,
  maxPool2d,
  oneHot,
  ones,
  randn,
  relu,
  sigmoid,
  silu,
  softmax,
  stack,
  type Tensor,
  tanh,
  tensor,
  where,
  zeros,
} from "./index.ts";
import { crossEntropyLoss } from "./layers.ts";

describe("conv2d", () => {
  it.each([
    ["3x3", [2, 4, 9, 8], [6, 4, 3, 3], { padding: 1 }],
    ["strided", [2, 4, 9, 8], [6, 4, 3, 3], { stride: 2, padding: [1, 0] }],
    ["depthwise", [2, 4, 9, 8], [4, 1, 7, 7], { padding: 3, groups: 4 }],
    ["dilated", [2, 4, 9, 8], [6, 4, 3, 3], { dilation: 2 }],
  ] as const)("gives in channels-last memory what it gives in row-major memory (%s)", (_, shape, kernel, options) => {
    manualSeed(5);
    const x = randn([...shape], { dtype: "float64" });
    const w = randn([...kernel], { dtype: "float64" });
    const seed = randn(conv2d(x, w, null, options).shape, { dtype: "float64" });
    const run = (layout: "contiguous" | "channelsLast") => {
      const [a, b] = [x, w].map((t) => t.contiguous(layout).detach().requiresGrad_()) as [Tensor, Tensor];
      expect(a.isContiguous).toBe(layout === "contiguous");
      const y = conv2d(a, b, null, options);
      return [y, ...grad(y, [a, b], { gradOutputs: seed })] as [Tensor, Tensor, Tensor];
    };
    const [plain, last] = [run("contiguous"), run("channelsLast")];
    for (const i of [0, 1, 2] as const) expect(last[i]).toBeAllclose(plain[i], { rtol: 1e-11, atol: 1e-11 });
    expect(last[0].isContiguous).toBe(false);
  });

  it("takes one number or a pair, and no bias", () => {
    const [x, w] = [ones([1, 1, 4, 4]), ones([1, 1, 2, 2])];
    expect(conv2d(x, w, tensor([1]), { stride: 2 })).toBeAllclose([
      [
        [
          [5, 5],
          [5, 5],
        ],
      ],
    ]);
    expect(conv2d(x, w, undefined, { stride: [2, 1] }).shape).toEqual([1, 1, 2, 3]);
    expect(conv2d(x, w, null).shape).toEqual([1, 1, 3, 3]);
  });
});

describe("layers", () => {
  it("take an empty batch", () => {
    const x = zeros([0, 2, 4, 4]);
    expect(conv2d(x, zeros([3, 2, 3, 3]), zeros([3]), { padding: 1 }).shape).toEqual([0, 3, 4, 4]);
    expect(linear(zeros([0, 4]), zeros([5, 4]), zeros([5])).shape).toEqual([0, 5]);
    expect(maxPool2d(x, 2).shape).toEqual([0, 2, 2, 2]);
    expect(softmax(zeros([0, 3]), 1).shape).toEqual([0, 3]);
    expect(relu(x).shape).toEqual([0, 2, 4, 4]);
  });

  it("compute what their names say", () => {
    const x = tensor([-1, 0, 2]);
    expect(relu(x)).toBeAllclose([0, 0, 2]);
    expect(leakyRelu(x, 0.1)).toBeAllclose([-0.1, 0, 2]);
    expect(sigmoid(x)).toBeAllclose([-1, 0, 2].map((v) => 1 / (1 + Math.exp(-v))));
    expect(tanh(x)).toBeAllclose([-1, 0, 2].map(Math.tanh));
    expect(silu(x)).toBeAllclose([-1, 0, 2].map((v) => v / (1 + Math.exp(-v))));
    expect(softmax(x, 0).sum().item()).toBeCloseTo(1);
    expect(logSoftmax(x, -1)).toBeAllclose(softmax(x, 0).log());
    expect(
      avgPool2d(
        tensor([
          [
            [
              [1, 2],
              [3, 4],
            ],
          ],
        ]),
        2,
      ),
    ).toBeAllclose([[[[2.5]]]]);
    expect(adaptiveAvgPool2d(ones([1, 2, 7, 5]), [3, 2]).shape).toEqual([1, 2, 3, 2]);
    expect(maxPool2d(ones([1, 1, 5, 5]), 2, { ceilMode: true }).shape).toEqual([1, 1, 3, 3]);
    expect(oneHot(tensor([0n, 2n]), 3)).toBeAllclose([
      [1, 0, 0],
      [0, 0, 1],
    ]);
  });

  it("update running statistics in training only", () => {
    const x = tensor([[[[1]]], [[[3]]]]);
    const statistics = { runningMean: zeros([1]), runningVar: ones([1]) };
    batchNorm(x, statistics);
    expect(statistics.runningMean.item()).toBe(0);
    batchNorm(x, { ...statistics, training: true, momentum: 0.5 });
    expect([statistics.runningMean.item(), statistics.runningVar.item()]).toEqual([1, 1.5]);
  });
});

describe("where", () => {
  it("takes tensors and numbers, a number in the dtype of the other where that can hold it", () => {
    const [condition, integers] = [tensor([true, false]), tensor([1n, 2n])];
    expect(where(condition, tensor([1, 2]), tensor([3, 4]))).toBeAllclose([1, 4]);
    const cases = [
      where(condition, integers, 0),
      where(condition, 0, integers),
      where(condition, integers, 0.5),
      where(condition, 1.5, 2.5),
      where(condition, 1, 0),
    ];
    expect(cases.map((t) => t.dtype)).toEqual(["int64", "int64", "float32", "float32", "int64"]);
    expect(cases[2]).toBeAllclose([1, 0.5]);
    expect(where(condition, tensor([1, 2], { dtype: "float64" }), 0.1).dtype).toBe("float64");
  });
});

const code = (code: string, message: RegExp) =>
  expect.objectContaining({ name: "BatchCamError", code, message: expect.stringMatching(message) });

describe("a wrong argument", () => {
  const x = ones([2, 3, 8, 8]);
  const w = ones([4, 3, 3, 3]);
  const m = ones([2, 3]);
  const int = ones([2, 3], { dtype: "int64" });

  it.each<[string, () => unknown, string, RegExp]>([
    [
      "conv2d: channels",
      () => conv2d(x, ones([4, 2, 3, 3])),
      "E_SHAPE",
      /conv2d\(input Float\[2, 3, 8, 8\], weight Float\[4, 2, 3, 3\]\): .*channels/,
    ],
    ["conv2d: rank", () => conv2d(ones([3]), w), "E_SHAPE", /conv2d\(input Float\[3\], weight Float\[4, 3, 3, 3\]\)/],
    [
      "conv2d: kernel larger than the image",
      () => conv2d(ones([1, 3, 2, 2]), w),
      "E_SHAPE",
      /Kernel size can't be greater/,
    ],
    ["conv2d: bias", () => conv2d(x, w, ones([3])), "E_SHAPE", /bias Float\[3\]/],
    ["conv2d: dtype", () => conv2d(x, w.to("float64")), "E_DTYPE", /Float\[2, 3, 8, 8\], weight Double\[4, 3, 3, 3\]/],
    ["conv2d: stride 0", () => conv2d(x, w, null, { stride: 0 }), "E_NATIVE", /non-positive stride/],
    [
      "conv2d: fractional stride",
      () => conv2d(x, w, null, { stride: 1.5 }),
      "E_ARGUMENT",
      /conv2d: stride: expected an integer, got 1.5/,
    ],
    [
      "conv2d: stride as text",
      () => conv2d(x, w, null, { stride: "2" as never }),
      "E_ARGUMENT",
      /conv2d: stride: expected an array of integers, got "2"/,
    ],
    ["conv2d: negative padding", () => conv2d(x, w, null, { padding: -1 }), "E_NATIVE", /negative padding/],
    ["conv2d: groups 0", () => conv2d(x, w, null, { groups: 0 }), "E_NATIVE", /groups/],
    ["conv2d: groups that do not divide", () => conv2d(x, w, null, { groups: 2 }), "E_SHAPE", /groups/],
    [
      "conv2d: groups as text",
      () => conv2d(x, w, null, { groups: "1" as never }),
      "E_ARGUMENT",
      /conv2d: groups: expected an integer, got "1"/,
    ],
    [
      "conv2d: no weight",
      () => conv2d(x, undefined as never),
      "E_ARGUMENT",
      /conv2d: weight: expected a Tensor, got undefined/,
    ],
    [
      "conv2d: bias false",
      () => conv2d(x, w, false as never),
      "E_ARGUMENT",
      /conv2d: bias: expected a Tensor, got false/,
    ],
    [
      "conv2d: an array",
      () => conv2d([1, 2] as never, w),
      "E_ARGUMENT",
      /conv2d: input: expected a Tensor, got \[1, 2\]/,
    ],
    [
      "linear: shapes",
      () => linear(m, ones([4, 2])),
      "E_SHAPE",
      /linear\(input Float\[2, 3\], weight Float\[4, 2\]\): .*2x3 and 2x4/,
    ],
    ["linear: bias", () => linear(m, ones([4, 3]), ones([5])), "E_SHAPE", /bias Float\[5\]/],
    [
      "linear: dtype",
      () => linear(m, ones([4, 3], { dtype: "float64" })),
      "E_DTYPE",
      /Float\[2, 3\], weight Double\[4, 3\]/,
    ],
    ["relu of nothing", () => relu(undefined as never), "E_ARGUMENT", /relu: self: expected a Tensor, got undefined/],
    ["gelu of integers", () => gelu(int), "E_DTYPE", /gelu/],
    ["gelu of another kind", () => gelu(m, { approximate: "fast" as never }), "E_NATIVE", /approximate/],
    [
      "gelu of no kind",
      () => gelu(m, { approximate: 3 as never }),
      "E_ARGUMENT",
      /gelu: approximate: expected a string, got 3/,
    ],
    [
      "softmax without a dimension",
      () => softmax(m, undefined as never),
      "E_ARGUMENT",
      /softmax: dim: expected an integer, got undefined/,
    ],
    ["softmax along one too many", () => softmax(m, 2), "E_SHAPE", /Dimension out of range .* but got 2/],
    ["softmax of integers", () => softmax(int, 0), "E_DTYPE", /softmax/],
    ["maxPool2d: kernel 0", () => maxPool2d(x, 0), "E_NATIVE", /should not be zero/],
    ["maxPool2d: stride 0", () => maxPool2d(x, 2, { stride: 0 }), "E_NATIVE", /stride should not be zero/],
    ["maxPool2d: padding above half", () => maxPool2d(x, 2, { padding: 2 }), "E_SHAPE", /pad should be at most half/],
    ["maxPool2d: larger than the image", () => maxPool2d(x, 9), "E_SHAPE", /Output size is too small/],
    [
      "maxPool2d: fraction",
      () => maxPool2d(x, 2.5),
      "E_ARGUMENT",
      /maxPool2d: kernelSize: expected an integer, got 2.5/,
    ],
    [
      "maxPool2d: ceilMode 1",
      () => maxPool2d(x, 2, { ceilMode: 1 as never }),
      "E_ARGUMENT",
      /ceilMode: expected true or false, got 1/,
    ],
    ["avgPool2d: stride 0", () => avgPool2d(x, 2, { stride: 0 }), "E_NATIVE", /stride should not be zero/],
    ["adaptiveAvgPool2d: negative", () => adaptiveAvgPool2d(x, -1), "E_SHAPE", /./],
    ["batchNorm: weight", () => batchNorm(x, { weight: ones([4]), training: true }), "E_SHAPE", /weight/],
    ["batchNorm: no statistics in eval mode", () => batchNorm(x), "E_NATIVE", /running_mean/],
    [
      "batchNorm: statistics",
      () => batchNorm(x, { runningMean: ones([2]), runningVar: ones([2]) }),
      "E_SHAPE",
      /running_mean should contain 3 elements not 2/,
    ],
    [
      "batchNorm: one value per channel",
      () => batchNorm(ones([1, 3]), { training: true }),
      "E_SHAPE",
      /more than one value per channel, got x \[1,3\]/,
    ],
    [
      "batchNorm: training 1",
      () => batchNorm(x, { training: 1 as never }),
      "E_ARGUMENT",
      /batchNorm: training: expected true or false, got 1/,
    ],
    ["layerNorm: shape", () => layerNorm(m, [4]), "E_SHAPE", /layer_norm\(input Float\[2, 3\]\)/],
    ["layerNorm: weight", () => layerNorm(m, [3], { weight: ones([2]) }), "E_SHAPE", /weight/],
    [
      "layerNorm: shape that is no array",
      () => layerNorm(m, 3 as never),
      "E_ARGUMENT",
      /layerNorm: normalizedShape: expected an array of integers, got 3/,
    ],
    [
      "oneHot: class out of range",
      () => oneHot(tensor([3n]), 3),
      "E_NATIVE",
      /Class values must be smaller than num_classes/,
    ],
    ["oneHot: floats", () => oneHot(tensor([1]), 3), "E_DTYPE", /one_hot/],
    [
      "crossEntropy: target out of range",
      () => crossEntropyLoss(m, tensor([0n, 3n])),
      "E_SHAPE",
      /Target 3 is out of bounds/,
    ],
    ["crossEntropy: batch", () => crossEntropyLoss(m, tensor([0n])), "E_SHAPE", /batch_size/],
    ["crossEntropy: float classes", () => crossEntropyLoss(m, tensor([0, 1])), "E_DTYPE", /./],
    [
      "crossEntropy: smoothing",
      () => crossEntropyLoss(m, tensor([0n, 1n]), { labelSmoothing: 2 }),
      "E_ARGUMENT",
      /labelSmoothing must be in \[0, 1\], got 2/,
    ],
    [
      "crossEntropy: reduction",
      () => crossEntropyLoss(m, tensor([0n, 1n]), { reduction: "avg" as never }),
      "E_ARGUMENT",
      /reduction/,
    ],
    ["cat of nothing", () => cat([]), "E_ARGUMENT", /cat: needs at least one tensor/],
    [
      "cat of one tensor",
      () => cat(m as never),
      "E_ARGUMENT",
      /cat: tensors: expected an array of tensors, got Tensor/,
    ],
    ["cat of numbers", () => cat([1, 2] as never), "E_ARGUMENT", /cat: tensors: expected a Tensor, got 1/],
    ["cat: shapes", () => cat([m, ones([2, 2])]), "E_SHAPE", /Expected size 3 but got size 2/],
    ["cat: dimension", () => cat([m, m], 2), "E_SHAPE", /out of range/],
    ["cat of too many", () => cat(Array(70_000).fill(m)), "E_ARGUMENT", /cat: tensors: a list of 70000 is too long/],
    ["stack: shapes", () => stack([m, ones([3])]), "E_SHAPE", /equal size/],
    ["where: condition", () => where(m, 1, 0), "E_DTYPE", /where expected condition to be a boolean tensor|bool/],
    [
      "where: text",
      () => where(tensor([true]), "1" as never, 0),
      "E_ARGUMENT",
      /where: self: expected a Tensor, got "1"/,
    ],
    [
      "where: shapes",
      () => where(tensor([true, false]), ones([3]), 0),
      "E_SHAPE",
      /where\(condition Bool\[2\], self Float\[3\]\)/,
    ],
  ])("is refused (%s)", (_, call, expected, message) => {
    expect(call).toThrow(code(expected, message));
  });
});
