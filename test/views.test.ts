import { describe, expect, it } from "vitest";
import { fullGradTerms } from "../src/cam/full-grad.ts";
import { explain } from "../src/cam/index.ts";
import { Conv2d, Dropout, Identity, Linear, Module, parameter } from "../src/nn/index.ts";
import { cat, grad, manualSeed, noGrad, randn, type Tensor, tidy } from "../src/tensor/index.ts";

type Act = (x: Tensor) => Tensor;

class Layer extends Module {
  readonly act: Act;
  constructor(act: Act) {
    super();
    this.act = act;
  }
  override forward(x: Tensor): Tensor {
    return this.act(x);
  }
}

type Body = (layer: Module, maps: Tensor, read: (maps: Tensor) => Tensor) => Tensor;

/**
 * A network of a convolution, a body and a head. The body runs the layer and decides whether the returned or the
 * changed tensor is read.
 */
class Network extends Module {
  readonly conv = new Conv2d(2, 6, 3, { padding: 1 });
  readonly behind = new Conv2d(6, 3, 1);
  readonly fc = new Linear(3, 4);
  readonly layer: Module;
  readonly body: Body;

  constructor(layer: Module, body: Body) {
    super();
    this.layer = layer;
    this.body = body;
  }
  override forward(x: Tensor): Tensor {
    const read = (maps: Tensor) => this.behind.run(maps).tanh();
    return this.fc.run(this.body(this.layer, this.conv.run(x), read).mean([2, 3]));
  }
}

interface Case {
  layer: () => Module;
  body: Body;
  /** Computes the same as the network, without in-place operations. */
  plain: { act: Act; body: Body };
}

const clampInPlace = () => new Layer((x) => x.clamp_(-0.2, 1));
const clamp: Act = (x) => x.clamp(-0.2, 1);
const copy: Act = (x) => x.mul(1);
const withHalf = (h: Tensor, half: Tensor) => cat([half, h.narrow(1, 3, 3)], 1);

const CASES: Record<string, Case> = {
  "a slice that a layer changes, and its base": {
    layer: clampInPlace,
    body: (layer, h, read) =>
      layer
        .run(h.narrow(1, 0, 3))
        .square()
        .add(read(h)),
    plain: {
      act: clamp,
      body(layer, h, read) {
        const y = layer.run(h.narrow(1, 0, 3));
        return y.square().add(read(withHalf(h, y)));
      },
    },
  },
  "a slice that a layer changes, whose result is discarded": {
    layer: clampInPlace,
    body(layer, h, read) {
      layer.run(h.narrow(1, 0, 3));
      return read(h);
    },
    plain: { act: clamp, body: (layer, h, read) => read(withHalf(h, layer.run(h.narrow(1, 0, 3)))) },
  },
  "a view made before a layer changes its base": {
    layer: clampInPlace,
    body(layer, h, read) {
      const v = h.narrow(1, 0, 3);
      return read(layer.run(h)).add(v.square());
    },
    plain: {
      act: clamp,
      body(layer, h, read) {
        const y = layer.run(h);
        return read(y).add(y.narrow(1, 0, 3).square());
      },
    },
  },
  "a transpose that a layer changes, and its base": {
    layer: clampInPlace,
    body: (layer, h, read) => read(layer.run(h.transpose(2, 3)).square().transpose(2, 3)).add(read(h)),
    plain: {
      act: clamp,
      body(layer, h, read) {
        const y = layer.run(h.transpose(2, 3)).transpose(2, 3);
        return read(y.square()).add(read(y));
      },
    },
  },
  "the input of a layer that changes it and returns a view": {
    layer: () =>
      new Layer((x) => {
        x.clamp_(-0.2, 1);
        return x.view(x.sizes);
      }),
    body: (layer, h, read) => read(layer.run(h).square()).add(read(h)),
    plain: {
      act: clamp,
      body(layer, h, read) {
        const y = layer.run(h);
        return read(y.square()).add(read(y));
      },
    },
  },
  "a slice that Dropout returns, whose base is changed afterwards": {
    layer: () => new Dropout(0.5),
    body(layer, h, read) {
      const y = layer.run(h.narrow(1, 0, 3));
      h.mul_(2).clamp_(-0.2, 1);
      return y.square().add(read(h));
    },
    plain: {
      act: copy,
      body(layer, h, read) {
        const y = layer
          .run(h.narrow(1, 0, 3))
          .mul(2)
          .clamp(-0.2, 1);
        return y.square().add(read(withHalf(h.mul(2).clamp(-0.2, 1), y)));
      },
    },
  },
  "the base of a slice that Identity returns, which is changed afterwards": {
    layer: () => new Identity(),
    body(layer, h, read) {
      const y = layer.run(h.narrow(1, 0, 3));
      y.mul_(2);
      return y.square().add(read(h));
    },
    plain: {
      act: copy,
      body(layer, h, read) {
        const y = layer.run(h.narrow(1, 0, 3)).mul(2);
        return y.square().add(read(withHalf(h, y)));
      },
    },
  },
  "the input of a layer that returns a view of it, which is changed afterwards": {
    layer: () => new Layer((x) => x.narrow(1, 0, 3)),
    body(layer, h, read) {
      const y = layer.run(h);
      y.mul_(2);
      return y.square().add(read(h));
    },
    plain: {
      act: copy,
      body(layer, h, read) {
        const y = layer.run(h.narrow(1, 0, 3)).mul(2);
        return y.square().add(read(withHalf(h, y)));
      },
    },
  },
};

