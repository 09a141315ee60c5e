import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  autocast,
  cat,
  conv2d,
  type DType,
  getRngState,
  grad,
  interpolate,
  linear,
  manualSeed,
  memory,
  noGrad,
  ones,
  randn,
  type Tensor,
  tensor,
  tidy,
} from "../tensor/index.ts";
import { type BatchCamOptions, batchCam, type CamHead, deadMaps } from "./batch-cam.ts";
import { normalizeMaps } from "./normalize.ts";

const TARGETS = [2, 0, 3, 2, 1];

interface Network {
  kernel: Tensor;
  weights: Tensor[];
  activations: Tensor;
  logits: Tensor;
  /** The linear layer that reads the activations. */
  head: CamHead;
}

/**
 * A network of a convolution and a ReLU, whose output is the activations, and one of two heads: pooling and a linear
 * layer, or two linear layers with a tanh between them.
 */
function network(head: "gap" | "mlp", dtype: DType = "float64"): Network {
  manualSeed(3);
  const parameter = (shape: number[], scale: number) => randn(shape, { dtype }).mul(scale).detach().requiresGrad_();
  const kernel = parameter([6, 2, 3, 3], 0.3);
  const activations = conv2d(randn([5, 2, 7, 6], { dtype }), kernel).relu(); // (5, 6, 5, 4)
  if (head === "gap") {
    const weights = [parameter([4, 6], 1), parameter([4], 1)];
    const [weight, bias] = weights as [Tensor, Tensor];
    return { kernel, weights, activations, logits: linear(activations.mean([2, 3]), weight, bias), head: { weight } };
  }
  const weights = [parameter([8, 120], 0.2), parameter([4, 8], 1)];
  const [first, second] = weights as [Tensor, Tensor];
  const output = linear(activations.flatten(1), first);
  return { kernel, weights, activations, logits: linear(output.tanh(), second), head: { weight: first, output } };
}

const cam = ({ logits, activations }: Network, options?: BatchCamOptions) =>
  batchCam(logits, activations, TARGETS, options);

/** The gradients of a weighted sum of the maps, in which every pixel has a different weight. */
function gradients({ kernel, weights }: Network, maps: Tensor): Tensor[] {
  const cotangent = tensor(
    Float64Array.from({ length: maps.numel }, (_, i) => Math.sin(i)),
    { shape: maps.shape, dtype: maps.dtype },
  );
  return grad(maps.mul(cotangent).sum(), [kernel, ...weights], { retainGraph: true, allowUnused: true });
}

/** The channel weights α (B, K), with their graph. */
function alphaOf({ logits, activations }: Network): Tensor {
  const score = logits.gather(1, tensor(BigInt64Array.from(TARGETS, BigInt)).unsqueeze(1)).sum();
  return (grad(score, activations, { createGraph: true })[0] as Tensor).mean([2, 3], { keepDims: true });
}

function expectSame(received: readonly Tensor[], expected: readonly Tensor[], relL2: number): void {
  for (const [i, value] of received.entries())
    expect(value).toHaveRelL2(expected[i] as Tensor, { relL2, absL2: 1e-12 });
}

describe("batchCam of a layer that gives tokens", () => {
  /** The network with its maps as tokens (B, 1 + h·w, K), the first of which is a class token. */
  function tokenNetwork(): { maps: Network; tokens: Tensor; logits: Tensor } {
    const maps = network("mlp");
    const classToken = ones([5, 1, 6], { dtype: "float64" });
    const tokens = cat([classToken, maps.activations.flatten(2).transpose(1, 2)], 1);
    const read = tokens.narrow(1, 1, 20).transpose(1, 2).flatten(1);
    const [first, second] = maps.weights as [Tensor, Tensor];
    return { maps, tokens, logits: linear(linear(read, first).tanh(), second) };
  }
  const reshapeTransform = (output: Tensor) => output.narrow(1, 1, 20).transpose(1, 2).reshape([5, 6, 5, 4]);

  it("is that of the maps which reshapeTransform gives, value and gradient", () =>
    tidy(() => {
      const { maps, tokens, logits } = tokenNetwork();
      const received = batchCam(logits, tokens, TARGETS, { reshapeTransform });
      expect(received).toBeAllclose(cam(maps), { rtol: 1e-12, atol: 1e-13 });
      expectSame(gradients(maps, received), gradients(maps, cam(maps)), 1e-10);
    }));

  it("refuses tokens without a transform, or with one that gives no maps", () =>
    tidy(() => {
      const { tokens, logits } = tokenNetwork();
      expect(() => batchCam(logits, tokens, TARGETS)).toThrow(/batchCam: activations.*\[5, 21, 6\]/);
      expect(() => batchCam(logits, tokens, TARGETS, { reshapeTransform: (t) => t.flatten(1) })).toThrow(
        /batchCam: act/,
      );
      expect(() => batchCam(logits, tokens, TARGETS, { reshapeTransform: 1 as never })).toThrow(/must be a function/);
    }));
});

