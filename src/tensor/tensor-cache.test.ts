import { describe, expect, it } from "vitest";
import { ssim } from "../losses/index.ts";
import { imputeLinearly } from "../metrics/index.ts";
import { BatchNorm2d, Conv2d, Sequential } from "../nn/index.ts";
import { emptyCache, interpolate, memory, noGrad, ones, rand, tidy, zeros } from "./index.ts";
import { derivedTensors, forgetDerived, TensorCache } from "./tensor-cache.ts";

describe("a cache of constant tensors", () => {
  const row = (bytes: number) => () => zeros([bytes], { dtype: "uint8" });

  it("frees the least recently used once they exceed its bytes together", () =>
    tidy(() => {
      const cache = new TensorCache(400);
      const [a, b] = [cache.get("a", row(100)), cache.get("b", row(100))];
      for (const key of ["c", "d"]) cache.get(key, row(100));
      expect(cache.get("a", row(100))).toBe(a);
      cache.get("e", row(100));
      expect([a.isDisposed, b.isDisposed]).toEqual([false, true]);
    }));

  it("does not keep a tensor of more than a quarter of them, which belongs to the caller's tidy", () => {
    const cache = new TensorCache(400);
    const made = tidy(() => {
      const large = cache.get("large", row(101));
      expect(cache.get("large", row(101))).not.toBe(large);
      return [cache.get("small", row(100))];
    });
    expect(made[0]?.isDisposed).toBe(false);
    cache.clear();
    expect(made[0]?.isDisposed).toBe(true);
  });
});

describe("tensors derived from others", () => {
  it("are made again if a source changes or is replaced, or for another purpose, and are freed then", () =>
    tidy(() => {
      const owner = {};
      const [source, other] = [ones([2]), ones([2])];
      const derived = (from: typeof source, purpose: string) =>
        derivedTensors(owner, { sources: [from], purpose, make: () => ({ doubled: from.mul(2), factor: 2 }) });
      const first = derived(source, "a");
      expect(derived(source, "a")).toBe(first);
      source.add_(1);
      const second = derived(source, "a");
      expect([first.doubled.isDisposed, second.doubled.tolist()]).toEqual([true, [4, 4]]);
      const third = derived(other, "a");
      expect([second.doubled.isDisposed, third.doubled.tolist()]).toEqual([true, [2, 2]]);
      const fourth = derived(other, "b");
      expect([third.doubled.isDisposed, fourth.doubled.isDisposed]).toEqual([true, false]);
      forgetDerived(owner);
      expect(fourth.doubled.isDisposed).toBe(true);
    }));

  it("outlive the tidy in which they are made, until emptyCache", () => {
    const owner = {};
    using source = ones([2]);
    const make = () => ({ sum: source.sum() });
    const derived = () => derivedTensors(owner, { sources: [source], purpose: "", make });
    tidy(() => void derived());
    const kept = derived();
    expect(kept.sum.item()).toBe(2);
    emptyCache();
    expect(kept.sum.isDisposed).toBe(true);
  });
});

describe("what the library keeps to save time", () => {
  const held = () => memory().bytes;
  const resize = (n: number) => tidy(() => void interpolate(zeros([1, n, n + 3]), { size: [2 * n, 2 * n] }));

  it("is bounded whatever the number of sizes, and gone after emptyCache", () => {
    emptyCache();
    const before = memory();
    for (let n = 1; n <= 200; n++) {
      resize(n);
      if (n <= 40) tidy(() => void ssim(rand([1, n, n + 3]), rand([1, n, n + 3])));
    }
    for (let n = 2; n <= 30; n++) tidy(() => void imputeLinearly(rand([1, 1, n, n]), ones([1, n, n])));
    expect(held() - before.bytes).toBeGreaterThan(0);
    expect(held() - before.bytes).toBeLessThan(40 * 2 ** 20);
    emptyCache();
    expect(memory()).toMatchObject({ liveTensors: before.liveTensors, bytes: before.bytes });
    resize(5);
    expect(
      interpolate(ones([1, 5, 8]), { size: [10, 10] })
        .sum()
        .item(),
    ).toBe(100);
  });

  it("holds no weights for images that are large", () => {
    emptyCache();
    const before = held();
    tidy(() => void interpolate(zeros([1, 2, 3000]), { size: [2, 6000] }));
    expect(held()).toBe(before);
  });

  it("includes the weights that inference has folded, which the next pass makes again", () => {
    const model = new Sequential(new Conv2d(3, 8, 3), new BatchNorm2d(8)).eval();
    const x = rand([2, 3, 9, 9]);
    const run = () => tidy(() => noGrad(() => model.forward(x).data()));
    emptyCache();
    const before = memory();
    const first = run();
    emptyCache();
    expect(memory()).toMatchObject({ liveTensors: before.liveTensors, bytes: before.bytes });
    expect(run()).toEqual(first);
    model.dispose();
  });
});
