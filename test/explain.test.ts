import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import {
  activationMaps,
  batchCam,
  CONVENTIONS,
  type ExplainOptions,
  explain,
  METHODS,
  type MethodName,
  methodOf,
  normalizeMaps,
} from "../src/cam/index.ts";
import { BatchCamError, type ErrorCode } from "../src/errors.ts";
import { createModel, type Model } from "../src/models/index.ts";
import { BatchNorm2d, Conv2d, Linear, Module, ReLU, recordOutputs, Sequential } from "../src/nn/index.ts";
import {
  autocast,
  enableGrad,
  getRngState,
  grad,
  interpolate,
  manualSeed,
  memory,
  noGrad,
  ones,
  randn,
  type Tensor,
  tensor,
  tidy,
  zeros,
} from "../src/tensor/index.ts";

const LAYER_METHODS = METHODS.slice(0, METHODS.indexOf("AblationCAM"));
const DIFFERENTIABLE = METHODS.filter((name) => name !== "AblationCAM" && name !== "ScoreCAM");
const RAW = { upsample: false, normalize: false } as const;

/**
 * A network of two blocks of convolution, norm and ReLU, with a shortcut around the second. Every path to the logits goes through the
 * first map, but not through the one inside the shortcut.
 */
class Shortcut extends Module {
  readonly conv1 = new Conv2d(2, 5, 3, { stride: 2, padding: 1 });
  readonly act1 = new ReLU();
  readonly conv2 = new Conv2d(5, 5, 3, { padding: 1 });
  readonly norm = new BatchNorm2d(5);
  readonly act2 = new ReLU();
  readonly fc = new Linear(5, 4);

  override forward(x: Tensor): Tensor {
    const first = this.act1.run(this.conv1.run(x));
    const second = this.act2.run(this.norm.run(this.conv2.run(first)).add(first));
    return this.fc.run(second.mean([2, 3]).tanh());
  }
}

let model: Shortcut;
let images: Tensor;
beforeAll(() => {
  manualSeed(11);
  model = new Shortcut();
  images = randn([3, 2, 8, 10]);
});

const shown = (method: MethodName, options: ExplainOptions = {}) =>
  explain(model, images, { method, layer: "act2", ...options });