describe.each(["gap", "mlp"] as const)("batchCam with the %s head", (head) => {
  it("is ReLU(Σ α A), value and gradient, with α in the graph in second order", () =>
    tidy(() => {
      const subject = network(head);
      const expected = alphaOf(subject).mul(subject.activations).sum([1]).relu();
      expect(cam(subject)).toBeAllclose(expected, { rtol: 1e-12, atol: 1e-13 });
      expectSame(gradients(subject, cam(subject)), gradients(subject, expected), 1e-10);
    }));

  it("takes α for a constant in first order", () =>
    tidy(() => {
      const subject = network(head);
      const expected = alphaOf(subject).detach().mul(subject.activations).sum([1]).relu();
      const maps = cam(subject, { order: "first" });
      expect(maps).toBeAllclose(expected, { rtol: 1e-12, atol: 1e-13 });
      expectSame(gradients(subject, maps), gradients(subject, expected), 1e-10);
    }));

  it("leaves out the ReLU on demand, and upsamples before it normalises", () =>
    tidy(() => {
      const subject = network(head);
      const signed = cam(subject, { relu: false });
      expect(signed.min().item()).toBeLessThan(0);
      expect(signed.relu()).toBeAllclose(cam(subject), { rtol: 0, atol: 0 });
      const expected = normalizeMaps(interpolate(cam(subject), { size: [11, 13] }), { eps: 0.01 });
      const maps = cam(subject, { upsample: [11, 13], normalize: { eps: 0.01 } });
      expect(maps).toBeAllclose(expected, { rtol: 0, atol: 0 });
    }));

  it("gives maps without a graph for viewing, also under noGrad, and keeps the graph of the logits", () =>
    tidy(() => {
      const subject = network(head);
      for (const maps of [cam(subject, { createGraph: false }), noGrad(() => cam(subject, { createGraph: false }))]) {
        expect(maps.requiresGrad).toBe(false);
        expect(maps).toBeAllclose(cam(subject), { rtol: 0, atol: 0 });
      }
      expect(() => grad(subject.logits.sum(), subject.kernel)).not.toThrow();
    }));
});

describe("order", () => {
  it("matters everywhere after an mlp, but only in the head's weight after global average pooling", () =>
    tidy(() => {
      const differences = (head: "gap" | "mlp") => {
        const subject = network(head);
        const first = gradients(subject, cam(subject, { order: "first" }));
        const second = gradients(subject, cam(subject));
        return first.map(
          (gradient, i) =>
            gradient
              .sub(second[i] as Tensor)
              .norm()
              .item() > 1e-9,
        );
      };
      expect(differences("gap")).toEqual([false, true, false]);
      expect(differences("mlp")).toEqual([true, true, true]);
    }));
});

describe.each([
  { layer: "gap", dtype: "float32", relL2: 1e-6 },
  { layer: "gap", dtype: "float64", relL2: 1e-14 },
  { layer: "mlp", dtype: "float32", relL2: 1e-6 },
  { layer: "mlp", dtype: "float64", relL2: 1e-14 },
] as const)("the closed form of the $layer head in $dtype", ({ layer, dtype, relL2 }) => {
  it.each(["second", "first"] as const)("equals autograd, value and gradient, in %s order", (order) =>
    tidy(() => {
      const subject = network(layer, dtype);
      const closed = cam(subject, { order, head: subject.head, upsample: [28, 28] });
      const general = cam(subject, { order, upsample: [28, 28] });
      expect(closed.dtype).toBe(dtype);
      expectSame([closed], [general], relL2);
      expectSame(gradients(subject, closed), gradients(subject, general), relL2 * 4);
    }),
  );
});

