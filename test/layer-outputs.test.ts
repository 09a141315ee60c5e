import { describe, expect, it } from "vitest";
import { batchCam, type ExplainOptions, explain, METHODS } from "../src/cam/index.ts";
import { Conv2d, Dropout, Identity, Linear, Module } from "../src/nn/index.ts";
import { cat, manualSeed, randn, type Tensor, tidy } from "../src/tensor/index.ts";

const RAW: ExplainOptions = { targets: [0, 2], normalize: false, relu: false, samples: 2, steps: 3, noise: 0 };
const images = randn([2, 2, 6, 6]);

/** A network of a convolution, a layer with a shortcut around it, and a linear layer. */
class Around extends Module {
  readonly conv = new Conv2d(2, 4, 3);
  readonly layer: Module;
  readonly fc = new Linear(8, 3);

  constructor(layer: Module) {
    super();
    this.layer = layer;
  }

  override forward(x: Tensor): Tensor {
    const y = this.conv.run(x);
    return this.fc.run(
      cat([this.layer.run(y), y.mul(y)], 1)
        .relu()
        .mean([2, 3]),
    );
  }
}

class Copy extends Module {
  override forward(x: Tensor): Tensor {
    return x.mul(1);
  }
}

describe("a layer that returns its input", () => {
  const networkOf = (layer: Module) => {
    manualSeed(3);
    return new Around(layer).eval();
  };

  it.each([new Identity(), new Dropout(0.5)])(
    "$constructor.name has one map, that of a layer that copies it",
    (layer) =>
      tidy(() => {
        const [network, copying] = [networkOf(layer), networkOf(new Copy())];
        for (const method of METHODS.filter((name) => !/Guided/.test(name))) {
          const expected = explain(copying, images, { ...RAW, method, layer: "layer" }).maps;
          expect(explain(network, images, { ...RAW, method, layer: "layer" }).maps).toBeAllclose(expected);
          if (method === "AblationCAM" || method === "ScoreCAM") continue;
          const graph = { ...RAW, method, layer: "layer", createGraph: true };
          expect(explain(network, images, graph).maps).toBeAllclose(expected);
        }
        const { logits, taps } = network.forwardWith(images, { taps: ["layer"] });
        const expected = explain(copying, images, { ...RAW, layer: "layer", upsample: false }).maps;
        expect(batchCam(logits, taps.layer, [0, 2], { relu: false })).toBeAllclose(expected);
      }),
  );

  it("may be read under its old name if its output is changed in place afterwards", () =>
    tidy(() => {
      class Written extends Around {
        override forward(x: Tensor): Tensor {
          const y = this.conv.run(x);
          const z = this.layer.run(y);
          z.mul_(2).add_(1);
          return this.fc.run(cat([z, y.mul(y)], 1).mean([2, 3]));
        }
      }
      class Plain extends Around {
        override forward(x: Tensor): Tensor {
          const z = this.layer.run(this.conv.run(x)).mul(2).add(1);
          return this.fc.run(cat([z, z.mul(z)], 1).mean([2, 3]));
        }
      }
      const [network, plain] = [Written, Plain].map((Kind) => {
        manualSeed(3);
        return new Kind(Kind === Written ? new Identity() : new Copy()).to("float64").eval();
      }) as Module[] as [Module, Module];
      const x = images.to("float64");
      for (const method of METHODS.filter((name) => !/Guided/.test(name))) {
        const of = (model: Module) => explain(model, x, { ...RAW, method, layer: "layer" });
        expect(of(network).maps).toBeAllclose(of(plain).maps);
        expect(of(network).logits).toBeAllclose(plain.forward(x));
      }
    }));

  it("may be read under its old name if it has changed it in place", () =>
    tidy(() => {
      class Clamp extends Module {
        override forward(x: Tensor): Tensor {
          return x.clamp_(0);
        }
      }
      class Plain extends Around {
        override forward(x: Tensor): Tensor {
          const y = this.layer.run(this.conv.run(x));
          return this.fc.run(
            cat([y, y.mul(y)], 1)
              .relu()
              .mean([2, 3]),
          );
        }
      }
      class Relu extends Module {
        override forward(x: Tensor): Tensor {
          return x.clamp(0);
        }
      }
      const network = networkOf(new Clamp());
      manualSeed(3);
      const plain = new Plain(new Relu()).eval();
      for (const createGraph of [false, true]) {
        const maps = (model: Module) => explain(model, images, { ...RAW, layer: "layer", createGraph }).maps;
        expect(maps(network)).toBeAllclose(maps(plain));
      }
      const ablated = (model: Module) => explain(model, images, { ...RAW, method: "AblationCAM", layer: "layer" }).maps;
      expect(ablated(network)).toBeAllclose(ablated(plain), { rtol: 1e-4, atol: 1e-6 });
    }));
});

/** A model whose forward returns `output` of its logits, and whose block has two outputs. */
class Several extends Module {
  readonly block = new (class extends Module {
    readonly conv = new Conv2d(2, 4, 3);
    override forward(x: Tensor): Tensor {
      const y = this.conv.run(x).relu();
      return [y, y.mean([2, 3])] as unknown as Tensor;
    }
  })();
  readonly fc = new Linear(4, 3);
  readonly output: (logits: Tensor, pooled: Tensor) => unknown;