describe("explain", () => {
  it.each(METHODS)("%s gives a map in [0, 1] of each image's size", (method) =>
    tidy(() => {
      const { maps, logits, targets } = shown(method);
      expect(maps.shape).toEqual([3, 8, 10]);
      expect(maps.isfinite().all().item()).toBe(1);
      expect(maps.min().item()).toBeGreaterThanOrEqual(0);
      expect(maps.max().item()).toBeLessThanOrEqual(1);
      model.eval();
      expect(logits).toBeAllclose(model.forward(images));
      model.train();
      expect(targets?.equal(logits.argmax(1))).toBe(true);
      expect(maps.requiresGrad || logits.requiresGrad).toBe(false);
    }),
  );

  it("gives for several methods the maps of each alone, with one forward pass for those that need no other", () =>
    tidy(() => {
      const passes = { count: 0 };
      const counted = new (class extends Module {
        readonly inner = model;
        override forward(x: Tensor): Tensor {
          passes.count++;
          return this.inner.run(x);
        }
      })();
      const { maps } = explain(counted, images, { method: [...LAYER_METHODS], layer: "inner.act2" });
      expect(passes.count).toBe(1);
      expect(Object.keys(maps)).toEqual([...LAYER_METHODS]);
      for (const method of LAYER_METHODS) expect(maps[method].equal(shown(method).maps)).toBe(true);
    }));

  it.each(METHODS)("%s explains each image as if it were alone", (method) =>
    tidy(() => {
      const targets = [3, 0, 2];
      const options = { targets, normalize: false, noise: 0 };
      const { maps } = shown(method, options);
      for (const [b, target] of targets.entries()) {
        const alone = explain(model, images.narrow(0, b, 1), { method, layer: "act2", ...options, targets: [target] });
        const scale = alone.maps.abs().max().item() + 1e-12;
        expect(maps.select(0, b).div(scale)).toBeAllclose(alone.maps.select(0, 0).div(scale), { rtol: 0, atol: 2e-5 });
      }
    }),
  );

  it("GradCAM is batchCam at the image's size, and cheaper methods share its gradients", () =>
    tidy(() => {
      model.eval();
      const { logits, outputs } = forwardWith(model, images, "act2");
      const expected = batchCam(logits, outputs, [1, 2, 3], { upsample: [8, 10], normalize: true });
      model.train();
      const { maps } = shown("GradCAM", { targets: [1, 2, 3], normalize: { eps: 1e-8 } });
      expect(maps).toBeAllclose(expected, { rtol: 0, atol: 1e-6 });
    }));

  it("fuses several layers as the scaled mean of their scaled maps", () =>
    tidy(() => {
      const size = [8, 10] as const;
      const each = ["act1", "act2"].map((layer) =>
        interpolate(normalizeMaps(shown("LayerCAM", { layer, ...RAW }).maps), { size }),
      );
      const [first, second] = each as [Tensor, Tensor];
      const expected = normalizeMaps(first.add(second).div(2));
      const { maps, layers } = explain(model, images, { method: "LayerCAM", layers: ["act1", "act2"] });
      expect(maps).toBeAllclose(expected, { rtol: 0, atol: 1e-6 });
      expect(layers).toEqual(["act1", "act2"]);
    }));

  it("takes a layer by path, as a module, from camLayer, or finds the last one that gives maps", () =>
    tidy(() => {
      const expected = shown("GradCAM").maps;
      for (const options of [{ layer: model.act2 }, {}]) {
        const { maps, layers } = explain(model, images, options);
        expect(layers).toEqual(["act2"]);
        expect(maps.equal(expected)).toBe(true);
      }
      const cnn = createModel("simple-cnn");
      expect(explain(cnn, randn([2, 1, 28, 28])).layers).toEqual(["pool2"]);
    }));

  it("reads other layouts through reshapeTransform, including gradients", () =>
    tidy(() => {
      const tokens = new Sequential(
        new Conv2d(2, 6, 2, { stride: 2 }),
        new ToTokens(),
        new Linear(6, 6),
        new FromTokens(),
      );
      const x = randn([2, 2, 8, 8]);
      const reshapeTransform = (t: Tensor) => t.transpose(1, 2).reshape([2, 6, 4, 4]);
      const { maps } = explain(tokens, x, { method: "HiResCAM", layer: "2", reshapeTransform, ...RAW, relu: false });
      const { logits, outputs } = forwardWith(tokens, x, "2");
      const score = logits.amax([1]).sum();
      const [gradient] = grad(score, outputs) as [Tensor];
      const expected = gradient.mul(outputs).sum([2]).reshape([2, 4, 4]);
      expect(maps).toBeAllclose(expected, { rtol: 1e-5, atol: 1e-6 });
      expect(() => explain(tokens, x, { method: "AblationCAM", layer: "2", reshapeTransform })).toThrow(
        /AblationCAM does not support reshapeTransform/,
      );
    }));

  it("computes the network in 16 bits under autocast and the maps in 32", () =>
    tidy(() => {
      const wide = shown("GradCAM", { targets: 1 }).maps;
      const { maps, logits } = autocast({}, () => shown("GradCAM", { targets: 1 }));
      expect([maps.dtype, logits.dtype]).toEqual(["float32", "float32"]);
      expect(maps.sub(wide).abs().mean().item()).toBeLessThan(0.05);
    }));

  it("takes a batch of one, maps of one pixel, and float64", () =>
    tidy(() => {
      expect(explain(model, randn([1, 2, 3, 3]), { layer: "act2" }).maps.shape).toEqual([1, 3, 3]);
      expect(
        explain(model, randn([2, 2, 2, 2]), { layer: "act2" })
          .maps.abs()
          .max()
          .item(),
      ).toBe(0);
      const wide = new Shortcut().to("float64");
      expect(explain(wide, randn([1, 2, 8, 8], { dtype: "float64" }), { layer: "act2" }).maps.dtype).toBe("float64");
    }));
});

class ToTokens extends Module {
  override forward(x: Tensor): Tensor {
    return x.flatten(2).transpose(1, 2);
  }
}
class FromTokens extends Module {
  override forward(x: Tensor): Tensor {
    return x.mean([1]).tanh();
  }
}

function forwardWith(root: Module, x: Tensor, layer: string): { logits: Tensor; outputs: Tensor } {
  const module = root.moduleAt(layer);
  const { result, outputs } = recordOutputs(new Set([module]), () => root.forward(x));
  return { logits: result, outputs: outputs.get(module) as Tensor };
}

