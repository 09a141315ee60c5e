import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { head, node, program, weight } from "../../../test/support/exported-program.ts";
import { batchCam } from "../../cam/index.ts";
import { setFusedInference, setFusedTraining } from "../../nn/index.ts";
import { autocast, grad, manualSeed, memory, noGrad, randn, type Tensor, tidy } from "../../tensor.ts";
import { createModel } from "../create.ts";
import type { Model } from "../model.ts";
import type { ExportedModel } from "./exported-model.ts";
import { ExportedModel as Exported } from "./exported-model.ts";
import { loadExportedModel } from "./load.ts";
import type { Node, ProgramTensor } from "./program.ts";

const path = fileURLToPath(new URL("../../../test/fixtures/exported/timm_resnet_bottleneck.pt2", import.meta.url));

let model: ExportedModel;
beforeAll(async () => {
  vi.spyOn(process, "emitWarning").mockImplementation(() => {});
  model = await loadExportedModel(path);
});
afterAll(() => model.dispose());
afterEach(() => void vi.restoreAllMocks());

/** Runs `fn` with the fused kernels off. */
function unfused<T>(fn: () => T): T {
  const before = [setFusedInference(false), setFusedTraining(false)] as const;
  try {
    return fn();
  } finally {
    setFusedInference(before[0]);
    setFusedTraining(before[1]);
  }
}

describe("convolutions with their norm, sum and ReLU", () => {
  it("give at inference what the nodes give one by one, also where a module inside is watched", () =>
    tidy(() => {
      manualSeed(3);
      model.eval();
      const x = randn([3, 3, 64, 64]);
      const plain = noGrad(() => unfused(() => model.forward(x)));
      expect(noGrad(() => model.forward(x))).toBeAllclose(plain, { rtol: 1e-4, atol: 1e-5 });
      const { logits, taps } = noGrad(() =>
        model.forwardWith(x, { taps: ["layer2.0.conv3", "layer2.0.bn3", "layer2"] }),
      );
      expect(logits).toBeAllclose(plain, { rtol: 1e-4, atol: 1e-5 });
      const apart = unfused(() => model.forwardWith(x, { taps: ["layer2.0.conv3", "layer2.0.bn3", "layer2"] }));
      for (const [layer, tap] of Object.entries(taps))
        expect(tap, layer).toBeAllclose((apart.taps as Record<string, Tensor>)[layer]?.detach() as Tensor, {
          rtol: 1e-4,
          atol: 1e-5,
        });
    }));

  it.each([undefined, "bfloat16"] as const)(
    "give in training the same values, gradients and statistics (autocast: %s)",
    (dtype) =>
      tidy(() => {
        const x = randn([4, 3, 64, 64]);
        const step = () => {
          model.train();
          const run = () => model.forwardWith(x, { taps: ["layer3"] });
          const { logits, taps } = dtype === undefined ? run() : autocast({ dtype }, run);
          const maps = batchCam(logits.to("float32"), taps.layer3, [0, 1, 2, 3]);
          const loss = logits.to("float32").square().mean().add(maps.square().mean());
          const parameters = model.namedParameters();
          const wanted = ["conv1.weight", "layer3.0.bn1.weight", "layer4.0.conv3.weight"];
          const gradients = grad(
            loss,
            wanted.map((name) => parameters.get(name) as Tensor),
          );
          return {
            loss: loss.item(),
            gradients,
            mean: (model.stateDict().get("layer2.0.bn3.running_mean") as Tensor).clone(),
          };
        };
        const state = new Map(Array.from(model.stateDict(), ([name, tensor]) => [name, tensor.clone()]));
        const fused = step();
        model.loadStateDict(state);
        const plain = unfused(step);
        model.loadStateDict(state);
        // Each of some forty operations rounds to 2^-8 in bfloat16.
        const relL2 = dtype === undefined ? 1e-3 : 40 * 2 ** -8;
        expect(Math.abs(fused.loss - plain.loss)).toBeLessThan(
          (dtype === undefined ? 1e-5 : 5e-2) * Math.abs(plain.loss),
        );
        for (const [i, gradient] of fused.gradients.entries())
          expect(gradient).toHaveRelL2(plain.gradients[i] as Tensor, { relL2 });
        expect(fused.mean).toHaveRelL2(plain.mean, { relL2: dtype === undefined ? 1e-4 : 2e-2 });
      }),
  );
});

