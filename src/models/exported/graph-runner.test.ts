import { describe, expect, it } from "vitest";
import { head, node, program, weight } from "../../../test/support/exported-program.ts";
import { grad, manualSeed, noGrad, ones, randn, relu, type Tensor, tidy } from "../../tensor.ts";
import { ExportedModel } from "./exported-model.ts";
import type { Graph, Node, ProgramTensor } from "./program.ts";

/** A model of hand-written nodes from "x" to a value of three channels, with a linear head. */
function modelOf(
  nodes: readonly Node[],
  value: string,
  weights: readonly ProgramTensor[] = [],
  channels = 3,
): ExportedModel {
  const end = head(value, channels);
  const given = program({ nodes: [...nodes, ...end.nodes], weights: [...weights, ...end.weights] });
  return new ExportedModel(given, "test.pt2");
}

const images = (): Tensor => randn([2, 3, 8, 8]);
const logitsOf = (model: ExportedModel, maps: Tensor): Tensor => {
  const [w, b] = [model.stateDict().get("fc.weight") as Tensor, model.stateDict().get("fc.bias") as Tensor];
  return maps.mean([2, 3]).matmul(w.t()).add(b);
};
const same = (a: Tensor, b: Tensor) => expect(a.detach()).toBeAllclose(b.detach(), { rtol: 1e-5, atol: 1e-6 });

describe("operators that work in place", () => {
  const nodes = [
    node("a", "aten.mul.Tensor", { self: "x", other: 2 }, "first"),
    node("b", "aten.relu_.default", { self: "a" }, "second"),
    node("c", "aten.add_.Tensor", { self: "b", other: 1.5 }, "third"),
    node("d", "aten.mul.Tensor", { self: "a", other: "c" }, "fourth"),
  ];

  it("give what PyTorch gives, and readers of the old name see the change", () =>
    tidy(() => {
      const model = modelOf(nodes, "d");
      const x = images();
      const changed = relu(x.mul(2)).add(1.5);
      same(
        noGrad(() => model.forward(x)),
        logitsOf(model, changed.square()),
      );
      same(model.forward(x), logitsOf(model, changed.square()));
    }));

  it("leave taps as the layers gave them, and the gradients lead through the taps", () =>
    tidy(() => {
      const model = modelOf(nodes, "d");
      const x = images();
      const { logits, taps } = model.forwardWith(x, { taps: ["first", "second", "third"] });
      same(taps.first, x.mul(2));
      same(taps.second, relu(x.mul(2)));
      same(taps.third, relu(x.mul(2)).add(1.5));
      const [g] = grad(logits.sum(), [taps.third]);
      const weights = (model.stateDict().get("fc.weight") as Tensor).sum([0]).div(64).view([1, 3, 1, 1]);
      same(g, taps.third.mul(2).mul(weights));
    }));

  it("do not write to the caller's images, nor to parameters", () =>
    tidy(() => {
      const scale = weight("scale", ones([1, 3, 1, 1]));
      const model = modelOf(
        [
          node("a", "aten.relu_.default", { self: "x" }),
          node("s", "aten.add_.Tensor", { self: "p_scale", other: 1 }),
          node("b", "aten.mul.Tensor", { self: "x", other: "s" }),
        ],
        "b",
        [scale],
      );
      const x = images();
      const before = x.clone();
      same(
        noGrad(() => model.forward(x)),
        logitsOf(model, relu(x).mul(2)),
      );
      same(model.forward(x), logitsOf(model, relu(x).mul(2)));
      expect(x).toBeAllclose(before, { rtol: 0, atol: 0 });
      expect(model.stateDict().get("scale")).toBeAllclose(ones([1, 3, 1, 1]), { rtol: 0, atol: 0 });
    }));

  it("write through views that are read afterwards", () =>
    tidy(() => {
      const model = modelOf(
        [
          node("a", "aten.mul.Tensor", { self: "x", other: 1 }, "block"),
          node("v", "aten.select.int", { self: "a", dim: 1, index: 0 }, "block"),
          node("w", "aten.fill_.Scalar", { self: "v", value: 4 }, "block"),
          node("b", "aten.mul.Tensor", { self: "a", other: 3 }),
        ],
        "b",
      );
      const x = images();
      const expected = x.clone();
      noGrad(() => expected.narrow(1, 0, 1).fill_(4));
      same(
        noGrad(() => model.forward(x)),
        logitsOf(model, expected.mul(3)),
      );
      const { logits, taps } = model.forwardWith(x, { taps: ["block"] });
      same(logits, logitsOf(model, expected.mul(3)));
      same(taps.block, expected);
    }));
});

