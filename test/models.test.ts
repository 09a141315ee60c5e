import { afterEach, describe, expect, it } from "vitest";
import { createModel, defaultCamLayer, type Model, mapSize, SimpleCNN } from "../src/models/index.ts";
import type { Linear } from "../src/nn/index.ts";
import {
  backward,
  capabilities,
  type DType,
  manualSeed,
  memory,
  noGrad,
  randn,
  type Tensor,
  tensor,
  tidy,
  zeros,
} from "../src/tensor/index.ts";
import { crossEntropyLoss } from "../src/tensor/layers.ts";
import { type Fixture, fixture } from "./support/fixtures.ts";
import { type SmallCNN, smallCnnOf } from "./support/small-cnn.ts";

const models: { dispose(): void }[] = [];
const use = <M extends { dispose(): void }>(model: M): M => {
  models.push(model);
  return model;
};
afterEach(() => {
  for (const model of models.splice(0)) model.dispose();
});

describe.each(["model_small_cnn_gap", "model_small_cnn_mlp"])("the network of %s", (name) => {
  const reference = fixture(name);
  const { rtol, atol, relL2, absL2 } = reference.tolerance;

  describe.each(["float32", "float64"] as const)("in %s", (dtype) => {
    const exact = dtype === "float64";
    const values = exact ? { rtol: 1e-10, atol: 1e-12 } : { rtol, atol };
    const norms = exact ? { relL2: 1e-9, absL2: 1e-12 } : { relL2, absL2 };

    it.each(["eval", "train"] as const)("has torch's logits, loss, maps and gradients in %s mode", (mode) =>
      tidy(() => {
        const model = prepared(reference, mode, dtype);
        const { logits, loss, taps } = tappedLoss(model, reference, dtype);
        expect(logits).toBeAllclose(reference.reference(`out/${mode}/logits`), values);
        expect(loss.reshape([1])).toBeAllclose(reference.reference(`out/${mode}/loss`), values);
        expect(taps.act3 as Tensor).toBeAllclose(reference.reference(`out/${mode}/feat_last`), values);
        for (const path of reference.names(`out/${mode}/act/`)) {
          expect(taps[path.slice(`out/${mode}/act/`.length)] as Tensor).toBeAllclose(reference.tensor(path), {
            rtol,
            atol,
          });
        }
        backward(loss);
        for (const [parameter, weight] of model.namedParameters()) {
          expect(weight.grad as Tensor).toHaveRelL2(reference.reference(`grad/${mode}/${parameter}`), norms);
        }
        const gradientNorms = Array.from(model.parameters(), (weight) => (weight.grad as Tensor).norm().item());
        expect(gradientNorms).toBeAllclose(reference.reference(`out/${mode}/grad_l2`), { rtol: exact ? 1e-9 : 1e-4 });
      }),
    );

    it("moves running statistics in train mode by torch's rule, and not in eval mode", () =>
      tidy(() => {
        const model = prepared(reference, "eval", dtype);
        const before = tidy(() => Array.from(model.namedBuffers().values(), (buffer) => [...buffer.data()]));
        model.forward(reference.tensor("input/x").to(dtype));
        expect(Array.from(model.namedBuffers().values(), (buffer) => [...buffer.data()])).toEqual(before);
        model.train().forward(reference.tensor("input/x").to(dtype));
        const buffers = model.namedBuffers();
        for (const path of reference.names("out/train/after/")) {
          expect(buffers.get(path.slice("out/train/after/".length)) as Tensor).toBeAllclose(
            reference.reference(path),
            values,
          );
        }
        expect(buffers.get("bn1.num_batches_tracked")?.item()).toBe(1);
      }));
  });

  it("lists its parameters in torch's order", () => {
    const model = use(smallCnnOf(reference));
    expect([...model.namedParameters().keys()]).toEqual(reference.params.parameter_order);
    expect(model.numParameters()).toBe(reference.params.parameter_count);
  });
});

function prepared(reference: Fixture, mode: "eval" | "train", dtype: DType): SmallCNN {
  return use(smallCnnOf(reference))
    .to(dtype)
    .train(mode === "train");
}

