import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it, vi } from "vitest";
import { head, node, program, weight } from "../../../test/support/exported-program.ts";
import { fullGradTerms } from "../../cam/full-grad.ts";
import { explain, METHODS } from "../../cam/index.ts";
import { layersOf } from "../../optim/parameter-groups.ts";
import { conv2d, grad, manualSeed, memory, noGrad, ones, randn, relu, type Tensor, tidy, zeros } from "../../tensor.ts";
import { defaultCamLayer } from "../cam-layer.ts";
import { mapSize } from "../model.ts";
import { ExportedModel } from "./exported-model.ts";
import { loadExportedModel } from "./load.ts";
import type { Node, ProgramTensor } from "./program.ts";
import { readProgram } from "./read-program.ts";

const pathOf = (name: string) => fileURLToPath(new URL(`../../../test/fixtures/exported/${name}.pt2`, import.meta.url));

afterEach(() => void vi.restoreAllMocks());

describe("the modules of an exported model", () => {
  it("have PyTorch's paths, names and types, and a wrong path is answered with the nearest", async () => {
    using model = await loadExportedModel(pathOf("timm_resnet_bottleneck"));
    expect(model.moduleAt("layer3.0.bn1").typeName()).toBe("BatchNorm2d");
    expect(model.typeName()).toBe("ResNet");
    expect(String(model)).toMatch(/^ResNet\(\n {2}\(conv1\): Conv2d\(\)\n {2}\(bn1\): BatchNorm2d\(\)/);
    expect(() => model.moduleAt("layer3.0.bm1")).toThrow(/no layer "layer3\.0\.bm1"; the nearest are layer3\.0\.bn1/);
    const images = randn([1, 3, 64, 64]);
    expect(() => model.forwardWith(images, { taps: ["layer5"] })).toThrow(/E_CONFIG|nearest are layer/);
    expect([...model.namedModules().keys()].filter((path) => path.includes("empty"))).toEqual([]);
    images.dispose();
  });

  it("are layers in the order in which they run, for layer-wise learning rates", async () => {
    using model = await loadExportedModel(pathOf("timm_resnet_bottleneck"));
    const depths = layersOf([...model.namedParameters().keys()], model.layerPatterns);
    const order = [
      "conv1.weight",
      "layer1.0.conv1.weight",
      "layer2.0.conv1.weight",
      "layer3.0.bn1.weight",
      "fc.weight",
    ];
    expect(order.map((name) => depths.get(name))).toEqual(
      order.map((name) => depths.get(name)).toSorted((a, b) => (a as number) - (b as number)),
    );
    expect(depths.get("bn1.weight")).toBe(depths.get("conv1.weight"));
    expect(depths.get("layer1.0.conv3.weight")).toBe(depths.get("layer1.0.conv1.weight"));
    expect(new Set(order.map((name) => depths.get(name))).size).toBe(5);
  });

  it("keep their state dict under PyTorch's names, batch counters among them, and load it", async () => {
    using model = await loadExportedModel(pathOf("own_branches"));
    using other = await loadExportedModel(pathOf("own_branches"));
    const state = model.stateDict();
    expect([...state.keys()]).toContain("mix.1.num_batches_tracked");
    expect([...state.keys()].slice(0, 4)).toEqual(["stem.weight", "stem.bias", "shared.weight", "shared.bias"]);
    tidy(() => {
      noGrad(() => (state.get("fc.bias") as Tensor).fill_(7));
      expect(other.loadStateDict(state)).toEqual({ missing: [], unexpected: [] });
      const x = randn([2, 3, 20, 20]);
      expect(other.forward(x).detach()).toBeAllclose(model.forward(x).detach(), { rtol: 0, atol: 0 });
    });
    for (const tensor of state.values()) tensor.dispose();
  });

  it("may have any name, also those of a Module's own methods", () =>
    tidy(() => {
      const end = head("b", 3);
      const nodes = [
        node("a", "aten.conv2d.default", { input: "x", weight: "p_forward_weight" }, "forward"),
        node("b", "aten.relu.default", { self: "a" }, "training"),
      ];
      const weights = [weight("forward.weight", randn([3, 3, 1, 1])), ...end.weights];
      const model = new ExportedModel(program({ nodes: [...nodes, ...end.nodes], weights }), "test.pt2");
      const { taps } = model.forwardWith(randn([2, 3, 8, 8]), { taps: ["forward", "training"] });
      expect(taps.forward.relu().detach()).toBeAllclose(taps.training.detach(), { rtol: 0, atol: 0 });
      expect([...model.namedParameters().keys()]).toEqual(["forward.weight", "fc.weight", "fc.bias"]);
    }));

  it("convert, move and free everything that belongs to the model", async () => {
    const before = memory().liveTensors;
    const model = await loadExportedModel(pathOf("timm_vit"), { dtype: "float64" });
    tidy(() => expect(model.forward(randn([1, 3, 32, 32], { dtype: "float64" })).dtype).toBe("float64"));
    model.dispose();
    expect(memory().liveTensors).toBe(before);
  });
});

describe("images of another dtype than the weights", () => {
  it.each(["float16", "bfloat16", "float64"] as const)(
    "are refused by %s weights with both remedies",
    async (dtype) => {
      using model = await loadExportedModel(pathOf("own_branches"), { dtype });
      const images = randn([1, 3, 20, 20]);
      const refused = expect.objectContaining({
        code: "E_DTYPE",
        message: expect.stringMatching(
          new RegExp(
            `own_branches.pt2 has weights of ${dtype}, and the images are float32: convert the model by model.to\\("float32"\\), or the images by x.to\\("${dtype}"\\)`,
          ),
        ),
      });
      expect(() => explain(model, images)).toThrow(refused);
      const converted = model.to("float32");
      tidy(() => expect(converted.forward(images).sizes).toEqual([1, 5]));
      images.dispose();
    },
  );
});

describe("the default layer", () => {
  it.each([
    ["timm_resnet_bottleneck", "layer2", [8, 8]],
    ["timm_densenet", "features.denseblock1", [12, 12]],
    ["torchvision_mobilenet_v2", "features.6", [8, 8]],
    ["own_branches", "mix", [20, 20]],
    // 4x4 tokens: no map has 7 cells, and the last block's tokens are not read by the classifier.
    ["timm_vit", "blocks.0", [4, 4]],
  ] as const)("of %s is %s", async (name, layer, size) => {
    using model = await loadExportedModel(pathOf(name));
    const image = model.imageSize as [number, number, number];
    expect(model.camLayer).toBe(layer);
    expect(defaultCamLayer(model, image)).toBe(layer);
    expect(mapSize(model, image)).toEqual(size);
  });

  it("is found under a head that starts from zero, which is left as it is", async () => {
    const given = await readProgram(pathOf("timm_vit"));
    const weights = given.tensors.filter(({ name }) => name.startsWith("head.")).map(({ tensor }) => tensor);
    for (const tensor of weights) tensor.zero_();
    using model = new ExportedModel(given, "test.pt2");
    expect(model.camLayer).toBe("blocks.0");
    for (const tensor of weights) expect(tidy(() => tensor.detach().abs().max().item())).toBe(0);
  });

  it("names how a layer's output is made maps", async () => {
    using model = await loadExportedModel(pathOf("timm_vit"));
    expect(model.layoutOf("blocks.0")).toBe("tokens (N, 1 + 4 x 4, C)");
    expect(model.layoutOf("head")).toBeNull();
    tidy(() => {
      const maps = model.reshapeTransformOf("blocks.0");
      const tokens = randn([2, 17, 32]);
      expect(maps?.(tokens)).toBeAllclose(tokens.narrow(1, 1, 16).transpose(1, 2).reshape([2, 32, 4, 4]), {
        rtol: 0,
        atol: 0,
      });
    });
  });

  it("takes channels-last outputs by the image's proportions, and says so if no layer gives maps", () =>
    tidy(() => {
      const nodes = [
        node("a", "aten.permute.default", { self: "x", dims: [0, 2, 3, 1] }, "stage"),
        node("b", "aten.permute.default", { self: "a", dims: [0, 3, 1, 2] }),
      ];
      const end = head("b", 3);
      const model = new ExportedModel(program({ nodes: [...nodes, ...end.nodes], weights: end.weights }), "test.pt2");
      expect([model.camLayer, model.layoutOf("stage")]).toEqual(["stage", "maps with channels last (N, 8 x 8, C)"]);
      const flat = head("x", 3);
      const none = new ExportedModel(program({ nodes: flat.nodes, weights: flat.weights }), "test.pt2");
      expect(() => none.camLayer).toThrow(/test\.pt2 has no module with maps/);
    }));
});

describe("explanations of an exported model", () => {
  it.each(["timm_vit", "own_branches"])("by every method, of %s", async (name) => {
    using model = await loadExportedModel(pathOf(name));
    const [, height = 0, width = 0] = model.imageSize as [number, number, number];
    tidy(() => {
      manualSeed(1);
      const x = randn([2, 3, height, width]);
      const { maps } = explain(model, x, {
        method: METHODS.filter((method) => name !== "timm_vit" || method !== "GuidedBackprop"),
        samples: 2,
        steps: 2,
      });
      for (const [method, map] of Object.entries(maps as Record<string, Tensor>)) {
        expect(map.shape, method).toEqual([2, height, width]);
        const values = map.data() as Float32Array;
        expect(
          values.every((value) => value >= 0 && value <= 1),
          method,
        ).toBe(true);
        expect(Math.max(...values), method).toBeGreaterThan(0.9);
      }
    });
  });

  it("are those of the tokens' gradient, the class token left out", async () => {
    using model = await loadExportedModel(pathOf("timm_vit"));
    tidy(() => {
      const x = randn([2, 3, 32, 32]);
      const { maps } = explain(model, x, { targets: [3, 4], upsample: false, normalize: false });
      const { logits, taps } = model.forwardWith(x, { taps: ["blocks.0"] });
      const score = logits.select(0, 0).select(0, 3).add(logits.select(0, 1).select(0, 4));
      const [gradient] = grad(score, [taps["blocks.0"]]);
      const cells = (tokens: Tensor) => tokens.narrow(1, 1, 16);
      const alpha = cells(gradient).mean([1], { keepDims: true });
      const expected = cells(taps["blocks.0"]).mul(alpha).sum([2]).relu().reshape([2, 4, 4]);
      expect(maps).toBeAllclose(expected.detach(), { rtol: 1e-4, atol: 1e-6 });
    });
  });
});

describe("FullGrad of an exported model", () => {
  it("sees every bias: its terms add up to the score of a network of ReLUs", async () => {
    using model = await loadExportedModel(pathOf("timm_resnet_bottleneck"));
    tidy(() => {
      const x = randn([2, 3, 64, 64]);
      const target = { score: (logits: Tensor) => logits.select(1, 3) } as never;
      const { input, biases } = fullGradTerms({ model, x }, { target, createGraph: false });
      const sum = (values: Tensor) => values.reshape([2, -1]).sum([1]);
      const total = biases.map(({ values }) => sum(values)).reduce((all, part) => all.add(part), sum(input));
      expect(total.detach()).toBeAllclose(model.forward(x).select(1, 3).detach(), { rtol: 1e-3, atol: 1e-4 });
    });
  });
});

describe("a module that is called several times", () => {
  it("gives its last output as a tap", async () => {
    using model = await loadExportedModel(pathOf("own_branches"));
    tidy(() => {
      const x = randn([2, 3, 20, 20]);
      const { taps } = model.forwardWith(x, { taps: ["act", "shared"] });
      const state = model.stateDict();
      const shared = (input: Tensor) =>
        conv2d(input, state.get("shared.weight") as Tensor, state.get("shared.bias") as Tensor, { padding: 1 });
      const expected = shared(relu(shared(taps.act)));
      expect(taps.shared.detach()).toBeAllclose(expected.detach(), { rtol: 1e-5, atol: 1e-6 });
      const [gradient] = grad(taps.shared.sum(), [taps.act]);
      expect(gradient.shape).toEqual(taps.act.shape);
    });
  });
});

/** Nodes whose operator gives several tensors, of which only the first one is used. */
const tupled = (nodes: readonly Node[]): Node[] =>
  nodes.map((one) => ({
    ...one,
    outputs: [{ kind: "value", name: one.name }, ...[0, 1].map(() => ({ kind: "value" as const, name: null }))],
  }));

describe("training mode", () => {
  it("says once what does not follow it", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    using model = await loadExportedModel(pathOf("own_branches"));
    expect(model.training).toBe(false);
    expect(warn).not.toHaveBeenCalled();
    model.eval().train().eval().train();
    expect(warn).toHaveBeenCalledTimes(1);
    expect(String(warn.mock.calls[0]?.[0])).toMatch(
      /own_branches\.pt2 in training mode: 1 batch norm and 1 dropout follow train\(\).*stochastic depth \(DropPath\)/,
    );
  });

  it("names nodes that draw random numbers in any mode", () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    tidy(() => {
      const nodes = [
        node("r", "aten.rand.default", { size: [8, 8] }),
        node("a", "aten.mul.Tensor", { self: "x", other: "r" }, "path"),
      ];
      const end = head("a", 3);
      const model = new ExportedModel(program({ nodes: [...nodes, ...end.nodes], weights: end.weights }), "test.pt2");
      model.train();
    });
    const [note, warning] = warn.mock.calls.map(([text]) => String(text));
    expect(note).toMatch(/test\.pt2 in training mode: nothing follows train\(\) and eval\(\)/);
    expect(warning).toMatch(/random numbers are drawn by 1 node of the graph.*node r \(aten\.rand\.default\)/);
  });

  /** A batch norm without momentum, as `momentum=None` is exported in evaluation mode. */
  function normed(momentum: number, training = false): ExportedModel {
    const names = { running_mean: "b_bn_running_mean", running_var: "b_bn_running_var" };
    const given = { input: "x", weight: "p_bn_weight", bias: "p_bn_bias", ...names };
    const nodes = [
      node("a", "aten.batch_norm.default", { ...given, training, momentum, eps: 1e-5, cudnn_enabled: false }, "bn"),
    ];
    const end = head("a", 3);
    const weights: ProgramTensor[] = [
      weight("bn.weight", ones([3])),
      weight("bn.bias", zeros([3])),
      weight("bn.running_mean", zeros([3])),
      weight("bn.running_var", ones([3])),
      { ...weight("bn.num_batches_tracked", zeros([], { dtype: "int64" })), value: null },
    ];
    return new ExportedModel(
      program({ nodes: [...nodes, ...end.nodes], weights: [...weights, ...end.weights] }),
      "test.pt2",
    );
  }

  it("counts batches, and averages all of them where the module has no momentum", () =>
    tidy(() => {
      vi.spyOn(process, "emitWarning").mockImplementation(() => {});
      const model = normed(0).train();
      const batches = [1, 2, 6].map((mean) => randn([4, 3, 8, 8]).add(mean));
      for (const batch of batches) noGrad(() => model.forward(batch));
      const state = model.stateDict();
      const means = batches.map((batch) => batch.mean([0, 2, 3]));
      const expected = means.reduce((sum, mean) => sum.add(mean)).div(3);
      expect(state.get("bn.running_mean")).toBeAllclose(expected, { rtol: 1e-5 });
      expect(state.get("bn.num_batches_tracked")?.item()).toBe(3);
      model.eval();
      noGrad(() => model.forward(batches[0] as Tensor));
      expect(state.get("bn.num_batches_tracked")?.item()).toBe(3);
    }));

  it("says so where the file does not show whether a batch norm has no momentum or 0, and only there", () =>
    tidy(() => {
      const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
      const said = () => warn.mock.calls.splice(0).map(([text]) => String(text));
      normed(0).train();
      expect(said()).toEqual([
        expect.stringMatching(/: 1 batch norm follows train\(\) and eval\(\); /),
        expect.stringMatching(/1 batch norm \(node a .*\) has momentum 0 in the file, which stands for momentum=None/),
      ]);
      normed(0, true).train();
      normed(0.1).train();
      expect(said().join()).not.toMatch(/momentum/);
    }));

  it("keeps the statistics where a file that was exported in training mode has a momentum of 0", () =>
    tidy(() => {
      vi.spyOn(process, "emitWarning").mockImplementation(() => {});
      const model = normed(0, true).train();
      noGrad(() => model.forward(randn([4, 3, 8, 8]).add(1)));
      expect(model.stateDict().get("bn.running_mean")).toBeAllclose(zeros([3]));
      expect(model.stateDict().get("bn.running_var")).toBeAllclose(ones([3]));
    }));

  it("switches batch norms that were decomposed when the model was exported", () =>
    tidy(() => {
      vi.spyOn(process, "emitWarning").mockImplementation(() => {});
      const names = { running_mean: "b_bn_running_mean", running_var: "b_bn_running_var" };
      const given = { input: "x", weight: "p_bn_weight", bias: "p_bn_bias", ...names, momentum: 0.1, eps: 1e-5 };
      const nodes = [node(["a"], "aten._native_batch_norm_legit_no_training.default", given, "bn")];
      const end = head("a", 3);
      const weights = [
        weight("bn.weight", ones([3])),
        weight("bn.bias", zeros([3])),
        weight("bn.running_mean", ones([3])),
        weight("bn.running_var", ones([3])),
      ];
      const made = program({ nodes: [...tupled(nodes), ...end.nodes], weights: [...weights, ...end.weights] });
      const model = new ExportedModel(made, "test.pt2");
      const x = randn([4, 3, 8, 8]);
      const { taps } = model.forwardWith(x, { taps: ["bn"] });
      expect(taps.bn.detach()).toBeAllclose(x.sub(1).div(Math.sqrt(1 + 1e-5)), { rtol: 1e-4, atol: 1e-5 });
      model.train();
      const { taps: trained } = model.forwardWith(x, { taps: ["bn"] });
      expect(trained.bn.detach().mean([0, 2, 3])).toBeAllclose(zeros([3]), { atol: 1e-5 });
      expect(model.stateDict().get("bn.running_mean")).toBeAllclose(x.mean([0, 2, 3]).mul(0.1).add(0.9), {
        rtol: 1e-4,
      });
    }));

  it("may leave one norm in evaluation mode", () =>
    tidy(() => {
      vi.spyOn(process, "emitWarning").mockImplementation(() => {});
      const model = normed(0.1).train();
      model.moduleAt("bn").eval();
      noGrad(() => model.forward(randn([2, 3, 8, 8]).add(5)));
      expect(model.stateDict().get("bn.running_mean")).toBeAllclose(zeros([3]), { rtol: 0, atol: 0 });
    }));
});

