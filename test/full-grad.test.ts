import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fullGradTerms } from "../src/cam/full-grad.ts";
import { explain } from "../src/cam/index.ts";
import { classTarget } from "../src/cam/targets.ts";
import { BatchNorm2d, Conv2d, Linear, MaxPool2d, Module, parameter, ReLU, Sequential } from "../src/nn/index.ts";
import { conv2d, manualSeed, rand, randn, type Tensor, tensor, tidy } from "../src/tensor/index.ts";

const CHANNELS = 3;
const conv = () => new Conv2d(CHANNELS, CHANNELS, 3, { padding: 1 });

function norm(): BatchNorm2d {
  const made = new BatchNorm2d(CHANNELS);
  made.running_mean.copy_(randn([CHANNELS]));
  made.running_var.copy_(rand([CHANNELS]).add(0.3));
  made.bias.detach().copy_(randn([CHANNELS]));
  made.weight.detach().copy_(randn([CHANNELS]));
  return made;
}

class ConvRelu extends Conv2d {
  override forward(x: Tensor): Tensor {
    return super.forward(x).relu();
  }
}

class NormClamp extends BatchNorm2d {
  override forward(x: Tensor): Tensor {
    return super.forward(x).clamp_(0);
  }
}

/** A linear layer over channels that are the last dimension, followed by a ReLU. */
class Channels extends Linear {
  override forward(x: Tensor): Tensor {
    return super
      .forward(x.permute([0, 2, 3, 1]))
      .relu()
      .permute([0, 3, 1, 2]);
  }
}

/** A user's layer that computes with its own weights. */
class Own extends Module {
  readonly weight = parameter(randn([CHANNELS, CHANNELS, 1, 1]));
  readonly shift = parameter(randn([CHANNELS]));
  override forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.shift).relu();
  }
}

/** A user's layer that adds its bias itself. */
class AddsBias extends Module {
  readonly bias = parameter(randn([CHANNELS]));
  override forward(x: Tensor): Tensor {
    return x.add(this.bias.view([-1, 1, 1]));
  }
}

const LAYERS: Record<string, () => Module> = {
  conv,
  norm,
  relu: () => new ReLU(),
  pool: () => new MaxPool2d(3, { stride: 1, padding: 1 }),
  convNorm: () => new Sequential(conv(), norm(), new ReLU()),
  convRelu: () => new ConvRelu(CHANNELS, CHANNELS, 3, { padding: 1 }),
  normClamp: () => Object.assign(new NormClamp(CHANNELS), norm()),
  channels: () => new Channels(CHANNELS, CHANNELS),
  own: () => new Own(),
  addsBias: () => new AddsBias(),
};

/** The layers named in `order`, which may name a layer twice, followed by a linear layer over the pooled maps and a second head. */
class Network extends Module {
  readonly layers: Module[];
  readonly order: readonly number[];
  readonly unused = new Conv2d(CHANNELS, 2, 1);
  readonly fc = new Linear(CHANNELS, 4);

  constructor(layers: Module[], order: readonly number[]) {
    super();
    this.layers = layers;
    this.order = order;
  }

  override forward(x: Tensor): Tensor {
    let y = x;
    for (const [place, index] of this.order.entries()) {
      const layer = this.layers[index % this.layers.length] as Module;
      y = place % 3 === 2 && !(layer instanceof AddsBias) ? layer.forward(y) : layer.run(y);
    }
    this.unused.run(y);
    return this.fc.run(y.mean([2, 3]));
  }
}

const images = () => randn([2, CHANNELS, 5, 4], { dtype: "float64" });
const fullGrad = (model: Module, x: Tensor) =>
  explain(model, x, { method: "FullGrad", targets: 1, normalize: false }).maps;

describe("FullGrad", () => {
  it("is complete: the input's term and those of all biases add up to the score, for networks of ReLUs", () => {
    const kinds = fc.array(fc.constantFrom(...Object.keys(LAYERS)), { minLength: 1, maxLength: 4 });
    const order = fc.array(fc.nat(3), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(kinds, order, fc.nat(1000), (chosen, places, seed) =>
        tidy(() => {
          manualSeed(seed);
          const layers = chosen.map((kind) => LAYERS[kind]?.() as Module);
          const model = new Network(layers, places).to("float64").eval();
          const x = images();
          const target = classTarget(tensor([1, 2], { dtype: "int64" }));
          const { input, biases } = fullGradTerms({ model, x }, { target, createGraph: false });
          const terms = [input, ...biases.map(({ values }) => values)].map((values) => values.flatten(1).sum([1]));
          const sum = terms.reduce((total, term) => total.add(term));
          expect(sum).toBeAllclose(target.score(model.forward(x)), { rtol: 1e-9, atol: 1e-9 });
        }),
      ),
      { numRuns: 60 },
    );
  });

  it("counts each run of a layer that runs twice, as two layers of the same weights", () =>
    tidy(() => {
      const [layer, twin] = [conv().to("float64"), conv().to("float64")];
      twin.loadStateDict(layer.stateDict());
      const once = new Network([layer, new ReLU(), twin], [0, 1, 2]).to("float64");
      const shared = new Network([layer, new ReLU()], [0, 1, 0]).to("float64");
      shared.fc.loadStateDict(once.fc.stateDict());
      const x = images();
      expect(fullGrad(shared, x)).toBeAllclose(fullGrad(once, x));
    }));

  it("reads a bias where it is added, before the activation of a layer's subclass", () =>
    tidy(() => {
      const layer = new ConvRelu(CHANNELS, CHANNELS, 3, { padding: 1 }).to("float64");
      const plain = conv().to("float64");
      plain.loadStateDict(layer.stateDict());
      const inside = new Network([layer], [0]).to("float64");
      const apart = new Network([plain, new ReLU()], [0, 1]).to("float64");
      apart.fc.loadStateDict(inside.fc.stateDict());
      const x = images();
      expect(fullGrad(inside, x)).toBeAllclose(fullGrad(apart, x));
    }));

  it("accepts a biased layer that does not lead to the logits, which adds nothing", () =>
    tidy(() => {
      const model = new Network([conv()], [0]);
      const x = images().to("float32");
      const before = fullGrad(model, x);
      model.unused.bias?.detach().fill_(5);
      expect(fullGrad(model, x).equal(before)).toBe(true);
    }));

  it("is refused for a user's module that adds its bias and is called by forward()", () =>
    tidy(() => {
      const layer = new AddsBias();
      const model = new (class extends Module {
        readonly layer = layer;
        readonly fc = new Linear(CHANNELS, 4);
        override forward(x: Tensor): Tensor {
          return this.fc.run(this.layer.forward(x).mean([2, 3]));
        }
      })();
      expect(() => fullGrad(model, images().to("float32"))).toThrow(/FullGrad cannot observe how layer adds its bias/);
    }));
});