/** ResNet-18's residual block as torchvision exports it, from our own block's weights. */
function exportedStage(own: Model, side = 16): Exported {
  const state = own.stateDict();
  const weights: ProgramTensor[] = [];
  const tensorOf = (name: string): string => {
    const given = weight(name, (state.get(name) as Tensor).clone());
    weights.push(given);
    return given.value as string;
  };
  const conv = (out: string, input: string, layer: string, padding: number): Node => {
    const given = {
      input,
      weight: tensorOf(`${layer}.weight`),
      bias: null,
      stride: [1, 1],
      padding: [padding, padding],
    };
    return node(out, "aten.conv2d.default", given, layer);
  };
  const norm = (out: string, input: string, layer: string): Node => {
    const names = ["weight", "bias", "running_mean", "running_var"].map((name) => [name, tensorOf(`${layer}.${name}`)]);
    weights.push({
      ...weight(`${layer}.num_batches_tracked`, (state.get(`${layer}.num_batches_tracked`) as Tensor).clone()),
      value: null,
    });
    const given = {
      input,
      ...Object.fromEntries(names),
      training: false,
      momentum: 0.1,
      eps: 1e-5,
      cudnn_enabled: false,
    };
    return node(out, "aten.batch_norm.default", given, layer);
  };
  const end = head("r3", 64);
  const nodes = [
    conv("c1", "x", "conv1", 1),
    norm("n1", "c1", "bn1"),
    node("r1", "aten.relu_.default", { self: "n1" }, "relu"),
    conv("c2", "r1", "layer1.0.conv1", 1),
    norm("n2", "c2", "layer1.0.bn1"),
    node("r2", "aten.relu_.default", { self: "n2" }, "layer1.0.relu"),
    conv("c3", "r2", "layer1.0.conv2", 1),
    norm("n3", "c3", "layer1.0.bn2"),
    node("s", "aten.add_.Tensor", { self: "n3", other: "r1" }, "layer1.0"),
    node("r3", "aten.relu_.default", { self: "s" }, "layer1.0.relu"),
  ];
  return new Exported(
    program({ nodes: [...nodes, ...end.nodes], weights: [...weights, ...end.weights], sizes: [null, 3, side, side] }),
    "test.pt2",
  );
}

describe("an imported network of 64 channels", () => {
  it("computes bit for bit what this package's own network does, in both modes", () =>
    tidy(() => {
      vi.spyOn(process, "emitWarning").mockImplementation(() => {});
      manualSeed(4);
      const own = createModel("resnet18", { stem: "small", numClasses: 3 });
      const imported = exportedStage(own);
      const x = randn([2, 3, 16, 16]);
      const compare = () => {
        const ours = own.forwardWith(x, { taps: ["layer1.0"] }).taps["layer1.0"];
        const theirs = imported.forwardWith(x, { taps: ["layer1.0"] }).taps["layer1.0"];
        expect(theirs.detach()).toBeAllclose(ours.detach(), { rtol: 0, atol: 0 });
      };
      own.train();
      imported.train();
      compare();
      own.eval();
      imported.eval();
      noGrad(compare);
    }));

  it("leaves no memory behind in 300 steps", () => {
    vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    manualSeed(5);
    using own = createModel("resnet18", { stem: "small", numClasses: 3 });
    const imported = exportedStage(own, 8);
    imported.train();
    const x = randn([1, 3, 8, 8]);
    const weights = [imported.namedParameters().get("conv1.weight") as Tensor];
    const step = () =>
      tidy(() => {
        const { logits, taps } = imported.forwardWith(x, { taps: ["layer1.0"] });
        const maps = batchCam(logits, taps["layer1.0"], [1]);
        grad(maps.mean().add(logits.square().mean()), weights);
      });
    for (let i = 0; i < 5; i++) step();
    const before = memory();
    for (let i = 0; i < 300; i++) step();
    const after = memory();
    expect(after.liveTensors).toBe(before.liveTensors);
    expect(after.bytes).toBe(before.bytes);
    imported.dispose();
    x.dispose();
  });
});