function tappedLoss(
  model: SmallCNN,
  reference: Fixture,
  dtype: DType,
): { logits: Tensor; loss: Tensor; taps: Record<string, Tensor> } {
  const paths = ["conv1", "bn1", "act1", "act2", "bn3", "act3"];
  const { logits, taps } = model.forwardWith(reference.tensor("input/x").to(dtype), { taps: paths });
  return { logits, taps, loss: crossEntropyLoss(logits, reference.tensor("input/y").to("int64")) };
}

describe("SimpleCNN", () => {
  const shapes = (model: Model) => Array.from(model.stateDict(), ([name, { shape }]) => `${name} ${shape}`);

  it("has torch's names, order and shapes with the mlp head", () => {
    expect(shapes(use(createModel("simple-cnn")))).toEqual([
      "conv1.weight 32,1,3,3",
      "conv1.bias 32",
      "conv2.weight 64,32,3,3",
      "conv2.bias 64",
      "conv3.weight 128,64,3,3",
      "conv3.bias 128",
      "fc1.weight 128,6272",
      "fc1.bias 128",
      "fc2.weight 10,128",
      "fc2.bias 10",
    ]);
  });

  it("has a linear layer after the pooled maps with the gap head, and no convolution bias before a batch norm", () => {
    expect(
      shapes(use(createModel("simple-cnn", { head: "gap", norm: "batch", numClasses: 3, inChannels: 2 }))),
    ).toEqual([
      "conv1.weight 32,2,3,3",
      ...norm("bn1", 32),
      "conv2.weight 64,32,3,3",
      ...norm("bn2", 64),
      "conv3.weight 128,64,3,3",
      ...norm("bn3", 128),
      "fc.weight 3,128",
      "fc.bias 3",
    ]);
  });

  it("starts from torch's weights for a seed", () => {
    manualSeed(0);
    const model = use(createModel("simple-cnn"));
    const sums = Array.from(model.stateDict().values(), (value) => value.to("float64").sum().item());
    // torch.manual_seed(0), the same layers in this order, value.double().sum(), with ATEN_CPU_CAPABILITY=avx2 and with =default, where the
    // draws of the weights are rounded once more (see init.test.ts)
    const withFma = [
      -4.403385692101438, -0.4370788736268878, 4.991375209956004, 0.0009698676876723766, 1.3037037063326125,
      0.21102305152453482, 3.362482911581294, 0.07606765726086451, -1.5838104403956095, -0.41271231370046735,
    ];
    const withoutFma = [
      -4.403385519981384, -0.43707889318466187, 4.991375517100096, 0.0009698700159788132, 1.303703173995018,
      0.21102306433022022, 3.362483588512987, 0.07606765162199736, -1.5838103480637074, -0.41271231696009636,
    ];
    const expected = capabilities().cpuCapability === "DEFAULT" ? withoutFma : withFma;
    expect(sums).toBeAllclose(expected, { rtol: 1e-12, atol: 1e-12 });
  });

  it.each(["mlp", "gap"] as const)("gives logits and a 7x7 map of 128 channels with the %s head", (head) =>
    tidy(() => {
      const model = use(createModel("simple-cnn", { head, numClasses: 4 }));
      const { logits, taps } = model.forwardWith(randn([2, 1, 28, 28]), { taps: [model.camLayer, "conv1"] });
      expect(logits.shape).toEqual([2, 4]);
      expect(taps[model.camLayer]?.shape).toEqual([2, 128, 7, 7]);
      expect(taps.conv1?.shape).toEqual([2, 32, 28, 28]);
      expect(Object.keys(taps)).toEqual(["pool2", "conv1"]);
    }),
  );

  it("names the linear layer after the maps, and returns the weights between them and the logits", () => {
    const gap = use(createModel("simple-cnn", { head: "gap" })) as SimpleCNN;
    expect(gap.closedFormHead()).toEqual({ layer: "fc", weight: gap.fc?.weight });
    const mlp = use(createModel("simple-cnn")) as SimpleCNN;
    expect(mlp.closedFormHead()).toEqual({ layer: "fc1", weight: mlp.fc1?.weight, readout: mlp.fc2?.weight });
  });

  it("states which images it accepts", () =>
    tidy(() => {
      const mlp = use(createModel("simple-cnn"));
      expect(() => mlp.forward(zeros([2, 1, 32, 32]))).toThrow(/made for images of 28x28, got 32x32; set imageSize/);
      expect(() => mlp.forward(zeros([2, 3, 28, 28]))).toThrow(/x must be \[N, 1, H, W\], got \[2, 3, 28, 28\]/);
      expect(() => mlp.forward(zeros([28, 28]))).toThrow(/SimpleCNN: x must be \[N, C, H, W\], got \[28, 28\]/);
      const gap = use(createModel("simple-cnn", { head: "gap" }));
      expect(gap.forward(zeros([1, 1, 40, 12])).shape).toEqual([1, 10]);
      expect(() => gap.forward(zeros([1, 1, 3, 28]))).toThrow(/images of 3x28 are too small; it needs at least 4x4/);
      expect(use(createModel("simple-cnn", { imageSize: 32 })).forward(zeros([0, 1, 32, 32])).shape).toEqual([0, 10]);
    }));

  it.each(["mlp", "gap"] as const)(
    "drops features before the last layer of %s only in training, and then has no closed form",
    (head) => {
      tidy(() => {
        manualSeed(5);
        const plain = use(createModel("simple-cnn", { head }));
        manualSeed(5);
        const dropping = use(createModel("simple-cnn", { head, dropout: 0.5 }));
        expect([...dropping.stateDict().keys()]).toEqual([...plain.stateDict().keys()]);
        const x = randn([4, 1, 28, 28]);
        expect(dropping.eval().forward(x)).toBeAllclose(plain.eval().forward(x), { rtol: 0, atol: 0 });
        const [one, two] = [dropping.train().forward(x), dropping.forward(x)];
        expect(one.sub(two).abs().max().item()).toBeGreaterThan(1e-4);
        expect([plain.closedFormHead(), dropping.closedFormHead()]).toEqual([expect.anything(), null]);
      });
    },
  );
});