describe("operators that overwrite a tensor", () => {
  it("have the derivatives of what they write", () =>
    tidy(() => {
      const model = modelOf(
        [
          node("e", "aten.zeros_like.default", { self: "x" }),
          node("c", "aten.copy_.default", { self: "e", src: "x" }),
          node("z", "aten.mul.Tensor", { self: "c", other: "c" }),
        ],
        "z",
      );
      const x = images().requiresGrad_();
      const logits = model.forward(x);
      same(logits, logitsOf(model, x.square()));
      const weights = (model.stateDict().get("fc.weight") as Tensor).sum([0]).div(64).view([1, 3, 1, 1]);
      same(grad(logits.sum(), [x])[0], x.mul(2).mul(weights));
    }));
});

describe("operators that are run in another way", () => {
  it("write through views too, in any mode", () =>
    tidy(() => {
      const model = modelOf(
        [
          node("a", "aten.mul.Tensor", { self: "x", other: 1 }),
          node("v", "aten.select.int", { self: "a", dim: 1, index: 0 }),
          node("w", "aten.relu_.default", { self: "v" }),
          node("u", "aten.add.Tensor", { self: "v", other: "w" }),
          node("t", "aten.unsqueeze.default", { self: "u", dim: 1 }),
          node("b", "aten.mul.Tensor", { self: "a", other: "t" }),
        ],
        "b",
      );
      const x = images();
      const changed = x.clone();
      const first = relu(x.narrow(1, 0, 1));
      noGrad(() => changed.narrow(1, 0, 1).copy_(first));
      same(model.forward(x), logitsOf(model, changed.mul(first.mul(2))));
      same(
        noGrad(() => model.forward(x)),
        logitsOf(model, changed.mul(first.mul(2))),
      );
    }));
});

describe("numbers of the graph", () => {
  it("follow the batch, by Python's rules", () =>
    tidy(() => {
      const model = modelOf(
        [
          node("n", "aten.sym_size.int", { self: "x", dim: 0 }),
          node("m", "_operator.mul", { "#0": "n", "#1": 3 }),
          node("h", "_operator.floordiv", { "#0": 17, "#1": 2 }),
          node("flat", "aten.view.default", { self: "x", size: ["m", "h", -1] }),
          node("a", "aten.reshape.default", { self: "flat", shape: ["n", 3, 8, 8] }),
        ],
        "a",
      );
      for (const count of [1, 2, 5]) {
        const x = randn([count, 3, 8, 8]);
        same(model.forward(x), logitsOf(model, x));
      }
    }));

  it("may stand where a tensor is taken, with torch's rules for dtypes", () =>
    tidy(() => {
      const model = modelOf(
        [
          node("a", "aten.maximum.default", { self: "x", other: 0.25 }),
          node("n", "aten.sym_size.int", { self: "x", dim: 2 }),
          node("b", "aten.div.Tensor", { self: "a", other: "n" }),
        ],
        "b",
      );
      const x = images();
      const logits = model.forward(x);
      expect(logits.dtype).toBe("float32");
      same(logits, logitsOf(model, x.clamp(0.25).div(8)));
    }));
});