describe("targets", () => {
  const maps = (targets: NonNullable<ExplainOptions["targets"]>) => shown("HiResCAM", { targets }).maps;

  it("are the prediction by default, the k-th class, one class for all, a class for each or a function", () =>
    tidy(() => {
      const { logits, maps: predicted } = shown("HiResCAM");
      const order = logits.sort(1, { descending: true }).indices;
      expect(maps("prediction").equal(predicted)).toBe(true);
      expect(maps({ kth: 1 }).equal(predicted)).toBe(true);
      expect(maps({ kth: 3 }).equal(maps(order.select(1, 2).contiguous()))).toBe(true);
      expect(maps(2).equal(maps([2, 2, 2]))).toBe(true);
      expect(maps((scores) => scores.select(1, 2)).equal(maps(2))).toBe(true);
      expect(maps(tensor([2, 2, 2], { dtype: "int32" })).equal(maps(2))).toBe(true);
    }));

  it.each(["GradCAM", "AblationCAM", "Saliency"] as const)("all give the maps of every class with %s", (method) =>
    tidy(() => {
      const { maps: all, targets } = shown(method, { targets: "all" });
      expect(all.shape).toEqual([3, 4, 8, 10]);
      expect(targets).toBeNull();
      for (let label = 0; label < 4; label++)
        expect(all.select(1, label)).toBeAllclose(shown(method, { targets: label }).maps, { rtol: 0, atol: 1e-6 });
    }),
  );

  it("of augSmooth's variants are those of the image itself", () =>
    tidy(() => {
      const { targets } = shown("GradCAM");
      const chosen = Array.from(targets?.data() as BigInt64Array, Number);
      const given = shown("GradCAM", { augSmooth: true, targets: chosen });
      expect(shown("GradCAM", { augSmooth: true }).maps.equal(given.maps)).toBe(true);
    }));
});