const norm = (name: string, channels: number): string[] => [
  ...["weight", "bias", "running_mean", "running_var"].map((key) => `${name}.${key} ${channels}`),
  `${name}.num_batches_tracked `,
];

describe("createModel", () => {
  it("suggests the most similar model", () => {
    const thrown = caught(() => createModel("simplecn"));
    expect(thrown).toMatchObject({
      code: "E_CONFIG",
      message: expect.stringMatching(/unknown model "simplecn" \(did you mean "simple-cnn"\?\)/),
    });
    expect(() => createModel("constructor")).toThrow(/unknown model "constructor"; known: /);
  });

  it.each([
    [{ imageSize: 3 }, /images of 3x3 are too small; it needs at least 4x4/],
    [{ imageSize: 28.5 }, /imageSize must be an integer >= 1, got 28.5/],
    [{ numClasses: 0 }, /numClasses must be an integer >= 1, got 0/],
    [{ inChannels: Number.NaN }, /inChannels must be an integer >= 1/],
    [{ head: "gpa" }, /head must be "mlp" or "gap", got "gpa"/],
    [{ norm: "layer" }, /norm must be "none" or "batch", got "layer"/],
    [{ numClases: 10 }, /unknown option "numClases" \(did you mean "numClasses"\?\)/],
  ])("refuses %j", (options, message) => {
    const thrown = caught(() => createModel("simple-cnn", options as object));
    expect(thrown).toMatchObject({ code: "E_CONFIG", message: expect.stringMatching(message) });
  });
});

function caught(fn: () => unknown): unknown {
  try {
    fn();
  } catch (error) {
    return error;
  }
  return expect.unreachable("nothing was thrown");
}