describe("buffers that forward changes in place", () => {
  const graph: Graph = {
    inputs: ["b_buffer_mean", "m"],
    nodes: [
      node("h", "aten.mul_.Tensor", { self: "b_buffer_mean", other: 0.5 }),
      node("k", "aten.add_.Tensor", { self: "h", other: "m" }),
    ],
    outputs: [{ kind: "value", name: "k" }],
  };
  const mean = node("m", "aten.mean.dim", { self: "x", dim: [0, 2, 3] });
  const ways = {
    directly: [mean, ...graph.nodes],
    "in a block of no_grad": [
      mean,
      node("k", "higher_order.wrap_with_set_grad_enabled", {
        "#0": false,
        "#1": { kind: "graph", graph },
        "#2": "b_buffer_mean",
        "#3": "m",
      }),
    ],
    "by a view": [
      mean,
      node("v", "aten.slice.Tensor", { self: "b_buffer_mean", dim: 0, start: 0, end: 3 }),
      node("h", "aten.mul_.Tensor", { self: "v", other: 0.5 }),
      node("k", "aten.add_.Tensor", { self: "h", other: "m" }),
    ],
  };

  it.each(Object.entries(ways))("keep the change in training mode alone, written %s", (_way, nodes) =>
    tidy(() => {
      const end = [
        node("c", "aten.view.default", { self: "b_buffer_mean", size: [3, 1, 1] }),
        node("d", "aten.sub.Tensor", { self: "x", other: "c" }),
      ];
      const model = modelOf([...nodes, ...end], "d", [weight("buffer_mean", ones([3]))]);
      const buffer = () => (model.stateDict().get("buffer_mean") as Tensor).clone();
      const x = images();
      const next = (old: Tensor) => old.mul(0.5).add(x.mean([0, 2, 3]));
      const expectLogits = (value: Tensor) => same(model.forward(x), logitsOf(model, x.sub(value.view([3, 1, 1]))));
      for (const _ of [1, 2]) expectLogits(next(ones([3])));
      same(buffer(), ones([3]));
      model.train();
      expectLogits(next(ones([3])));
      same(buffer(), next(ones([3])));
      expectLogits(next(next(ones([3]))));
      same(buffer(), next(next(ones([3]))));
    }),
  );
});

describe("blocks of no_grad and autocast", () => {
  const inner: Graph = {
    inputs: ["y"],
    nodes: [node("z", "aten.mul.Tensor", { self: "y", other: 3 }, "table")],
    outputs: [{ kind: "value", name: "z" }],
  };
  const graph = { kind: "graph", graph: inner } as const;

  it("record no graph where the model's code recorded none", () =>
    tidy(() => {
      const block = "higher_order.wrap_with_set_grad_enabled";
      const model = modelOf(
        [
          node("s", block, { "#0": false, "#1": graph, "#2": "x" }),
          node("a", "aten.mul.Tensor", { self: "x", other: "s" }),
        ],
        "a",
      );
      const x = images().requiresGrad_();
      const logits = model.forward(x);
      same(logits, logitsOf(model, x.square().mul(3)));
      const [g] = grad(logits.sum(), [x]);
      const weights = (model.stateDict().get("fc.weight") as Tensor).sum([0]).div(64).view([1, 3, 1, 1]);
      same(g, x.mul(3).mul(weights));
    }));

  it("change the values around them where they work in place, but neither the images nor parameters", () =>
    tidy(() => {
      const changing: Graph = {
        inputs: ["y", "w"],
        nodes: [
          node("z", "aten.clamp_min_.default", { self: "y", min: 0 }, "table"),
          node("v", "aten.add_.Tensor", { self: "w", other: 1 }, "table"),
        ],
        outputs: [{ kind: "value", name: "v" }],
      };
      const block = "higher_order.wrap_with_set_grad_enabled";
      const scale = weight("scale", ones([3, 1, 1]));
      const nodes = [
        node("t", "aten.mul.Tensor", { self: "x", other: 1 }),
        node("s", block, { "#0": false, "#1": { kind: "graph", graph: changing }, "#2": "t", "#3": "p_scale" }),
        node("r", block, { "#0": false, "#1": { kind: "graph", graph: changing }, "#2": "x", "#3": "p_scale" }),
        node("a", "aten.mul.Tensor", { self: "t", other: "p_scale" }),
        node("b", "aten.add.Tensor", { self: "a", other: "x" }),
      ];
      const model = modelOf(nodes, "b", [scale]);
      const x = images();
      const before = x.clone();
      const expected = logitsOf(model, relu(x).mul(4));
      for (const _ of [1, 2])
        same(
          noGrad(() => model.forward(x)),
          expected,
        );
      same(x, before);
      same(model.stateDict().get("scale") as Tensor, ones([3, 1, 1]));
    }));

  it("compute in the block's dtype", () =>
    tidy(() => {
      const product: Graph = {
        inputs: ["y", "w"],
        nodes: [node("z", "aten.conv2d.default", { input: "y", weight: "w" }, "table")],
        outputs: [{ kind: "value", name: "z" }],
      };
      const settings = { "#0": { kind: "string", value: "cpu" }, "#1": { kind: "dtype", dtype: "bfloat16" } } as const;
      const model = modelOf(
        [
          node("s", "higher_order.wrap_with_autocast", {
            ...settings,
            ...{ "#2": true, "#3": null, "#4": { kind: "graph", graph: product }, "#5": "x", "#6": "p_conv_weight" },
          }),
          node("a", "aten.to.dtype", { self: "s", dtype: { kind: "dtype", dtype: "float32" } }),
        ],
        "a",
        [weight("conv.weight", randn([3, 3, 1, 1]))],
      );
      const { taps } = model.forwardWith(images(), { taps: ["table"] });
      expect(taps.table.dtype).toBe("bfloat16");
    }));
});

