import { describe, expect, it } from "vitest";
import { type Given, head, node, program, weight } from "../../../test/support/exported-program.ts";
import { grad, manualSeed, noGrad, ones, randn, type Tensor, tidy, zeros } from "../../tensor.ts";
import { ExportedModel } from "./exported-model.ts";
import type { Node, ProgramTensor } from "./program.ts";

// A loss on maps differentiates a network twice. Each operator of image networks is differentiated twice here, and compared with
// finite differences of its first derivative.

interface Operator {
  readonly nodes: readonly Node[];
  readonly weights?: readonly ProgramTensor[];
  readonly channels?: number;
  readonly images?: Tensor;
}

const one = (target: string, inputs: Record<string, Given>, more: Omit<Operator, "nodes"> = {}): Operator => ({
  nodes: [node("out", `aten.${target}`, inputs)],
  ...more,
});
const scale = (...shape: number[]): ProgramTensor => weight("w", randn(shape));
const shift = (...shape: number[]): ProgramTensor => weight("b", randn(shape));
const statistics = () => [weight("buffer_mean", zeros([4])), weight("buffer_var", ones([4]))];

/** x (N, 4, 6, 6) as three inputs (N, 2, 36, 2) of attention, and its output as maps. */
function attention(more: Record<string, Given>, masks: readonly Node[] = []): Operator {
  const heads = (name: string, factor: number) => [
    node(`${name}0`, "aten.mul.Tensor", { self: "x", other: factor }),
    node(`${name}1`, "aten.view.default", { self: `${name}0`, size: [2, 2, 2, 36] }),
    node(name, "aten.transpose.int", { self: `${name}1`, dim0: 2, dim1: 3 }),
  ];
  const call = { query: "q", key: "k", value: "v", ...more };
  return {
    nodes: [
      ...heads("q", 1),
      ...heads("k", 0.7),
      ...heads("v", 1.3),
      ...masks,
      node("t", "aten.scaled_dot_product_attention.default", call),
      node("u", "aten.transpose.int", { self: "t", dim0: 2, dim1: 3 }),
      node("out", "aten.reshape.default", { self: "u", shape: [2, 4, 6, 6] }),
    ],
  };
}

const mask = (target: string, inputs: Record<string, Given>): Node[] => [
  node("m0", "aten.arange.default", { end: 36 }),
  node("m1", "aten.unsqueeze.default", { self: "m0", dim: 1 }),
  node("m", target, inputs),
];

/** Distances of the rows of each channel from others, or from one another. */
function distances(p: number, other = "s"): Operator {
  return {
    nodes: [
      node("r", "aten.reshape.default", { self: "x", shape: [2, 4, 6, 6] }),
      node("s0", "aten.flip.default", { self: "r", dims: [2, 3] }),
      node("s", "aten.mul.Tensor", { self: "s0", other: 0.7 }),
      node("d", "aten.cdist.default", { x1: "r", x2: other, p: { kind: "float", value: p } }),
      node("out", "aten.add.Tensor", { self: "d", other: "x" }),
    ],
  };
}

/** An operator that is linear in its input, applied to x². */
const squared = (target: string, inputs: Record<string, Given>, name = "input"): Operator => ({
  nodes: [
    node("s", "aten.mul.Tensor", { self: "x", other: "x" }),
    node("out", `aten.${target}`, { [name]: "s", ...inputs }),
  ],
});

