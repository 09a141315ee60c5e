import { describe, expect, it } from "vitest";
import { BatchCamError } from "../errors.ts";
import { backward, memory, noGrad, ones, randn, tensor, Tensor, tidy, zeros } from "../tensor/index.ts";
import { BatchNorm2d, buffer, Conv2d, Identity, Linear, Module, parameter, recordOutputs, ReLU, Sequential } from "./index.ts";

class Block extends Module {
  readonly gain = parameter(ones([2]));
  readonly conv = new Conv2d(2, 2, 1, { bias: false });
  readonly offset = buffer(zeros([2]));
  readonly shift = parameter(zeros([2]));
  readonly note = "no child";
  readonly plain = zeros([1]);
  override forward(x: Tensor): Tensor {
    return this.conv.run(x).mul(this.gain.view([2, 1, 1]));
  }
}

class Net extends Module {
  readonly stem = new Sequential(new Conv2d(1, 2, 1), new BatchNorm2d(2), new ReLU());
  readonly blocks = [new Block(), new Block()];
  readonly optional: Module | null = null;
  override forward(x: Tensor): Tensor {
    return this.blocks.reduce((y, block) => block.run(y), this.stem.run(x));
  }
}

describe("the tree of a module", () => {
  it("names parameters and buffers as torch's state_dict: own parameters, own buffers, then children", () => {
    using block = new Block();
    expect([...block.stateDict().keys()]).toEqual(["gain", "shift", "offset", "conv.weight"]);
    using net = new Net();
    expect([...net.stateDict().keys()].slice(0, 9)).toEqual([
      "stem.0.weight",
      "stem.0.bias",
      "stem.1.weight",
      "stem.1.bias",
      "stem.1.running_mean",
      "stem.1.running_var",
      "stem.1.num_batches_tracked",
      "blocks.0.gain",
      "blocks.0.shift",
    ]);
    expect([...net.namedModules().keys()]).toEqual(["", "stem", "stem.0", "stem.1", "stem.2", "blocks.0", "blocks.0.conv", "blocks.1", "blocks.1.conv"]);
    expect(net.namedBuffers().size).toBe(5);
    expect(net.parameters().length).toBe(net.namedParameters().size);
  });

  it("lists a shared module under each of its names in the state, and once elsewhere", () => {
    const shared = new Linear(2, 2);
    using pair = new Sequential(shared, new ReLU(), shared);
    expect([...pair.stateDict().keys()]).toEqual(["0.weight", "0.bias", "2.weight", "2.bias"]);
    expect([...pair.namedParameters().keys()]).toEqual(["0.weight", "0.bias"]);
    expect([...pair.namedModules().keys()]).toEqual(["", "0", "1"]);
  });

  it("does not follow a child back to its parent", () => {
    class Child extends Identity {
      parent: Module | null = null;
      readonly weight = parameter(ones([1]));
    }
    const child = new Child();
    using net = new Sequential(child);
    child.parent = net;
    expect([...net.stateDict().keys()]).toEqual(["0.weight"]);
  });
});

describe("modes and gradients", () => {
  it("switches the whole tree", () => {
    using net = new Net();
    expect(net.eval()).toBe(net);
    expect([...net.namedModules().values()].map(({ training }) => training)).not.toContain(true);
    net.train();
    expect([...net.namedModules().values()].map(({ training }) => training)).not.toContain(false);
  });

  it("freezes, unfreezes and drops gradients", () => {
    using net = new Linear(2, 1);
    tidy(() => backward(net.run(ones([3, 2])).sum()));
    expect(net.weight.grad).not.toBeNull();
    net.zeroGrad();
    expect(net.weight.grad).toBeNull();
    net.requiresGrad_(false);
    tidy(() => expect(net.run(ones([3, 2])).requiresGrad).toBe(false));
    expect(net.requiresGrad_().weight.requiresGrad).toBe(true);
  });
});

describe("parameter and buffer", () => {
  it("mark the tensor itself, which outlives every tidy", () => {
    const made = tidy(() => tidy(() => ({ weight: parameter(zeros([2])), state: buffer(tensor([1n])) })));
    const inner = tidy(() => {
      class Inner extends Identity {
        readonly weight = parameter(ones([2]));
      }
      return new Inner();
    });
    expect([made.weight.isDisposed, made.state.isDisposed, inner.weight.isDisposed]).toEqual([false, false, false]);
    expect([made.weight.requiresGrad, made.state.requiresGrad]).toEqual([true, false]);
    expect(parameter(zeros([1]), { requiresGrad: false }).requiresGrad).toBe(false);
  });

  it("survive a tidy that returns them", () => {
    using layer = new Linear(2, 2);
    tidy(() => {
      tidy(() => layer.parameters());
    });
    expect(layer.weight.isDisposed).toBe(false);
  });

  it("refuse what cannot be trained", () => {
    expect(() => parameter(tensor([1n]))).toThrow(expect.objectContaining({ code: "E_DTYPE" }));
    const weight = parameter(ones([1]));
    expect(() => parameter(weight.mul(2))).toThrow(/result of recorded operations; detach\(\) it first/);
    expect(() => parameter(null as unknown as Tensor)).toThrow();
  });
});

describe("stateDict", () => {
  it("gives handles that share memory, have no graph, and may be disposed", () => {
    using layer = new Linear(2, 1);
    const state = layer.stateDict();
    expect(state.get("weight")?.requiresGrad).toBe(false);
    state.get("bias")?.fill_(7);
    for (const value of state.values()) value.dispose();
    expect(layer.bias?.item()).toBe(7);
  });
});

describe("loadStateDict", () => {
  const target = () => new Sequential(new Linear(2, 2), new BatchNorm2d(2));
  const stateOf = (net: Module) => new Map(Array.from(net.stateDict(), ([name, value]) => [name, value.clone()]));

  it("copies values in, converting dtypes, and keeps the tensors themselves", () => {
    using [net, other] = [target(), target()].map((made) => ({ made, [Symbol.dispose]: () => made.dispose() })) as never as DisposablePair;
    const weight = (net.made.at(0) as Linear).weight;
    const report = net.made.loadStateDict(new Map(Array.from(stateOf(other.made), ([name, value]) => [name, value.dtype === "int64" ? value : value.to("float64")])));
    expect(report).toEqual({ missing: [], unexpected: [] });
    expect((net.made.at(0) as Linear).weight).toBe(weight);
    expect(weight).toBeAllclose((other.made.at(0) as Linear).weight, { rtol: 0, atol: 0 });
    expect([weight.dtype, weight.requiresGrad, weight.isLeaf]).toEqual(["float32", true, true]);
  });
});