describe("gradient-free methods", () => {
  it.each(["AblationCAM", "ScoreCAM"] as const)("%s gives the same maps in chunks of any size", (method) =>
    tidy(() => {
      const whole = shown(method, { chunkSize: 100, normalize: false }).maps;
      for (const options of [{ chunkSize: 1 }, { chunkSize: 4 }, { memoryLimit: 1 }])
        expect(shown(method, { ...options, normalize: false }).maps).toBeAllclose(whole, { rtol: 1e-4, atol: 1e-6 });
    }),
  );

  it.each(["act2", "act1", "norm", "conv2"])(
    "AblationCAM at %s is its definition, whether or not other paths lead around the layer",
    (layer) =>
      tidy(() => {
        const { maps, logits } = shown("AblationCAM", { layer, targets: 1, ...RAW, relu: false });
        const module = model.moduleAt(layer);
        model.eval();
        const { outputs } = recordOutputs(new Set([module]), () => noGrad(() => model.forward(images)));
        const activations = outputs.get(module) as Tensor;
        const score = logits.select(1, 1);
        let expected = zeros(maps.shape);
        for (let k = 0; k < 5; k++) {
          const kept = ones([1, 5, 1, 1]);
          kept.narrow(1, k, 1).zero_();
          const ablated = ablatedLogits(layer, activations.mul(kept)).select(1, 1);
          const weight = score.sub(ablated).div(score.abs()).view([3, 1, 1]);
          expected = expected.add(activations.select(1, k).mul(weight));
        }
        model.train();
        expect(maps).toBeAllclose(expected, { rtol: 1e-3, atol: 1e-5 });
      }),
  );

  it.each([
    [
      "a path without a gradient",
      (first: Tensor, x: Tensor) => first.mean([2, 3]).mul(x.gt(0.5).to("float32").mean([1, 2, 3]).view([-1, 1])),
    ],
    [
      "code that depends on the batch size",
      (first: Tensor, x: Tensor) => first.mean([2, 3]).view([x.sizes[0] as number, 5]),
    ],
    [
      "the model's own noGrad",
      (first: Tensor, x: Tensor) => noGrad(() => first.mean([2, 3]).add(x.mean([1, 2, 3]).view([-1, 1]))),
    ],
    [
      "a path that has an effect only without channels",
      (first: Tensor, x: Tensor) =>
        first
          .mean([2, 3])
          .add(4)
          .maximum(x.mean([1, 2, 3]).view([-1, 1]))
          .mul(2),
    ],
  ])("AblationCAM is its definition despite %s", (_, head) =>
    tidy(() => {
      const odd = new (class extends Module {
        readonly conv = new Conv2d(2, 5, 3, { stride: 2 });
        readonly fc = new Linear(5, 4);
        override forward(x: Tensor): Tensor {
          return this.fc.run(head(this.conv.run(x), x));
        }
      })();
      const raw = explain(odd, images, { method: "AblationCAM", layer: "conv", targets: 1, ...RAW, relu: false });
      const activations = noGrad(() => odd.conv.forward(images));
      const score = (maps: Tensor) => noGrad(() => odd.fc.forward(head(maps, images)).select(1, 1));
      let expected = zeros(raw.maps.shape);
      for (let k = 0; k < 5; k++) {
        const kept = ones([1, 5, 1, 1]);
        kept.narrow(1, k, 1).zero_();
        const weight = score(activations)
          .sub(score(activations.mul(kept)))
          .div(score(activations).abs());
        expected = expected.add(activations.select(1, k).mul(weight.view([-1, 1, 1])));
      }
      expect(raw.maps).toBeAllclose(expected, { rtol: 1e-3, atol: 1e-5 });
    }),
  );

  it("AblationCAM replaces a layer's last call if it is called at several sizes", () =>
    tidy(() => {
      const shared = new (class extends Module {
        readonly conv1 = new Conv2d(2, 4, 3);
        readonly conv2 = new Conv2d(4, 6, 3);
        readonly act = new ReLU();
        readonly fc = new Linear(6, 4);
        override forward(x: Tensor): Tensor {
          return this.fc.run(this.act.run(this.conv2.run(this.act.run(this.conv1.run(x)))).mean([2, 3]));
        }
      })();
      const { maps } = explain(shared, images, {
        method: "AblationCAM",
        layer: "act",
        targets: 1,
        ...RAW,
        relu: false,
      });
      const { logits, outputs } = noGrad(() => forwardWith(shared, images, "act"));
      // Everything after the layer is linear, so without a channel the score lacks exactly that channel's contribution.
      const share = outputs.mean([2, 3]).mul(shared.fc.weight.detach().select(0, 1));
      const weights = share.div(logits.select(1, 1).abs().unsqueeze(1)).view([3, 6, 1, 1]);
      expect(maps).toBeAllclose(outputs.mul(weights).sum([1]), { rtol: 1e-3, atol: 1e-5 });
    }));

  it("FullGrad finds the channel dimension of ConvNeXt's layers, even if maps are as high as there are channels", () =>
    tidy(() => {
      const convnext = createModel("convnextv2_atto", {
        inChannels: 1,
        dims: [8, 8, 8, 8],
        depths: [1, 1, 1, 1],
        stemStride: 2,
        numClasses: 3,
      });
      for (const parameter of convnext.parameters()) noGrad(() => parameter.add_(randn(parameter.shape).mul(0.1)));
      convnext.eval();
      const x = randn([2, 1, 16, 16]);
      const biased = [...convnext.namedModules()].filter(([, module]) => (module as { bias?: Tensor }).bias);
      const leaf = x.clone().requiresGrad_();
      const { result, outputs } = recordOutputs(new Set(biased.map(([, module]) => module)), () =>
        convnext.forward(leaf),
      );
      const scaled = (terms: Tensor) => {
        const shifted = terms.abs().sub(terms.abs().amin([2, 3], { keepDims: true }));
        const sum = shifted.div(shifted.amax([2, 3], { keepDims: true }).add(1e-7)).sum([1]);
        return interpolate(sum, { size: [16, 16] });
      };
      const score = result.select(1, 0).sum();
      let expected = scaled((grad(score, leaf, { retainGraph: true })[0] as Tensor).mul(x));
      for (const [path, module] of biased) {
        const output = outputs.get(module) as Tensor;
        if (output.ndim !== 4) continue;
        const [gradient] = grad(score, output, { retainGraph: true }) as [Tensor];
        const last = /\.(?:norm|fc1|fc2|grn)$/.test(path) && !path.startsWith("head");
        const maps = last ? gradient.permute([0, 3, 1, 2]) : gradient;
        expected = expected.add(
          scaled(maps.mul((module as unknown as { bias: Tensor }).bias.detach().view([1, -1, 1, 1]))),
        );
      }
      const { maps } = explain(convnext, x, { method: "FullGrad", targets: 0, normalize: false });
      expect(maps).toBeAllclose(expected, { rtol: 1e-3, atol: 1e-3 });
    }));

  it("explains a layer of a backbone that the model itself runs within noGrad", () =>
    tidy(() => {
      const frozen = new (class extends Module {
        readonly backbone = new Sequential(new Conv2d(2, 5, 3), new ReLU());
        readonly fc = new Linear(5, 4);
        override forward(x: Tensor): Tensor {
          return this.fc.run(noGrad(() => this.backbone.run(x)).mean([2, 3]));
        }
      })();
      const { maps } = explain(frozen, images, { layer: "backbone.1", targets: 1, ...RAW, relu: false });
      const activations = noGrad(() => frozen.backbone.forward(images));
      const alpha = frozen.fc.weight
        .select(0, 1)
        .view([1, 5, 1, 1])
        .div(6 * 8);
      expect(maps).toBeAllclose(activations.mul(alpha).sum([1]), { rtol: 1e-4, atol: 1e-6 });
    }));

  it("gives NaN maps only to the image that contains NaN, also for projections", () =>
    tidy(() => {
      const poisoned = images.clone();
      poisoned.select(0, 1).fill_(Number.NaN);
      const { maps } = explain(model, poisoned, { method: ["EigenCAM", "EigenGradCAM"], layer: "act2", targets: 1 });
      for (const map of Object.values(maps)) {
        const finite = map.isfinite().to("float32").mean([1, 2]).data();
        expect([finite[0], finite[2]]).toEqual([1, 1]);
      }
    }));

  /** Computes the logits from the output of a layer. */
  function ablatedLogits(layer: string, output: Tensor): Tensor {
    return noGrad(() => {
      const first = layer === "act1" ? output : model.act1.forward(model.conv1.forward(images));
      const convolved = layer === "conv2" ? output : model.conv2.forward(first);
      const normed = layer === "norm" ? output : model.norm.forward(convolved);
      const second = layer === "act2" ? output : normed.add(first).relu();
      return model.fc.forward(second.mean([2, 3]).tanh());
    });
  }
});