// test/programs/in-place.mjs compares every method.
const READING_LAYERS = ["GradCAM", "HiResCAM", "GradCAM++", "AblationCAM", "ScoreCAM"] as const;

const images = randn([2, 2, 5, 5], { dtype: "float64" });

function networkOf(layer: Module, body: Body): Network {
  manualSeed(7);
  return new Network(layer, body).to("float64").eval();
}

function pairOf({ layer, body, plain }: Case): [Network, Network] {
  return [networkOf(layer(), body), networkOf(new Layer(plain.act), plain.body)];
}

describe.each(Object.entries(CASES))("%s", (_, given) => {
  it("is read as in the network without in-place operations, by methods that use a layer in different ways", () =>
    tidy(() => {
      const [written, plain] = pairOf(given);
      const settings = { targets: [0, 2], normalize: false, relu: false };
      for (const method of READING_LAYERS) {
        const options = { ...settings, method, layer: "layer" };
        const [found, expected] = [explain(written, images, options), explain(plain, images, options)];
        expect(found.logits, method).toBeAllclose(written.forward(images.clone()), { rtol: 1e-9 });
        expect(found.maps, method).toBeAllclose(expected.maps, { rtol: 1e-7, atol: 1e-11 });
      }
    }));

  it("is read as in that network with a tap of forwardWith, with the same gradients", () =>
    tidy(() => {
      const [found, expected] = pairOf(given).map((network) => {
        const { logits, taps } = network.forwardWith(images, { taps: ["layer"] });
        const score = logits.select(1, 1).sum();
        return [logits, taps.layer, ...grad(score, [taps.layer, ...network.parameters()])];
      }) as [Tensor[], Tensor[]];
      for (const [i, ours] of found.entries())
        expect(ours).toBeAllclose(expected[i] as Tensor, { rtol: 1e-9, atol: 1e-12 });
    }));
});

describe("forwardWith in training mode", () => {
  const { layer, body } = CASES["a slice that Dropout returns, whose base is changed afterwards"] as Case;

  it("refuses an output whose memory is changed afterwards under another name, naming the layer and the remedy", () =>
    tidy(() => {
      const network = networkOf(layer(), body);
      network.training = true;
      expect(() => network.forwardWith(images, { taps: ["layer"] })).toThrow(
        /forwardWith: layer returned memory .* under another name.*clone\(\)/,
      );
    }));
});

describe("a view that was made without recording", () => {
  it("cannot be changed silently by a tapped layer: an error is thrown", () =>
    tidy(() => {
      const frozen: Body = (given, h, read) => {
        const view = noGrad(() => h.detach().narrow(1, 0, 3));
        return given.run(view).square().add(read(h));
      };
      const network = networkOf(clampInPlace(), frozen);
      expect(() => network.forwardWith(images, { taps: ["layer"] })).toThrow(
        /^forwardWith: layer layer works in place on a view .*clone\(\)/,
      );
    }));
});

describe("one of several views that an operator made", () => {
  it("cannot be changed silently by an explained layer: an error is thrown", () =>
    tidy(() => {
      const network = networkOf(clampInPlace(), (layer, h, read) => {
        const [first] = h.split(3, 1) as [Tensor];
        return layer.run(first).square().add(read(h));
      });
      expect(() => explain(network, images, { layer: "layer" })).toThrow(
        /^explain: layer layer writes in place to a tensor that autograd does not let it overwrite .*clone\(\)/,
      );
    }));
});

describe("FullGrad of a module that adds its own bias to a slice in place", () => {
  it("has terms that add up to the score", () =>
    tidy(() => {
      manualSeed(3);
      class AddBias extends Module {
        readonly bias = parameter(randn([3, 1, 1]));
        override forward(x: Tensor): Tensor {
          return x.add_(this.bias);
        }
      }
      const network = networkOf(new AddBias(), (layer, h) => {
        layer.run(h.narrow(1, 0, 3));
        return h
          .clamp(0)
          .narrow(1, 0, 3)
          .add(h.narrow(1, 3, 3));
      });
      const target = { classes: null, score: (logits: Tensor) => logits.select(1, 2) };
      const { input, biases } = fullGradTerms({ model: network, x: images }, { target, createGraph: false });
      const sums = biases.map(({ values }) => values.reshape([values.sizes[0] as number, -1]).sum([1]));
      const total = sums.reduce((sum, term) => sum.add(term), input.sum([1, 2, 3]));
      expect(total).toBeAllclose(network.forward(images.clone()).select(1, 2), { rtol: 1e-9 });
    }));
});