const OPERATORS: Record<string, () => Operator> = {
  "fused attention": () => attention({}),
  "causal attention": () => attention({ is_causal: true, scale: 0.4 }),
  "attention with a boolean mask": () =>
    attention({ attn_mask: "m" }, mask("aten.ge.Tensor", { self: "m1", other: "m0" })),
  hardsigmoid: () => one("hardsigmoid.default", { self: "x" }),
  "hardsigmoid in place": () => one("hardsigmoid_.default", { self: "x" }),
  hardswish: () => one("hardswish.default", { self: "x" }),
  native_channel_shuffle: () => one("native_channel_shuffle.default", { self: "x", groups: 2 }),
  "norm of vectors": () =>
    one("linalg_vector_norm.default", { self: "x", ord: 2, dim: [1], keepdim: true }, { channels: 1 }),
  "norm by its older name": () => one("norm.ScalarOpt_dim", { self: "x", p: 2, dim: [2], keepdim: true }),
  _weight_norm: () => ({
    nodes: [
      node("w", "aten._weight_norm.default", { v: "p_w", g: "p_b" }),
      node("out", "aten.conv2d.default", { input: "x", weight: "w" }),
    ],
    weights: [scale(4, 4, 1, 1), shift(4, 1, 1, 1)],
  }),
  grid_sampler: () => ({
    nodes: [
      node("s", "aten.narrow.default", { self: "x", dim: 1, start: 0, length: 2 }),
      node("t", "aten.tanh.default", { self: "s" }),
      node("g", "aten.permute.default", { self: "t", dims: [0, 2, 3, 1] }),
      node("out", "aten.grid_sampler.default", {
        ...{ input: "x", grid: "g", interpolation_mode: 0, padding_mode: 0, align_corners: false },
      }),
    ],
  }),
  ...Object.fromEntries(
    [1, 1.5, 2, 3, Number.POSITIVE_INFINITY].map((p) => [`cdist with p = ${p}`, () => distances(p)]),
  ),
  "cdist of vectors that are equal to one another": () => distances(2, "r"),
  pairwise_distance: () => ({
    nodes: [
      node("r", "aten.flip.default", { self: "x", dims: [3] }),
      node("t", "aten.pairwise_distance.default", { x1: "x", x2: "r", p: 2, eps: 1e-6, keepdim: true }),
      node("out", "aten.mul.Tensor", { self: "x", other: "t" }),
    ],
  }),
  conv1d: () => ({
    nodes: [
      node("s", "aten.reshape.default", { self: "x", shape: [2, 4, 36] }),
      node("t", "aten.conv1d.default", { input: "s", weight: "p_w", padding: [1] }),
      node("out", "aten.reshape.default", { self: "t", shape: [2, 4, 6, 6] }),
    ],
    weights: [scale(4, 4, 3)],
  }),
  einsum: () => ({
    nodes: [
      node("s", "aten.einsum.default", {
        equation: { kind: "string", value: "nchw,ncvw->nchv" },
        tensors: { kind: "values", names: ["x", "x"] },
      }),
      node("out", "aten.tanh.default", { self: "s" }),
    ],
  }),
  "upsample_nearest2d of a square": () =>
    squared("upsample_nearest2d.vec", { output_size: [9, 9], scale_factors: null }),
  "upsample_bilinear2d of a square": () =>
    squared("upsample_bilinear2d.vec", { output_size: [9, 9], align_corners: false, scale_factors: null }),
  addcmul: () => one("addcmul.default", { self: "x", tensor1: "x", tensor2: "x" }),
  amax: () => one("amax.default", { self: "x", dim: [2], keepdim: true }),
  "max_pool2d of a square": () => squared("max_pool2d.default", { kernel_size: [2, 2] }, "self"),
  "avg_pool2d of a square": () => squared("avg_pool2d.default", { kernel_size: [2, 2] }, "self"),
  "adaptive_avg_pool2d of a square": () => squared("adaptive_avg_pool2d.default", { output_size: [4, 4] }, "self"),
  "adaptive_max_pool2d of a square": () => ({
    nodes: [
      node("s", "aten.mul.Tensor", { self: "x", other: "x" }),
      {
        ...node("out", "aten.adaptive_max_pool2d.default", { self: "s", output_size: [4, 4] }),
        outputs: [
          { kind: "value", name: "out" },
          { kind: "value", name: null },
        ],
      },
    ],
  }),
  "unfold and fold of a square": () => ({
    nodes: [
      node("s", "aten.mul.Tensor", { self: "x", other: "x" }),
      node("t", "aten.im2col.default", {
        ...{ self: "s", kernel_size: [3, 3], dilation: [1, 1], padding: [1, 1], stride: [1, 1] },
      }),
      node("u", "aten.softmax.int", { self: "t", dim: 1 }),
      node("out", "aten.col2im.default", {
        ...{ self: "u", output_size: [6, 6], kernel_size: [3, 3], dilation: [1, 1], padding: [1, 1], stride: [1, 1] },
      }),
    ],
  }),
  log_softmax: () => one("log_softmax.int", { self: "x", dim: 1 }),
  logsumexp: () => one("logsumexp.default", { self: "x", dim: [2], keepdim: true }),
  std: () => one("std.correction", { self: "x", dim: [2, 3], correction: 1, keepdim: true }),
  cosine_similarity: () => ({
    nodes: [
      node("r", "aten.flip.default", { self: "x", dims: [3] }),
      node("t", "aten.cosine_similarity.default", { x1: "x", x2: "r", dim: 1 }),
      node("u", "aten.unsqueeze.default", { self: "t", dim: 1 }),
      node("out", "aten.mul.Tensor", { self: "x", other: "u" }),
    ],
  }),
  rms_norm: () =>
    one("rms_norm.default", { input: "x", normalized_shape: [6], weight: "p_w" }, { weights: [scale(6)] }),
  celu: () => one("celu.default", { self: "x" }),
  selu: () => one("selu.default", { self: "x" }),
  log_sigmoid: () => one("log_sigmoid.default", { self: "x" }),
  cumsum: () => ({
    nodes: [
      node("s", "aten.mul.Tensor", { self: "x", other: "x" }),
      node("out", "aten.cumsum.default", { self: "s", dim: 2 }),
    ],
  }),
  "reflection_pad2d of a square": () => squared("reflection_pad2d.default", { padding: [1, 1, 1, 1] }, "self"),
  silu: () => one("silu.default", { self: "x" }),
  gelu: () => one("gelu.default", { self: "x" }),
  mish: () => one("mish.default", { self: "x" }),
  elu: () => one("elu.default", { self: "x" }),
  softplus: () => one("softplus.default", { self: "x" }),
  sigmoid: () => one("sigmoid.default", { self: "x" }),
  softmax: () => one("softmax.int", { self: "x", dim: 1 }),
  prelu: () => one("prelu.default", { self: "x", weight: "p_w" }, { weights: [scale(4)] }),
  conv_transpose2d: () =>
    one("conv_transpose2d.input", { input: "x", weight: "p_w" }, { weights: [scale(4, 4, 2, 2)] }),
  "depthwise conv2d": () =>
    one("conv2d.default", { input: "x", weight: "p_w", groups: 4 }, { weights: [scale(4, 1, 3, 3)] }),
  group_norm: () =>
    one(
      "group_norm.default",
      { input: "x", num_groups: 2, weight: "p_w", bias: "p_b" },
      { weights: [scale(4), shift(4)] },
    ),
  layer_norm: () => one("layer_norm.default", { input: "x", normalized_shape: [6] }),
  "batch_norm by running statistics": () =>
    one(
      "batch_norm.default",
      {
        ...{ input: "x", weight: "p_w", bias: "p_b", running_mean: "b_buffer_mean", running_var: "b_buffer_var" },
        ...{ training: false, momentum: 0.1, eps: 1e-5, cudnn_enabled: false },
      },
      { weights: [scale(4), shift(4), ...statistics()] },
    ),
  "instance_norm by the image's statistics": () =>
    one("instance_norm.default", {
      ...{ input: "x", weight: null, bias: null, running_mean: null, running_var: null },
      ...{ use_input_stats: true, momentum: 0.1, eps: 1e-5, cudnn_enabled: false },
    }),
  "upsample_bicubic2d of a square": () => ({
    nodes: [
      node("s", "aten.mul.Tensor", { self: "x", other: "x" }),
      node("out", "aten.upsample_bicubic2d.vec", {
        input: "s",
        output_size: [9, 9],
        align_corners: false,
        scale_factors: null,
      }),
    ],
  }),
};

