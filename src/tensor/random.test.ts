import { describe, expect, it } from "vitest";
import {
  empty,
  getRngState,
  manualSeed,
  rand,
  randn,
  randperm,
  setRngState,
  type Tensor,
  tensor,
  zeros,
} from "./index.ts";

const seeded = (seed: number, draw: () => Tensor) => {
  manualSeed(seed);
  return draw();
};

/**
 * The values that torch 2.11.0 draws on the CPU after torch.manual_seed(seed), in float32's precision: torch.randn(5),
 * torch.rand(20)[15:] and so on. From 16 elements on, randn uses a different, vectorised algorithm.
 */
const TORCH: readonly (readonly [string, () => Tensor, readonly number[]])[] = [
  ["randn of 5", () => seeded(0, () => randn([5])), [1.5409961, -0.2934289, -2.1787894, 0.56843126, -1.0845224]],
  [
    "randn of 20",
    () => seeded(0, () => randn([20])),
    [
      -1.1258398, -1.1523602, -0.25057858, -0.43387881, 0.59883946, -1.5550951, -0.34136039, 1.8530061, 0.46809641,
      -0.15771246, 1.4436601, 0.26604941, 1.3893661, 1.5863342, 0.94629836, -0.84367675, 0.93182659, 1.2590092,
      2.0049806, 0.053736903,
    ],
  ],
  [
    "the end of randn of 100,000",
    () => seeded(0, () => randn([100_000]).slice(0, -3)),
    [0.58583862, 1.5073024, 0.95573777],
  ],
  [
    "randn in float64",
    () => seeded(0, () => randn([5], { dtype: "float64" })),
    [1.5409961082440433, -0.2934289057609464, -2.1787893820745574, 0.5684312772806678, -1.084522342424021],
  ],
  ["randn in bfloat16", () => seeded(0, () => randn([3], { dtype: "bfloat16" })), [1.5390625, -0.29296875, -2.171875]],
  ["rand of 5", () => seeded(0, () => rand([5])), [0.49625659, 0.7682218, 0.088477433, 0.13203049, 0.30742282]],
  [
    "the end of rand of 20",
    () => seeded(0, () => rand([20]).slice(0, 15)),
    [0.51852179, 0.6976676, 0.8000114, 0.16102946, 0.28226858],
  ],
  [
    "rand from a seed beyond 32 bits",
    () => seeded(1234567890123, () => rand([3])),
    [0.3553291, 0.050422072, 0.43275094],
  ],
  ["randperm", () => seeded(0, () => randperm(10)), [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]],
  ["bernoulli_", () => seeded(0, () => empty([8]).bernoulli_(0.5)), [0, 0, 1, 0, 0, 0, 1, 1]],
  ["uniform_", () => seeded(0, () => empty([3]).uniform_(-2, 2)), [-0.01497364, 1.0728872, -1.6460903]],
  ["normal_", () => seeded(0, () => empty([3]).normal_(5, 0.1)), [5.1540995, 4.9706569, 4.7821212]],
];

describe("manualSeed", () => {
  it.each(TORCH)("makes %s draw what torch draws", (_, draw, expected) => {
    expect(draw()).toBeAllclose(expected, { rtol: 2e-7, atol: 1e-7 });
  });

  it("runs through kinds of draws in torch's order", () => {
    manualSeed(0);
    expect(randn([3])).toBeAllclose([1.5409961, -0.2934289, -2.1787894], { rtol: 1e-6 });
    expect(rand([2])).toBeAllclose([0.45562798, 0.63230628], { rtol: 1e-6 });
    expect(randn([2])).toBeAllclose([0.56843126, 0.16038126], { rtol: 1e-6 });
  });

  it("gives the same bits for the same seed, others for another", () => {
    const first = seeded(7, () => randn([1000])).data();
    expect(seeded(7, () => randn([1000])).data()).toEqual(first);
    expect(seeded(8, () => randn([1000])).data()).not.toEqual(first);
    expect(randn([1000]).data()).not.toEqual(first);
    expect(seeded(2 ** 53 - 1, () => rand([3])).data()).toEqual(seeded(2 ** 53 - 1, () => rand([3])).data());
  });

  it.each([-1, 0.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY, "1", null, undefined, 1n])("refuses %o", (seed) => {
    expect(() => manualSeed(seed as number)).toThrow(
      expect.objectContaining({ code: "E_ARGUMENT", message: expect.stringMatching(/manualSeed: seed/) }),
    );
  });
});

describe("the generator's state", () => {
  it("continues the sequence from where it was taken, also between two halves of a pair", () => {
    manualSeed(3);
    randn([3]); // an odd number of values, so that the second value of a Box-Muller pair is kept
    const state = getRngState();
    const draws = () => [randn([4]), rand([4]), randperm(9)].map((t) => t.data());
    const first = draws();
    expect(draws()).not.toEqual(first);
    setRngState(state);
    expect(draws()).toEqual(first);
  });

  it("travels as bytes", () => {
    const bytes = getRngState().data();
    expect(bytes).toBeInstanceOf(Uint8Array);
    const first = rand([3]).data();
    setRngState(tensor(bytes as Uint8Array));
    expect(rand([3]).data()).toEqual(first);
  });

  it.each([
    ["a wrong length", () => setRngState(zeros([3], { dtype: "uint8" })), /wrong size|not enough|expect/i],
    ["a wrong dtype", () => setRngState(zeros([5056])), /./],
    ["random bytes", () => setRngState(full255()), /invalid|expect|wrong/i],
    ["a number", () => setRngState(5 as never), /setRngState: state: expected a Tensor, got 5/],
    ["nothing", () => setRngState(undefined as never), /expected a Tensor, got undefined/],
  ])("refuses %s and leaves the generator as it was", (_, set, message) => {
    const state = getRngState();
    const next = rand([4]).data();
    setRngState(state);
    expect(set).toThrow(expect.objectContaining({ name: "BatchCamError", message: expect.stringMatching(message) }));
    expect(rand([4]).data()).toEqual(next);
  });
});

function full255(): Tensor {
  return tensor(new Uint8Array(getRngState().numel).fill(255));
}

describe("draws", () => {
  it("are at the expected positions", () => {
    manualSeed(1);
    const uniform = rand([10_000]);
    expect([uniform.min().item() >= 0, uniform.max().item() < 1]).toEqual([true, true]);
    const normal = randn([100_000]);
    expect(Math.abs(normal.mean().item())).toBeLessThan(0.02);
    expect(Math.abs(normal.std().item() - 1)).toBeLessThan(0.02);
    expect(Array.from(randperm(100).sort().values.data() as BigInt64Array, Number)).toEqual(
      Array.from({ length: 100 }, (_, i) => i),
    );
    expect(randperm(0).shape).toEqual([0]);
  });

  it.each([
    ["a negative deviation", () => empty([3]).normal_(0, -1), /std/],
    ["a reversed range", () => empty([3]).uniform_(1, 0), /uniform/],
    ["a probability above 1", () => empty([3]).bernoulli_(1.5), /bernoulli|p in \[0, 1\]/],
    ["a string", () => empty([3]).normal_("0" as never), /normal_: mean: expected a number, got "0"/],
    ["NaN", () => empty([3]).uniform_(Number.NaN, 1), /./],
  ])("refuse %s", (_, draw, message) => {
    expect(draw).toThrow(expect.objectContaining({ name: "BatchCamError", message: expect.stringMatching(message) }));
  });
});