describe("batchCam", () => {
  it("reads targets as an array or as a tensor of any integer dtype", () =>
    tidy(() => {
      const subject = network("mlp");
      const { logits, activations } = subject;
      for (const dtype of ["int64", "int32", "uint8"] as const) {
        expect(batchCam(logits, activations, tensor(TARGETS, { dtype })).equal(cam(subject))).toBe(true);
      }
      expect(batchCam(logits, activations, [0, 0, 0, 0, 0]).equal(cam(subject))).toBe(false);
    }));

  it("explains each sample by its own target, whatever the others' targets are", () =>
    tidy(() => {
      const { logits, activations } = network("mlp");
      const byClass = [0, 1, 2, 3].map((c) =>
        batchCam(
          logits,
          activations,
          TARGETS.map(() => c),
        ),
      );
      fc.assert(
        fc.property(fc.array(fc.nat(3), { minLength: 5, maxLength: 5 }), (targets) =>
          tidy(() => {
            const maps = batchCam(logits, activations, targets);
            targets.forEach((c, b) => {
              expect(maps.select(0, b)).toBeAllclose((byClass[c] as Tensor).select(0, b), { rtol: 1e-9, atol: 1e-12 });
            });
          }),
        ),
        { numRuns: 20 },
      );
    }));

  it("gives the same normalised maps for logits of any positive scale", () =>
    tidy(() => {
      const { logits, activations } = network("mlp");
      const expected = normalizeMaps(batchCam(logits, activations, TARGETS), { eps: 1e-12 });
      fc.assert(
        fc.property(fc.double({ min: 1e-3, max: 1e3, noNaN: true }), (scale) =>
          tidy(() => {
            const maps = batchCam(logits.mul(scale), activations, TARGETS, { normalize: { eps: 1e-12 * scale } });
            expect(maps).toBeAllclose(expected, { rtol: 1e-9, atol: 1e-12 });
          }),
        ),
        { numRuns: 20 },
      );
    }));

  it("makes a map of constant activations exactly constant, whatever the channels and the size", () =>
    tidy(() => {
      const sizes = { channels: fc.integer({ min: 1, max: 40 }), height: fc.integer({ min: 1, max: 9 }) };
      fc.assert(
        fc.property(fc.record({ ...sizes, width: fc.integer({ min: 1, max: 9 }) }), ({ channels, height, width }) =>
          tidy(() => {
            const activations = randn([3, channels, 1, 1])
              .mul(ones([3, channels, height, width]))
              .requiresGrad_();
            const logits = linear(activations.mean([2, 3]).square(), randn([4, channels]));
            const maps = batchCam(logits, activations, [0, 1, 2], { relu: false, upsample: [13, 13] });
            expect(
              maps
                .sub(maps.narrow(1, 0, 1).narrow(2, 0, 1))
                .abs()
                .max()
                .item(),
            ).toBe(0);
          }),
        ),
        { numRuns: 30 },
      );
    }));

  it("gives zeros and zero gradients for maps that the ReLU kills, alone or among others", () =>
    tidy(() => {
      const { activations, kernel, logits } = network("gap");
      const dead = batchCam(logits.sub(activations.sum([1, 2, 3]).view([5, 1]).mul(50)), activations, TARGETS, {
        upsample: [28, 28],
        normalize: true,
      });
      expect([...deadMaps(dead).data()]).toEqual([1, 1, 1, 1, 1]);
      expect(dead.abs().max().item()).toBe(0);
      const [gradient] = grad(dead.square().sum(), [kernel]) as [Tensor];
      expect(gradient.abs().max().item()).toBe(0);
    }));

  it("carries NaN from the activations to the maps, and crashes nowhere", () =>
    tidy(() => {
      const activations = randn([3, 4, 5, 5], { requiresGrad: true });
      const poison = ones([3, 4, 5, 5]);
      poison.narrow(0, 1, 1).narrow(1, 2, 1).narrow(2, 3, 1).fill_(Number.NaN);
      const poisoned = activations.mul(poison);
      const logits = linear(poisoned.flatten(1).tanh(), randn([2, 100]));
      const maps = batchCam(logits, poisoned, [0, 1, 0], { upsample: [9, 9], normalize: true });
      const bad = Array.from({ length: 3 }, (_, b) => maps.select(0, b).isnan().any().item());
      expect(bad).toEqual([0, 1, 0]);
      expect([...deadMaps(maps).data()][1]).toBe(0);
    }));

  it("gives float32 maps under autocast and from 16-bit activations", () =>
    tidy(() => {
      const subject = network("gap", "float32");
      const expected = cam(subject, { upsample: [28, 28], normalize: true });
      const inside = autocast({ dtype: "bfloat16" }, () => cam(subject, { upsample: [28, 28], normalize: true }));
      expect(inside.equal(expected)).toBe(true);
      const activations = subject.activations.to("bfloat16");
      const logits = linear(activations.mean([2, 3]), (subject.weights[0] as Tensor).to("bfloat16"));
      const maps = batchCam(logits, activations, TARGETS, { upsample: [28, 28], normalize: true });
      expect(maps.dtype).toBe("float32");
      expect(maps).toHaveRelL2(expected, { relL2: 0.03 });
    }));

  it("writes no gradient, draws no random number and leaves no tensor allocated", () =>
    tidy(() => {
      const subject = network("mlp");
      cam(subject, { upsample: [9, 9] }); // fills the cache of interpolation weights
      const state = getRngState();
      const { liveTensors } = memory();
      tidy(() => void cam(subject, { upsample: [9, 9], normalize: true }));
      expect(memory().liveTensors).toBe(liveTensors);
      expect(getRngState().equal(state)).toBe(true);
      for (const leaf of [subject.kernel, ...subject.weights]) expect(leaf.grad).toBeNull();
    }));
});