const DTYPE = { dtype: "float64" } as const;

describe.each(Object.entries(OPERATORS))("%s", (_name, operator) => {
  it("has the second derivative that finite differences show", () =>
    tidy(() => {
      manualSeed(11);
      const { nodes, weights = [], channels = 4 } = operator();
      const end = head("out", channels);
      const given = { nodes: [...nodes, ...end.nodes], weights: [...weights, ...end.weights], sizes: [2, 4, 6, 6] };
      const model = new ExportedModel(program(given), "test.pt2").to("float64");
      const x = randn([2, 4, 6, 6], DTYPE);
      const direction = randn([2, 4, 6, 6], DTYPE);
      /** ‖∂(Σ logits²) / ∂x‖², a function of first derivatives. */
      const energy = (images: Tensor): Tensor => {
        const [gradient] = grad(model.forward(images).square().sum(), [images], { createGraph: true });
        return gradient.square().sum();
      };
      const at = (step: number): number => energy(x.add(direction.mul(step)).detach().requiresGrad_()).item();
      const step = 1e-6;
      const expected = (at(step) - at(-step)) / (2 * step);
      const leaf = x.clone().requiresGrad_();
      const [second] = grad(energy(leaf), [leaf]);
      const received = second.mul(direction).sum().item();
      expect(Math.abs(received - expected)).toBeLessThan(1e-6 * Math.abs(expected) + 1e-9);
    }));

  it("gives without a graph what it gives with one", () =>
    tidy(() => {
      const { nodes, weights = [], channels = 4 } = operator();
      const end = head("out", channels);
      const given = { nodes: [...nodes, ...end.nodes], weights: [...weights, ...end.weights], sizes: [2, 4, 6, 6] };
      const model = new ExportedModel(program(given), "test.pt2");
      const x = randn([2, 4, 6, 6]);
      const plain = noGrad(() => model.forward(x));
      expect(model.forward(x).detach()).toBeAllclose(plain, { rtol: 1e-5, atol: 1e-6 });
    }));
});

describe("the norm of a dead channel", () => {
  it("has derivatives of zero instead of NaN", () =>
    tidy(() => {
      const operator = one("linalg_vector_norm.default", { self: "x", ord: 2, dim: [2, 3], keepdim: true });
      const end = head("out", 4);
      const given = { nodes: [...operator.nodes, ...end.nodes], weights: end.weights, sizes: [2, 4, 6, 6] };
      const model = new ExportedModel(program(given), "test.pt2");
      const x = randn([2, 4, 6, 6]);
      noGrad(() => x.narrow(1, 2, 1).zero_());
      x.requiresGrad = true;
      const [gradient] = grad(model.forward(x).square().sum(), [x], { createGraph: true });
      const [second] = grad(gradient.square().sum(), [x]);
      for (const derivative of [gradient.detach(), second]) expect(derivative.isfinite().all().item()).toBe(1);
    }));
});
