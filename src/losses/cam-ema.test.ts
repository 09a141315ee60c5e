import { describe, expect, it } from "vitest";
import { full, memory, rand, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import { CamEma } from "./cam-ema.ts";

const constants = (...values: number[]) =>
  tensor(
    values.flatMap((value) => [value, value, value, value]),
    { shape: [values.length, 2, 2] },
  );

const firstPixels = ({ prototypes }: CamEma) => Array.from(prototypes.select(2, 0).select(1, 0).data(), Number);

describe("CamEma", () => {
  it("starts with the first mean it sees, and decays from there, class by class", () => {
    const ema = new CamEma(3, [2, 2], { decay: 0.9 });
    ema.update(constants(1, 3, 8), [0, 0, 2]);
    expect(firstPixels(ema)).toBeAllclose([2, 0, 8]);
    expect(Array.from(ema.seen.data(), Number)).toEqual([1, 0, 1]);
    ema.update(constants(4, 6), [0, 1]);
    expect(firstPixels(ema)).toBeAllclose([0.9 * 2 + 0.1 * 4, 6, 8], { rtol: 1e-6 });
    expect(Array.from(ema.seen.data(), Number)).toEqual([1, 1, 1]);
  });

  it("is the running average by its formula over many steps", () => {
    const ema = new CamEma(2, [2, 2], { decay: 0.8 });
    let expected: number | undefined;
    for (let step = 0; step < 20; step++) {
      const value = Math.sin(step);
      ema.update(constants(value, -value), [1, 0]);
      expected = expected === undefined ? value : 0.8 * expected + 0.2 * value;
    }
    expect(firstPixels(ema)).toBeAllclose([-(expected as number), expected as number], { rtol: 1e-5 });
  });

  it("follows the last batch alone with a decay of zero, and 0.99 is the default", () => {
    const ema = new CamEma(1, [2, 2], { decay: 0 });
    for (const value of [5, 7]) ema.update(constants(value), [0]);
    expect(firstPixels(ema)).toEqual([7]);
    expect(new CamEma(1, [2, 2]).decay).toBe(0.99);
  });

  it("keeps no graph of the maps, and takes 16-bit ones", () => {
    const ema = new CamEma(2, [2, 2]);
    ema.update(constants(1, 2).requiresGrad_(), tensor([0, 1], { dtype: "int64" }));
    ema.update(constants(1, 2).to("bfloat16"), [0, 1]);
    expect(ema.prototypes.requiresGrad).toBe(false);
    expect(ema.prototypes.dtype).toBe("float32");
  });

  it("outlives a tidy, and makes no tensor that stays", () => {
    const ema = tidy(() => new CamEma(2, [2, 2]));
    const update = () => tidy(() => ema.update(constants(1, 2), [0, 1]));
    update();
    const { liveTensors } = memory();
    for (let i = 0; i < 5; i++) update();
    expect(memory().liveTensors).toBe(liveTensors);
    expect(firstPixels(ema)).toBeAllclose([1, 2]);
  });

  it("continues from a saved state", () => {
    const [original, restored] = [new CamEma(2, [3, 3]), new CamEma(2, [3, 3])];
    original.update(rand([4, 3, 3]), [0, 1, 1, 0]);
    restored.loadState(new Map(Array.from(original.state(), ([name, value]) => [name, value.clone()])));
    const maps = rand([2, 3, 3]);
    for (const ema of [original, restored]) ema.update(maps, [1, 1]);
    expect(restored.prototypes.equal(original.prototypes)).toBe(true);
  });

  it("refuses a state that lacks a tensor or has one of another shape, and stays as it was", () => {
    const ema = new CamEma(2, [2, 2]);
    ema.update(constants(1, 2), [0, 1]);
    const good = new Map([
      ["camEma.prototypes", zeros([2, 2, 2])],
      ["camEma.seen", zeros([2])],
    ]);
    const bad: [string, Tensor | undefined, RegExp][] = [
      ["camEma.seen", undefined, /^CamEma.loadState: the state has no camEma.seen/],
      ["camEma.prototypes", zeros([1, 2, 2]), /camEma.prototypes must be \[2, 2, 2\], got \[1, 2, 2\]/],
      ["camEma.seen", full([1], 1), /camEma.seen must be \[2\], got \[1\]/],
    ];
    for (const [name, value, message] of bad) {
      const state = new Map<string, Tensor>(good);
      if (value === undefined) state.delete(name);
      else state.set(name, value);
      expect(() => ema.loadState(state)).toThrow(
        expect.objectContaining({ code: "E_CHECKPOINT", message: expect.stringMatching(message) }),
      );
      expect(firstPixels(ema)).toBeAllclose([1, 2]);
    }
  });

  // biome-ignore lint/suspicious/noExplicitAny: what a JavaScript caller might pass.
  it.each<[any, any, any, RegExp]>([
    [0, [2, 2], {}, /numClasses must be an integer from 1 to 16777216, got 0/],
    [2.5, [2, 2], {}, /numClasses must be an integer from 1 to 16777216, got 2.5/],
    [2, 3, {}, /size must be \[height, width\], integers > 0, got 3/],
    [2, [2, 0], {}, /size must be/],
    [2, [2, 2, 2], {}, /size must be/],
    [2, [2, 2], { decay: 1 }, /decay must be in \[0, 1\), got 1/],
    [2, [2, 2], { decay: -0.1 }, /decay must be/],
    [2, [2, 2], { decay: Number.NaN }, /decay must be/],
  ])("refuses %o classes, size %o and options %o", (numClasses, size, options, message) => {
    const expected = expect.objectContaining({ code: "E_ARGUMENT", message: expect.stringMatching(message) });
    expect(() => new CamEma(numClasses, size, options)).toThrow(expected);
  });

  it.each<[string, () => [Tensor, readonly number[]], string, RegExp]>([
    ["maps of another size", () => [zeros([1, 3, 2]), [0]], "E_SHAPE", /maps must be \[B, H=2, W\], got \[1, 3, 2\]/],
    ["an empty batch", () => [zeros([0, 2, 2]), []], "E_SHAPE", /maps have no values/],
    ["labels of another count", () => [zeros([2, 2, 2]), [0]], "E_SHAPE", /expected 2 labels/],
    ["an unknown class", () => [zeros([1, 2, 2]), [2]], "E_ARGUMENT", /label 0 must be 0 to 1, got 2/],
    [
      "integer maps",
      () => [zeros([1, 2, 2], { dtype: "int64" }), [0]],
      "E_DTYPE",
      /maps must have a floating-point dtype/,
    ],
  ])("refuses to update with %s", (_, input, code, message) => {
    const ema = new CamEma(2, [2, 2]);
    const run = () => tidy(() => ema.update(...input()));
    expect(run).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
    expect(run).toThrow(/^CamEma.update: /);
  });
});