  constructor(output: (logits: Tensor, pooled: Tensor) => unknown = (logits) => logits) {
    super();
    this.output = output;
  }

  override forward(x: Tensor): Tensor {
    const [maps, pooled] = this.block.run(x) as unknown as [Tensor, Tensor];
    return this.output(this.fc.run(maps.mean([2, 3])), pooled) as Tensor;
  }
}

describe("several outputs", () => {
  it("of an inner module affect no method", () =>
    tidy(() => {
      const model = new Several();
      for (const method of METHODS)
        expect(explain(model, images, { ...RAW, method, layer: "block.conv" }).maps.shape).toEqual([2, 6, 6]);
      expect(explain(model, images).layers).toEqual(["block.conv"]);
    }));

  it("of an explained layer are refused, naming the layer and what it returned", () => {
    const expected = expect.objectContaining({
      code: "E_CONFIG",
      message: expect.stringMatching(/layer block returned an array of 2.*choose a layer inside it/),
    });
    for (const method of ["GradCAM", "EigenCAM", "AblationCAM", "ScoreCAM", "SmoothGradCAM++"])
      expect(() => explain(new Several(), images, { method, layer: "block" })).toThrow(expected);
    expect(() => new Several().forwardWith(images, { taps: ["block"] })).toThrow(
      /forwardWith: block returned an array of 2/,
    );
  });

  it.each([
    ["an array that begins with the logits", (logits: Tensor, pooled: Tensor) => [logits, pooled]],
    ["an object with logits", (logits: Tensor, pooled: Tensor) => ({ pooled, logits })],
  ])("of a model are accepted as %s", (_, output) =>
    tidy(() => {
      const model = new Several(output);
      const plain = new Several();
      plain.loadStateDict(model.stateDict());
      for (const method of METHODS.filter((name) => !/Guided/.test(name))) {
        const options = { ...RAW, method, layer: "block.conv" };
        expect(explain(model, images, options).maps).toBeAllclose(explain(plain, images, options).maps);
      }
      const { logits } = model.forwardWith(images, { taps: ["block.conv"] });
      expect(logits.equal(plain.forward(images))).toBe(true);
    }),
  );

  it.each([
    ["an array of 0", () => []],
    ["an object of scores", (logits: Tensor) => ({ scores: logits })],
    ["undefined", () => undefined],
    ["a promise", async (logits: Tensor) => logits],
  ])("of a model without logits, %s, are refused, stating what is expected", (what, output) => {
    const model = new Several(output);
    const message = new RegExp(`the model, a Several, returned ${what}: its forward must return the logits`);
    for (const method of ["GradCAM", "FullGrad", "Saliency"])
      expect(() => explain(model, images, { method, layer: "block.conv" })).toThrow(message);
    expect(() => model.forwardWith(images, { taps: [] })).toThrow(message);
  });
});

describe("a module in two places", () => {
  it("is found under both paths", () =>
    tidy(() => {
      const model = new (class extends Module {
        readonly first = new Conv2d(2, 2, 3, { padding: 1 });
        readonly second = this.first;
        readonly fc = new Linear(2, 3);
        override forward(x: Tensor): Tensor {
          return this.fc.run(this.second.run(this.first.run(x).relu()).mean([2, 3]));
        }
      })();
      const maps = ["first", "second"].map((layer) => explain(model, images, { layer }));
      expect(maps.map(({ layers }) => layers)).toEqual([["first"], ["second"]]);
      expect(maps[0]?.maps.equal(maps[1]?.maps as Tensor)).toBe(true);
      const { taps } = model.forwardWith(images, { taps: ["first", "second"] });
      expect(taps.first.equal(taps.second)).toBe(true);
      expect(model.moduleAt("second")).toBe(model.first);
      expect(explain(model, images, { layers: ["first", "second"] }).maps.shape).toEqual([2, 6, 6]);
      expect(() => model.moduleAt("third")).toThrow(/no layer "third"; the nearest are/);
    }));
});

describe("a layer that the model calls by forward() and not by run()", () => {
  const model = new (class extends Module {
    readonly conv = new Conv2d(2, 4, 3);
    readonly fc = new Linear(4, 3);
    override forward(x: Tensor): Tensor {
      return this.fc.run(this.conv.forward(x).relu().mean([2, 3]));
    }
  })();
  const byLayer = METHODS.filter((name) => !/FullGrad|Saliency|Integrated|SmoothGrad$|Guided/.test(name));

  it.each(byLayer)("is refused by %s with advice", (method) => {
    expect(() => explain(model, images, { method, layer: "conv" })).toThrow(
      /explain: the model did not run conv .*call modules by run\(x\)/,
    );
  });

  it("still has its bias in FullGrad", () =>
    tidy(() => {
      const maps = () => explain(model, images, { method: "FullGrad", normalize: false }).maps;
      const before = maps();
      model.conv.bias?.detach().zero_();
      expect(maps().equal(before)).toBe(false);
    }));
});