describe("noise", () => {
  it.each(["SmoothGrad", "SmoothGradCAM++"] as const)("of %s depends only on the seed", (method) =>
    tidy(() => {
      const first = shown(method, { seed: 3 }).maps;
      expect(shown(method, { seed: 3 }).maps.equal(first)).toBe(true);
      expect(shown(method, { seed: 4 }).maps.equal(first)).toBe(false);
    }),
  );
});

describe("IntegratedGradients", () => {
  it("sums to the difference of the score from the baseline's", () =>
    tidy(() => {
      const baseline = randn([1, 2, 8, 10]);
      const options = { normalize: false, relu: false, targets: 1, steps: 200, baseline } as const;
      const { maps, logits } = shown("IntegratedGradients", options);
      const start = shown("GradCAM")
        .logits.select(1, 1)
        .mul(0)
        .add(explain(model, baseline, { layer: "act2" }).logits.select(1, 1));
      expect(maps.sum([1, 2])).toBeAllclose(logits.select(1, 1).sub(start), { rtol: 0.02, atol: 5e-3 });
    }));
});

/** The state that an explanation must not change. */
function stateOf(subject: Module) {
  const bytes = (t: Tensor) => Buffer.from(t.data().buffer).toString("base64");
  return tidy(() => ({
    weights: Array.from(subject.stateDict(), ([name, t]) => `${name} ${bytes(t)}`),
    gradients: subject.parameters().map((p) => (p.grad === null ? null : bytes(p.grad))),
    frozen: subject.parameters().map((p) => p.requiresGrad),
    modes: Array.from(subject.namedModules().values(), ({ training }) => training),
    generator: bytes(getRngState()),
  }));
}