describe("a model in another dtype", () => {
  it("computes in it where the file has its own dtype, and makes its tensors in it", () =>
    tidy(() => {
      const dtype = { kind: "dtype", dtype: "float32" } as const;
      const model = modelOf(
        [
          node("a", "aten.to.dtype", { self: "x", dtype }),
          node("r", "aten.arange.default", { end: 8, dtype, device: { kind: "device" } }),
          node("z", "aten.zeros.default", { size: [8] }),
          node("s", "aten.add.Tensor", { self: "r", other: "z" }),
          node("b", "aten.mul.Tensor", { self: "a", other: "s" }, "block"),
        ],
        "b",
      );
      model.to("float64");
      const x = randn([2, 3, 8, 8], { dtype: "float64" });
      const { logits, taps } = model.forwardWith(x, { taps: ["block"] });
      expect([logits.dtype, taps.block.dtype]).toEqual(["float64", "float64"]);
      model.to("float32");
      expect(model.forward(x.to("float32")).dtype).toBe("float32");
    }));
});

describe("what cannot be run", () => {
  it("is named in one error, with every node, its module and the reason", () => {
    const nodes = [
      node("a", "aten.no_such_operator.default", { self: "x" }, "layer1.0"),
      node("b", "torchvision.deform_conv2d.default", { input: "a" }, "layer2"),
      node("c", "aten.relu.default", { self: "b", slope: 3 }, "layer3"),
      node("d", "aten.permute.default", { self: "c", dims: { kind: "string", value: "NCHW" } }, "layer4"),
    ];
    const make = () => tidy(() => modelOf(nodes, "d"));
    expect(make).toThrow(/^loadExportedModel: test\.pt2: this engine cannot run 4 nodes/);
    expect(make).toThrow(
      /node a \(aten\.no_such_operator\.default in layer1\.0\): libtorch 2\.\d+\.\d+\S* has no such operator/,
    );
    expect(make).toThrow(
      /node b \(torchvision\.deform_conv2d\.default in layer2\): .*another package \("torchvision"\)/,
    );
    expect(make).toThrow(/node c .*no argument slope/);
    expect(make).toThrow(/node d .*its argument dims is of type int\[\], and string cannot be passed/);
  });

  it("does not depend on the layout that a kernel gives its result in memory", () =>
    tidy(() => {
      const model = modelOf(
        [
          node("a", "aten.permute.default", { self: "x", dims: [0, 2, 3, 1] }),
          node("b", "aten.view.default", { self: "a", size: [-1, 64, 3] }),
          node("c", "aten.as_strided.default", { self: "a", size: [2, 8, 8, 3], stride: [192, 24, 3, 1] }),
          node("d", "aten.view.default", { self: "c", size: [-1, 64, 3] }),
          node("e", "aten.add.Tensor", { self: "b", other: "d" }),
          node("f", "aten.transpose.int", { self: "e", dim0: 1, dim1: 2 }),
          node("g", "aten.view.default", { self: "f", size: [-1, 3, 8, 8] }),
        ],
        "g",
      );
      const x = images();
      same(model.forward(x), logitsOf(model, x.mul(2)));
    }));

  it("names the node when an operator fails, and keeps libtorch's words", () =>
    tidy(() => {
      const broken = node("a", "aten.view.default", { self: "x", size: [7, 7] }, "layer1");
      expect(() => modelOf([broken], "a")).toThrow(
        /shape '\[7, 7\]' is invalid.*node a \(aten\.view\.default in layer1\) of the exported model/,
      );
    }));
});

