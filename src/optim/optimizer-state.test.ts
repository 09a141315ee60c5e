import { afterEach, describe, expect, it } from "vitest";
import { Linear, type Module, Sequential } from "../nn/index.ts";
import { backward, manualSeed, ones, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import { Adam, AdamW, type Optimizer, type Parameters, SGD } from "./index.ts";

const owned: { dispose(): void }[] = [];
const own = <T extends { dispose(): void }>(value: T): T => {
  owned.push(value);
  return value;
};
afterEach(() => {
  for (const value of owned.splice(0)) value.dispose();
});
const valuesOf = (t: Tensor): number[] => Array.from(t.data() as Float32Array);

describe("state", () => {
  const build = (seed: number): Module => {
    manualSeed(seed);
    return own(new Sequential(new Linear(4, 5), new Linear(5, 2)));
  };
  const makers: [string, (params: Parameters) => Optimizer][] = [
    ["SGD", (params) => new SGD(params, { lr: 0.1, momentum: 0.9, nesterov: true })],
    ["SGD without momentum", (params) => new SGD(params, { lr: 0.1 })],
    ["Adam", (params) => new Adam(params, { lr: 0.1 })],
    ["AdamW", (params) => new AdamW(params, { lr: 0.1 })],
  ];
  const train = (model: Module, optimizer: Optimizer, steps: number) => {
    for (let i = 0; i < steps; i++) {
      tidy(() => {
        optimizer.zeroGrad();
        backward(
          model
            .run(ones([3, 4]))
            .square()
            .mean(),
        );
        optimizer.step();
      });
    }
  };
  const weights = (model: Module) => model.parameters().map(valuesOf);

  it.each(makers)("continues bit for bit: %s", (_, make) => {
    const straight = build(5);
    train(straight, own(make(straight.namedParameters())), 6);
    const first = build(5);
    const before = own(make(first.namedParameters()));
    train(first, before, 3);
    const resumed = build(6);
    resumed.loadStateDict(first.stateDict());
    const after = own(make(resumed.namedParameters()));
    after.loadState(before.stateTensors());
    train(resumed, after, 3);
    expect(weights(resumed)).toEqual(weights(straight));
  });

  it("is named by parameter and torch's name, and counts steps in float32", () => {
    const model = build(1);
    const optimizer = own(new Adam(model.namedParameters()));
    expect(optimizer.stateTensors().size).toBe(0);
    train(model, optimizer, 2);
    const state = optimizer.stateTensors();
    expect([...state.keys()].slice(0, 4)).toEqual([
      "0.weight.step",
      "0.weight.exp_avg",
      "0.weight.exp_avg_sq",
      "0.bias.step",
    ]);
    expect([
      state.get("0.bias.step")?.item(),
      state.get("0.bias.step")?.dtype,
      state.get("0.weight.exp_avg")?.shape,
    ]).toEqual([2, "float32", [5, 4]]);
  });

  it("does not depend on the order of named parameters", () => {
    const model = build(2);
    const optimizer = own(new SGD(model.namedParameters(), { lr: 0.1, momentum: 0.9 }));
    train(model, optimizer, 1);
    const reversed = own(new SGD([...model.namedParameters()].reverse(), { lr: 0.1, momentum: 0.9 }));
    reversed.loadState(optimizer.stateTensors());
    expect(reversed.stateTensors().get("1.bias.momentum_buffer")).toBeAllclose(
      optimizer.stateTensors().get("1.bias.momentum_buffer") as Tensor,
    );
  });

  it("can be loaded into itself, and replaced by an empty one", () => {
    const model = build(3);
    const optimizer = own(new Adam(model.namedParameters()));
    train(model, optimizer, 2);
    const before = valuesOf(optimizer.stateTensors().get("0.weight.exp_avg") as Tensor);
    optimizer.loadState(optimizer.stateTensors());
    expect(valuesOf(optimizer.stateTensors().get("0.weight.exp_avg") as Tensor)).toEqual(before);
    optimizer.loadState(new Map());
    expect(optimizer.stateTensors().size).toBe(0);
  });

  it.each<[string, (state: Map<string, Tensor>) => void, string, RegExp]>([
    [
      "an unknown name",
      (state) => state.set("9.weight.exp_avg", zeros([1])),
      "E_CHECKPOINT",
      /Adam.loadState: 1 name fits no parameter .*\(9.weight.exp_avg\)/,
    ],
    [
      "another optimizer's state",
      (state) => state.set("0.weight.momentum_buffer", zeros([5, 4])),
      "E_CHECKPOINT",
      /momentum_buffer/,
    ],
    [
      "half a parameter's state",
      (state) => state.delete("0.bias.exp_avg_sq"),
      "E_CHECKPOINT",
      /"0.bias" lacks exp_avg_sq/,
    ],
    [
      "a wrong shape",
      (state) => state.set("1.weight.exp_avg", zeros([3])),
      "E_SHAPE",
      /1.weight.exp_avg must be \[2, 5\], got \[3\]/,
    ],
    [
      "a step that is no count",
      (state) => state.set("1.bias.step", tensor([0.5], { shape: [] })),
      "E_CHECKPOINT",
      /1.bias.step must be a count, got 0.5/,
    ],
  ])("refuses %s, and stays as it was", (_, spoil, code, message) => {
    const model = build(4);
    const optimizer = own(new Adam(model.namedParameters()));
    train(model, optimizer, 1);
    const before = valuesOf(optimizer.stateTensors().get("0.weight.exp_avg") as Tensor);
    const state = new Map(optimizer.stateTensors());
    spoil(state);
    expect(() => optimizer.loadState(state)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
    expect(valuesOf(optimizer.stateTensors().get("0.weight.exp_avg") as Tensor)).toEqual(before);
  });
});