describe("side effects", () => {
  it.each(METHODS)(
    "%s does not change weights, gradients, modes, statistics and generator, bit for bit, even in training mode",
    (method) =>
      tidy(() => {
        const subject = new Shortcut();
        subject.norm.eval();
        subject.conv1.weight.requiresGrad = false;
        subject.fc.weight.grad = randn([4, 5]);
        const before = stateOf(subject);
        explain(subject, images, { method, layer: "act2", augSmooth: method === "GradCAM" });
        expect(stateOf(subject)).toEqual(before);
        expect(images.requiresGrad).toBe(false);
      }),
  );

  it.each(METHODS)("%s does not change them if the model throws midway", (method) =>
    tidy(() => {
      const subject = new Failing();
      for (let pass = 1; pass <= 3; pass++) {
        subject.failAt = pass;
        subject.passes = 0;
        const before = stateOf(subject);
        let thrown = false;
        try {
          explain(subject, images, { method, layer: "inner.act2" });
        } catch (error) {
          thrown = true;
          expect(String(error)).toMatch(/out of order/);
        }
        // AblationCAM first tries one image for all channels. If the model cannot handle that, it uses each sample separately.
        expect(thrown || subject.passes < pass || (method === "AblationCAM" && subject.passes > pass)).toBe(true);
        expect(stateOf(subject)).toEqual(before);
        expect(grad(model.forward(images).sum(), model.fc.weight)).toHaveLength(1);
      }
    }),
  );

  class Failing extends Module {
    readonly inner = new Shortcut();
    failAt = 1;
    passes = 0;
    override forward(x: Tensor): Tensor {
      const logits = this.inner.run(x);
      if (++this.passes === this.failAt) throw new Error("out of order");
      return logits;
    }
  }

  it("frees all tensors except its result", () => {
    const run = () => tidy(() => void explain(model, images, { method: [...METHODS], layer: "act2", targets: 1 }));
    run();
    const { liveTensors, bytes } = memory();
    for (let i = 0; i < 5; i++) run();
    expect(memory()).toMatchObject({ liveTensors, bytes });
    const { maps, logits, targets } = shown("GradCAM");
    expect(memory().liveTensors).toBe(liveTensors + 3);
    for (const made of [maps, logits, targets]) made?.dispose();
  });
});

describe("createGraph", () => {
  const weighted = (maps: Tensor) => {
    const weights = Float64Array.from({ length: maps.numel }, (_, i) => Math.sin(i));
    return maps.mul(tensor(weights, { shape: maps.shape, dtype: "float64" })).sum();
  };

  it.each(DIFFERENTIABLE)("%s has the gradient of finite differences, through gradients too", (method) =>
    tidy(() => {
      manualSeed(5);
      const smooth = new Smooth().to("float64").eval();
      const x = randn([2, 1, 6, 6], { dtype: "float64" });
      const options = {
        layer: "act",
        createGraph: true,
        targets: [0, 1],
        samples: 2,
        steps: 4,
        ...RAW,
        relu: false,
      } as const;
      const loss = () => weighted(explain(smooth, x, { method, ...options }).maps);
      const { weight } = method === "GuidedBackprop" ? smooth.fc : smooth.conv;
      const [gradient] = grad(loss(), weight) as [Tensor];
      const direction = randn(weight.shape, { dtype: "float64" });
      const step = 1e-6;
      const moved = (by: number) => {
        noGrad(() => weight.add_(direction.mul(by)));
        const value = loss().item();
        noGrad(() => weight.sub_(direction.mul(by)));
        return value;
      };
      const expected = (moved(step) - moved(-step)) / (2 * step);
      const got = gradient.mul(direction).sum().item();
      expect(Math.abs(got - expected)).toBeLessThan(2e-4 * Math.max(1, Math.abs(expected)));
    }),
  );

  /**
   * A smooth network with one ReLU whose input is far from 0, so that finite differences are accurate and guided backpropagation has a
   * ReLU.
   */
  class Smooth extends Module {
    readonly conv = new Conv2d(1, 4, 3);
    readonly act = new Tanh();
    readonly relu = new ReLU();
    readonly fc = new Linear(4, 2);
    override forward(x: Tensor): Tensor {
      const maps = this.act.run(this.conv.run(x));
      return this.fc.run(this.relu.run(maps.mean([2, 3]).add(2)).square());
    }
  }
  class Tanh extends Module {
    override forward(x: Tensor): Tensor {
      return x.tanh();
    }
  }

  it.each(["AblationCAM", "ScoreCAM"] as const)("is refused with %s", (method) => {
    expect(() => shown(method, { createGraph: true })).toThrow(
      /does not support createGraph: its weights come from forward passes/,
    );
  });

  it("reaches the parameters from within noGrad", () =>
    tidy(() => {
      const { maps } = noGrad(() => shown("LayerCAM", { createGraph: true }));
      expect(
        grad(
          enableGrad(() => maps.sum()),
          model.conv1.weight,
        ),
      ).toHaveLength(1);
    }));
});

