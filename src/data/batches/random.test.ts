import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { randomBelow, randomSource, shuffle } from "./random.ts";

const take = (count: number, keys: Record<string, number>, purpose = "test") => {
  const next = randomSource(purpose, keys);
  return Array.from({ length: count }, next);
};

describe("randomSource", () => {
  it("gives the same numbers on every machine", () => {
    expect(take(4, { seed: 7, epoch: 3 })).toEqual([3082014551, 693653052, 876074466, 1398247327]);
  });

  it("gives unrelated streams for near keys, swapped keys, high words and other purposes", () => {
    const streams = [
      take(64, { seed: 0, epoch: 0 }),
      take(64, { seed: 1, epoch: 0 }),
      take(64, { seed: 0, epoch: 1 }),
      take(64, { seed: 2 ** 32, epoch: 0 }),
      take(64, { seed: 0, epoch: 0 }, "other"),
    ];
    const all = streams.flat();
    expect(new Set(all).size).toBeGreaterThan(all.length - 2);
  });

  it("is uniform: every bit is set about half of the time", () => {
    const numbers = take(20_000, { seed: 11 });
    for (let bit = 0; bit < 32; bit++) {
      const share = numbers.filter((n) => (n >>> bit) & 1).length / numbers.length;
      expect(Math.abs(share - 0.5)).toBeLessThan(0.02);
    }
  });

  it.each([-1, 0.5, Number.NaN, 2 ** 53])("refuses the key %d", (seed) => {
    expect(() => randomSource("shuffle", { seed })).toThrow(
      /^shuffle: seed must be an integer from 0 to 2\^53 - 1, got/,
    );
  });
});

describe("randomBelow", () => {
  it("stays below its limit and reaches every value", () => {
    const next = randomSource("test", { seed: 1 });
    const counts = new Array<number>(6).fill(0);
    for (let i = 0; i < 6000; i++) (counts[randomBelow(next, 6)] as number)++;
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  it("draws again where a plain remainder would favour small values", () => {
    const draws = [2 ** 32 - 1, 4];
    expect(randomBelow(() => draws.shift() as number, 3)).toBe(1);
  });
});

describe("shuffle", () => {
  it("keeps the elements", () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), fc.nat(), (items, seed) => {
        const shuffled = shuffle([...items], randomSource("test", { seed }));
        expect(shuffled.toSorted()).toEqual(items.toSorted());
      }),
    );
  });

  it("makes every order of three about equally often", () => {
    const counts = new Map<string, number>();
    for (let seed = 0; seed < 6000; seed++) {
      const order = shuffle([0, 1, 2], randomSource("test", { seed })).join("");
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });
});