describe("operators with a mode", () => {
  const setMode = (model: ExportedModel, training: boolean) => {
    for (const module of model.namedModules().values()) module.training = training;
  };

  it("drop nothing in evaluation mode, whatever mode they were exported in", () =>
    tidy(() => {
      const q = { query: "x", key: "x", value: "x" };
      const model = modelOf(
        [
          node("a", "aten.scaled_dot_product_attention.default", { ...q, dropout_p: 0.9 }),
          node("b", "aten.dropout_.default", { self: "a", p: 0.9, train: true }),
          node("c", "aten.rrelu.default", { self: "b", lower: 0.1, upper: 0.9, training: true }),
        ],
        "c",
      );
      const x = images();
      const once = () => model.forward(x).detach();
      same(once(), once());
      same(noGrad(once), once());
      setMode(model, true);
      expect(once()).not.toBeAllclose(once(), { rtol: 1e-3, atol: 1e-3 });
    }));

  it("drop no branch of stochastic depth in evaluation mode", () =>
    tidy(() => {
      const model = modelOf(
        [
          node("e", "aten.new_empty.default", { self: "x", size: [2, 1, 1, 1] }, "drop_path"),
          node("m", "aten.bernoulli_.float", { self: "e", p: 0.8 }, "drop_path"),
          node("n", "aten.div_.Tensor", { self: "m", other: 0.8 }, "drop_path"),
          node("a", "aten.mul.Tensor", { self: "x", other: "n" }, "drop_path"),
        ],
        "a",
      );
      const x = images();
      same(model.forward(x), logitsOf(model, x));
      setMode(model, true);
      const values = Array.from(
        { length: 20 },
        () =>
          (
            model
              .forward(x)
              .sub(logitsOf(model, x.mul(0)))
              .abs()
              .sum([1])
              .detach()
              .data() as Float32Array
          )[0],
      );
      expect(new Set(values.map((value) => (value ?? 0) > 1e-6)).size).toBe(2);
    }));

  it("take running statistics of instance norm in evaluation mode alone", () =>
    tidy(() => {
      const [mean, variance] = [weight("n.running_mean", ones([3]).mul(2)), weight("n.running_var", ones([3]).mul(4))];
      const given = {
        input: "x",
        weight: null,
        bias: null,
        running_mean: "b_n_running_mean",
        running_var: "b_n_running_var",
      };
      const settings = { use_input_stats: false, momentum: 0.5, eps: 0, cudnn_enabled: false };
      const model = modelOf([node("a", "aten.instance_norm.default", { ...given, ...settings }, "n")], "a", [
        mean,
        variance,
      ]);
      const x = images();
      same(model.forward(x), logitsOf(model, x.sub(2).div(2)));
      setMode(model, true);
      const centred = x.sub(x.mean([2, 3], { keepDims: true }));
      same(model.forward(x), logitsOf(model, centred.div(centred.square().mean([2, 3], { keepDims: true }).sqrt())));
      expect(model.stateDict().get("n.running_mean")).toBeAllclose(x.mean([0, 2, 3]).mul(0.5).add(1), { rtol: 1e-4 });
    }));
});

describe("operators that draw", () => {
  it("draw from the seed of this engine", () =>
    tidy(() => {
      const model = modelOf([node("a", "aten.dropout.default", { input: "x", p: 0.5, train: false }, "drop")], "a");
      const x = ones([2, 3, 8, 8]);
      const once = () => {
        manualSeed(5);
        return noGrad(() => model.forwardWith(x, { taps: ["drop"] }).taps.drop);
      };
      expect(once()).toBeAllclose(x, { rtol: 0, atol: 0 });
      for (const module of model.namedModules().values()) module.training = true;
      const [first, second] = [once(), once()];
      expect(first).toBeAllclose(second, { rtol: 0, atol: 0 });
      expect([...new Set(first.data() as Float32Array)].sort()).toEqual([0, 2]);
    }));
});