describe("activationMaps", () => {
  it.each(LAYER_METHODS)("%s gives the maps of `explain` from the caller's forward pass, with their graph", (method) =>
    tidy(() => {
      model.eval();
      const { logits, outputs } = forwardWith(model, images, "act2");
      const maps = activationMaps(logits, outputs, [0, 1, 2], { method, upsample: [8, 10], normalize: true });
      model.train();
      expect(maps).toBeAllclose(shown(method, { targets: [0, 1, 2] }).maps, { rtol: 0, atol: 1e-6 });
      expect(grad(maps.sum(), model.conv1.weight, { retainGraph: true })).toHaveLength(1);
      expect(activationMaps(logits, outputs, 1, { method, createGraph: false }).requiresGrad).toBe(false);
    }),
  );

  it("refuses methods that need the model, and names those that do not", () =>
    tidy(() => {
      const { logits, outputs } = forwardWith(model, images, "act2");
      expect(() => activationMaps(logits, outputs, 1, { method: "ScoreCAM" })).toThrow(
        /ScoreCAM needs the model: use explain; possible are GradCAM, .*EigenGradCAM$/,
      );
      expect(() => activationMaps(logits.detach(), outputs, 1)).toThrow(BatchCamError);
    }));
});

describe("conventions", () => {
  it("differ for one layer by at most eps, with torch-cam's at the layer's size", () =>
    tidy(() => {
      const [ours, theirs] = CONVENTIONS.map((convention) => shown("GradCAM", { convention }).maps) as [Tensor, Tensor];
      expect(theirs).toBeAllclose(ours, { rtol: 0, atol: 1e-4 });
      expect(shown("GradCAM", { convention: "torch-cam" }).maps.shape).toEqual([3, 4, 5]);
      expect(shown("GradCAM", { convention: "torch-cam", upsample: true }).maps.shape).toEqual([3, 8, 10]);
      const layers = ["act1", "norm"];
      const { maps } = explain(model, images, { layers, convention: "torch-cam" });
      const each = layers.map((layer) => shown("GradCAM", { layer, convention: "torch-cam" }).maps);
      expect(maps.equal((each[0] as Tensor).maximum(each[1] as Tensor))).toBe(true);
    }));
});

describe("methodOf", () => {
  it("accepts every method in any spelling", () => {
    for (const name of METHODS) {
      expect(methodOf(name.toLowerCase())).toBe(name);
      expect(methodOf(name.replace("++", "PlusPlus"))).toBe(name);
      expect(methodOf(name.replace(/(?<=[a-z])(?=[A-Z])/g, "-"))).toBe(name);
    }
    expect(methodOf("grad-cam++")).toBe("GradCAM++");
    expect(methodOf("gradcampp")).toBe("GradCAM++");
  });

  it("suggests the most similar name for a misspelt one, and never crashes", () => {
    expect(() => methodOf("gradcan")).toThrow(/unknown explanation method "gradcan"; did you mean GradCAM\?/);
    fc.assert(
      fc.property(fc.anything(), (name) => {
        try {
          return METHODS.includes(methodOf(name as string));
        } catch (error) {
          return error instanceof BatchCamError && error.code === "E_CONFIG";
        }
      }),
    );
  });
});

/** Arguments that a JavaScript caller might pass, whatever the types allow. */
// biome-ignore lint/suspicious/noExplicitAny: that is the point.
type Anything = any;