describe("forwardWith", () => {
  it("returns the tensors that the next layer reads, in the graph of the logits", () =>
    tidy(() => {
      const model = use(createModel("simple-cnn", { head: "gap" }));
      const x = randn([2, 1, 28, 28]);
      const { logits, taps } = model.forwardWith(x, { taps: ["pool2"] });
      expect(logits).toBeAllclose(model.forward(x), { rtol: 0, atol: 0 });
      const pooled = (taps.pool2 as Tensor).mean([2, 3]);
      const fc = (model as SimpleCNN).fc as Linear;
      expect(logits).toBeAllclose(pooled.matmul(fc.weight.t()).add(fc.bias as Tensor), { rtol: 1e-5, atol: 1e-6 });
    }));

  it("returns only the logits without taps, and each path once", () =>
    tidy(() => {
      const model = use(createModel("simple-cnn"));
      expect(model.forwardWith(zeros([1, 1, 28, 28]), { taps: [] }).taps).toEqual({});
      expect(Object.keys(model.forwardWith(zeros([1, 1, 28, 28]), { taps: ["fc2", "fc2"] }).taps)).toEqual(["fc2"]);
    }));

  it("returns a map with a gradient even if every layer is frozen, unless recording is off", () =>
    tidy(() => {
      const model = use(createModel("simple-cnn")).requiresGrad_(false);
      const x = zeros([1, 1, 28, 28]);
      expect(model.forwardWith(x, { taps: ["pool2"] }).taps.pool2?.requiresGrad).toBe(true);
      expect(noGrad(() => model.forwardWith(x, { taps: ["pool2"] })).taps.pool2?.requiresGrad).toBe(false);
      expect(model.forward(x).requiresGrad).toBe(false);
    }));

  it.each([["pool3"], ["conv1.weight"], [""], ["__proto__"]])(
    "refuses the path %j and lists the most similar ones",
    (path) => {
      const model = use(createModel("simple-cnn"));
      const thrown = caught(() => model.forwardWith(zeros([1, 1, 28, 28]), { taps: [path] }));
      expect(thrown).toMatchObject({
        code: "E_CONFIG",
        message: expect.stringMatching(/no layer ".*"; the nearest are \w+, \w+, \w+/),
      });
    },
  );

  it("suggests pool1 and pool2 for pool3", () => {
    expect(() => use(createModel("simple-cnn")).forwardWith(zeros([1, 1, 28, 28]), { taps: ["pool3"] })).toThrow(
      /the nearest are pool1, pool2/,
    );
  });

  it("reports that a module did not run", () => {
    class Lazy extends SimpleCNN {
      override forward(x: Tensor): Tensor {
        return this.fc2?.forward(x.flatten(1).narrow(1, 0, 128)) as Tensor;
      }
    }
    const model = use(new Lazy());
    tidy(() =>
      expect(() => model.forwardWith(zeros([1, 1, 28, 28]), { taps: ["fc2"] })).toThrow(
        /did not run fc2 .* run\(x\), not forward\(x\)/,
      ),
    );
  });

  it("leaves no live tensor, even if the forward pass fails", () => {
    const model = use(createModel("simple-cnn"));
    const before = memory().liveTensors;
    for (let i = 0; i < 3; i++) {
      tidy(() => {
        model.forwardWith(zeros([1, 1, 28, 28]), { taps: ["pool2"] });
      });
      expect(() => tidy(() => model.forwardWith(zeros([1, 1, 8, 8]), { taps: ["pool2"] }))).toThrow(/made for images/);
    }
    expect(memory().liveTensors).toBe(before);
  });
});

describe("mapSize", () => {
  it("is the size of the layer's output", () => {
    const model = use(createModel("simple-cnn", { head: "gap" }));
    expect(mapSize(model, [1, 28, 28])).toEqual([7, 7]);
    expect(mapSize(model, [1, 33, 20], "conv3")).toEqual([16, 10]);
    expect(mapSize(model.to("float64"), [1, 28, 28])).toEqual([7, 7]);
  });

  it("changes neither modes nor running statistics, and leaves no live tensor", () => {
    const model = use(createModel("simple-cnn", { norm: "batch" })) as SimpleCNN;
    model.bn1?.eval();
    const before = memory().liveTensors;
    mapSize(model, [1, 28, 28]);
    expect([model.training, model.bn1?.training, model.bn2?.training]).toEqual([true, false, true]);
    expect(model.bn2?.num_batches_tracked.item()).toBe(0);
    expect(memory().liveTensors).toBe(before);
  });

  it("refuses a layer whose output is not a map", () => {
    const model = use(createModel("simple-cnn"));
    expect(() => mapSize(model, [1, 28, 28], "fc1")).toThrow(/fc1 gives \[1, 128\], which is not a map/);
    expect(() => mapSize(model, [3, 28, 28])).toThrow(/x must be \[N, 1, H, W\]/);
  });
});