describe("the ends of the network", () => {
  it("are found, and another number of classes replaces the last linear layer", async () => {
    using model = await loadExportedModel(pathOf("torchvision_mobilenet_v2"));
    expect([model.classifier, model.firstConv, model.numClasses]).toEqual(["classifier.1", "features.0.0", 6]);
    model.resetClassifier(9);
    expect(model.numClasses).toBe(9);
    tidy(() => {
      const x = randn([2, 3, 64, 64]);
      expect(model.forward(x).shape).toEqual([2, 9]);
      expect(model.stateDict().get("classifier.1.weight")?.shape).toEqual([9, 1280]);
      const [gradient] = grad(model.forward(x).sum(), [model.namedParameters().get("classifier.1.bias") as Tensor]);
      expect(gradient).toBeAllclose(ones([9]).mul(2), { rtol: 1e-6 });
    });
  });

  it("give Grad-CAM's weights in closed form where the classifier reads the mean of the layer's maps", () =>
    tidy(() => {
      const end = head("b", 5);
      const nodes = [
        node("a", "aten.conv2d.default", { input: "x", weight: "p_conv_weight" }, "conv"),
        node("b", "aten.relu.default", { self: "a" }, "act"),
      ];
      const weights = [weight("conv.weight", randn([5, 3, 1, 1])), ...end.weights];
      const make = (last: readonly Node[]) =>
        new ExportedModel(program({ nodes: [...nodes, ...last], weights }), "test.pt2");
      const model = make(end.nodes);
      expect(model.closedFormHead()).toMatchObject({ layer: "fc" });
      expect(model.closedFormHead()?.weight.shape).toEqual([3, 5]);
      const [pooled, linear] = end.nodes as [Node, Node];
      const drop = node("d", "aten.dropout.default", { input: "pooled", p: 0.5, train: false }, "drop");
      const behind = node(
        "logits",
        "aten.linear.default",
        { input: "d", weight: "p_fc_weight", bias: "p_fc_bias" },
        "fc",
      );
      expect(make([pooled, drop, behind]).closedFormHead()).toBeNull();
      const scaled = { ...linear, name: "l", outputs: [{ kind: "value" as const, name: "l" }] };
      expect(make([pooled, scaled, node("m", "aten.mul.Tensor", { self: "l", other: 2 })]).closedFormHead()).toBeNull();
    }));

  it("have to be logits: (N, classes), without a softmax", () =>
    tidy(() => {
      const end = head("x", 3);
      const softmax = node("s", "aten.softmax.int", { self: "logits", dim: -1 }, "prob");
      const make = (nodes: readonly Node[], weights: ProgramTensor[]) => () =>
        new ExportedModel(program({ nodes, weights }), "test.pt2");
      expect(make([...end.nodes, softmax], end.weights)).toThrow(
        /node s \(aten\.softmax\.int in prob\), and not the logits/,
      );
      const maps = make([node("a", "aten.relu.default", { self: "x" })], []);
      expect(maps).toThrow(/logits \(N, classes\), and this program gives \[2, 3, 8, 8\]/);
    }));
});

describe("images that do not fit", () => {
  it("are refused with the way out: another batch than the only one, another size, other channels", () =>
    tidy(() => {
      const end = head("x", 3);
      const given = program({ nodes: end.nodes, weights: end.weights, sizes: [4, 3, 8, 8] });
      const model = new ExportedModel(given, "test.pt2");
      expect(model.fixedBatch).toBe(4);
      expect(model.forward(zeros([4, 3, 8, 8])).shape).toEqual([4, 3]);
      expect(() => model.forward(zeros([2, 3, 8, 8]))).toThrow(
        /exactly 4 images at a time, got 2: give it that many, or export.*batch-cam export-recipe/,
      );
      expect(() => model.forward(zeros([4, 3, 9, 8]))).toThrow(/for images of 8x8, got 9x8/);
      expect(() => model.forward(zeros([4, 1, 8, 8]))).toThrow(/ExportedModel: .*3/);
    }));
});