const BAD: [string, Anything, ErrorCode, RegExp][] = [
  ["an unknown method", { method: "gradcm" }, "E_CONFIG", /did you mean GradCAM/],
  ["no method", { method: [] }, "E_ARGUMENT", /at least one method/],
  ["too few targets", { targets: [1, 2] }, "E_SHAPE", /expected 3 labels, one for each sample, got 2/],
  ["a target out of range", { targets: [0, 1, 4] }, "E_ARGUMENT", /label 2 must be 0 to 3, got 4/],
  ["one target out of range", { targets: 4 }, "E_ARGUMENT", /targets must be an integer from 0 to 3, got 4/],
  ["a rank out of range", { targets: { kth: 0 } }, "E_ARGUMENT", /targets.kth must be an integer from 1 to 4/],
  ["targets of a wrong type", { targets: "label" }, "E_ARGUMENT", /targets must be "prediction", "all"/],
  [
    "a function that does not return one score per sample",
    { targets: (l: Tensor) => l.sum() },
    "E_SHAPE",
    /scores \[N=3\], got \[\]/,
  ],
  ["a function that does not return a tensor", { targets: () => 3 }, "E_SHAPE", /scores \[N=3\], got 3/],
  [
    "an unknown layer",
    { layer: "act3" },
    "E_CONFIG",
    /explain: the model has no layer "act3"; the nearest are act1, act2/,
  ],
  ["a module of another model", { layer: new ReLU() }, "E_CONFIG", /a ReLU, is not a part of the model/],
  [
    "a layer without spatial dimensions",
    { layer: "fc" },
    "E_CONFIG",
    /layer fc gives \[3, 4\], which is not a map \[B=3, K, h, w\]/,
  ],
  ["layer and layers", { layers: ["act1"] }, "E_ARGUMENT", /leave one of them out/],
  ["no layers", { layer: undefined, layers: [] }, "E_ARGUMENT", /at least one path or module/],
  [
    "an upsampling to size 0",
    { layer: undefined, layers: ["act2", "conv1"], upsample: [0, 1] },
    "E_ARGUMENT",
    /upsample: expected true, false or \[height, width\]/,
  ],
  [
    "an unknown convention",
    { convention: "captum" },
    "E_ARGUMENT",
    /convention: expected "batch-cam", "pytorch-grad-cam"/,
  ],
  ["no samples", { samples: 0 }, "E_ARGUMENT", /samples must be an integer >= 1/],
  ["a negative noise", { noise: -1 }, "E_ARGUMENT", /noise must be a number >= 0/],
  ["a fractional seed", { seed: 0.5 }, "E_ARGUMENT", /seed must be an integer/],
  ["an augSmooth that is not a boolean", { augSmooth: 1 }, "E_ARGUMENT", /augSmooth must be true or false/],
  [
    "eigenSmooth without a layer",
    { method: "Saliency", eigenSmooth: true },
    "E_ARGUMENT",
    /Saliency does not support eigenSmooth/,
  ],
  [
    "a reshapeTransform that is not a function",
    { reshapeTransform: 3 },
    "E_ARGUMENT",
    /reshapeTransform must be a function/,
  ],
  [
    "a reshapeTransform that returns nothing",
    { reshapeTransform: () => undefined },
    "E_ARGUMENT",
    /the result of reshapeTransform: expected a Tensor/,
  ],
  [
    "a reshapeTransform that changes the batch",
    { reshapeTransform: (t: Tensor) => t.narrow(0, 0, 1) },
    "E_CONFIG",
    /not a map \[B=3/,
  ],
  ["scores that are integers", { targets: (l: Tensor) => l.argmax(1) }, "E_DTYPE", /floating-point scores, got int64/],
  ["an unknown option", { target: 3 }, "E_ARGUMENT", /unknown option target; did you mean targets\?/],
  ["options that are not an object", null, "E_ARGUMENT", /options must be an object/],
];

describe("explain refuses", () => {
  const thrownBy = (fn: () => unknown): BatchCamError => {
    try {
      fn();
    } catch (error) {
      expect(error).toBeInstanceOf(BatchCamError);
      return error as BatchCamError;
    }
    throw new Error("nothing was thrown");
  };

  it.each(BAD)("%s", (_, options, code, message) =>
    tidy(() => {
      const error = thrownBy(() => explain(model, images, options === null ? options : { layer: "act2", ...options }));
      expect(error.message).toMatch(message);
      expect(error.code).toBe(code);
    }),
  );

  it("images of another rank, an empty batch, bytes, and a value that is not a model", () =>
    tidy(() => {
      const cases: [Tensor, ErrorCode][] = [
        [randn([2, 8, 10]), "E_SHAPE"],
        [zeros([0, 2, 8, 10]), "E_SHAPE"],
        [zeros([3, 2, 8, 10], { dtype: "uint8" }), "E_DTYPE"],
      ];
      for (const [x, code] of cases) expect(thrownBy(() => explain(model, x)).code).toBe(code);
      const { message } = thrownBy(() => explain({ forward: () => images } as unknown as Model, images));
      expect(message).toMatch(/model: expected a Module/);
    }));

  it("guided backpropagation of a network without a ReLU", () =>
    tidy(() => {
      const convnext = createModel("convnextv2_atto", {
        inChannels: 1,
        dims: [4, 4, 4, 4],
        depths: [1, 1, 1, 1],
        stemStride: 2,
      });
      const x = randn([1, 1, 28, 28]);
      expect(() => explain(convnext, x, { method: "GuidedBackprop" })).toThrow(/this model has none: use Saliency/);
      expect(explain(convnext, x, { method: ["FullGrad", "ScoreCAM"], layer: "stages.1" }).maps.FullGrad.shape).toEqual(
        [1, 28, 28],
      );
    }));
});