describe("defaultCamLayer", () => {
  it("is the last stage whose map has 7 cells on its smaller side", () => {
    const model = use(createModel("simple-cnn", { head: "gap" }));
    expect(model.camLayers).toEqual(["act1", "pool1", "pool2"]);
    expect(model.camLayers.map((layer) => mapSize(model, [1, 28, 28], layer)[0])).toEqual([28, 14, 7]);
    expect(defaultCamLayer(model, [1, 28, 28])).toBe("pool2");
    expect(defaultCamLayer(model, [1, 27, 28])).toBe("pool1");
    expect(defaultCamLayer(model, [1, 224, 13])).toBe("act1");
  });

  it("is the last of those with the largest map if none has 7 cells", () => {
    const model = use(createModel("simple-cnn", { head: "gap" }));
    expect(defaultCamLayer(model, [1, 6, 6])).toBe("act1");
    const resnet = use(createModel("resnet18", { width: 2 }));
    expect(defaultCamLayer(resnet, [3, 16, 16])).toBe("layer1"); // sides 4, 2, 1, 1
    expect(defaultCamLayer(resnet, [3, 8, 8])).toBe("layer1"); // sides 2, 1, 1, 1
    expect(defaultCamLayer(resnet, [3, 4, 4])).toBe("layer4"); // sides 1, 1, 1, 1
  });

  it("is the only layer of a model with one stage", () => {
    const model = use(smallCnnOf(fixture("model_small_cnn_gap")));
    expect(model.camLayers).toEqual(["act3"]);
    expect(defaultCamLayer(model, [1, 28, 28])).toBe("act3");
  });

  it("refuses images that the model cannot take, without changing the model", () => {
    const model = use(createModel("resnet18", { width: 2 })).train();
    const before = memory().liveTensors;
    expect(() => defaultCamLayer(model, [1, 28, 28])).toThrow(/ResNet: x must be \[N, 3, H, W\]/);
    expect(defaultCamLayer(model, [3, 28, 28])).toBe("layer1");
    expect(memory().liveTensors).toBe(before);
    expect(model.training).toBe(true);
    expect([...model.namedBuffers().values()].every((value) => value.ndim > 0 || value.item() === 0)).toBe(true);
  });
});

describe("a model's state", () => {
  it("can be loaded into a model with the same options, but not with others", () => {
    const [from, to] = [
      use(createModel("simple-cnn", { head: "gap" })),
      use(createModel("simple-cnn", { head: "gap" })),
    ];
    to.loadStateDict(from.stateDict());
    tidy(() => {
      const x = randn([2, 1, 28, 28]);
      expect(to.forward(x)).toBeAllclose(from.forward(x), { rtol: 0, atol: 0 });
    });
    expect(() => to.loadStateDict(use(createModel("simple-cnn")).stateDict())).toThrow(
      /2 missing \(fc.weight, fc.bias\); 4 unexpected \(fc1.weight/,
    );
    expect(() => to.loadStateDict(use(createModel("simple-cnn", { head: "gap", numClasses: 3 })).stateDict())).toThrow(
      /fc.weight is \[10, 128\] here and \[3, 128\] in the state/,
    );
  });

  it("is freed by dispose", () => {
    const before = memory().liveTensors;
    createModel("simple-cnn", { norm: "batch" }).dispose();
    expect(memory().liveTensors).toBe(before);
  });

  it("is loaded as far as it fits if strict is false", () => {
    const model = use(createModel("simple-cnn", { head: "gap", numClasses: 2 }));
    tidy(() => model.loadStateDict(new Map([["fc.bias", tensor([3, -3])]]), { strict: false }));
    expect((model as SimpleCNN).fc?.bias as Tensor).toBeAllclose([3, -3]);
  });
});
