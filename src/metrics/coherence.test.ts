import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memory, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import { Coherence, coherence } from "./coherence.ts";

const WIDTH = 3;
const stack = (maps: readonly (readonly number[])[]) =>
  tensor(Float64Array.from(maps.flat()), { shape: [maps.length, 2, WIDTH], dtype: "float32" });

/** The definition by loops: the mean over classes of the mean cosine similarity of all ordered pairs. */
function byPairs(maps: readonly (readonly number[])[], labels: readonly number[]): number {
  const dot = (a: readonly number[], b: readonly number[]) =>
    a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);
  const cosine = (a: readonly number[], b: readonly number[]) => {
    const norms = Math.sqrt(dot(a, a) * dot(b, b));
    return norms === 0 ? 0 : dot(a, b) / norms;
  };
  const means = [...new Set(labels)].flatMap((label) => {
    const own = maps.filter((_, i) => labels[i] === label);
    const pairs = own.flatMap((a, i) => own.filter((_, j) => i !== j).map((b) => cosine(a, b)));
    return pairs.length === 0 ? [] : [pairs.reduce((sum, value) => sum + value, 0) / pairs.length];
  });
  return means.reduce((sum, value) => sum + value, 0) / means.length;
}

const map = fc.oneof(
  { weight: 5, arbitrary: fc.array(fc.integer({ min: -8, max: 8 }), { minLength: 6, maxLength: 6 }) },
  { weight: 1, arbitrary: fc.constant([0, 0, 0, 0, 0, 0]) },
);
const samples = fc.array(fc.tuple(map, fc.nat(3)), { minLength: 1, maxLength: 12 });

describe("coherence", () => {
  it("equals the mean over all pairs of each class, dead maps included", () =>
    fc.assert(
      fc.property(samples, (drawn) => {
        const maps = drawn.map(([values]) => values);
        const labels = drawn.map(([, label]) => label);
        const expected = byPairs(maps, labels);
        const value = tidy(() => coherence(stack(maps), labels, 4));
        expect(value).toBeAllclose(expected, { rtol: 1e-9, atol: 1e-9, equalNan: true });
      }),
    ));

  it("is 1 for maps that differ in scale alone, 0 for maps that share no pixel or are dead, −1 for opposites", () =>
    tidy(() => {
      const [a, b] = [
        [1, 2, 3, 0, 0, 0],
        [0, 0, 0, 1, 0, 0],
      ];
      const of = (...maps: number[][]) =>
        coherence(
          stack(maps),
          maps.map(() => 0),
          1,
        );
      expect(
        of(
          a,
          a.map((value) => value * 1e-6),
        ),
      ).toBeAllclose(1, { rtol: 1e-6 });
      expect(of(a, b)).toBeAllclose(0, { atol: 1e-12 });
      expect(
        of(
          a,
          a.map((value) => -value),
        ),
      ).toBeAllclose(-1, { rtol: 1e-9 });
      expect(of(a, [0, 0, 0, 0, 0, 0])).toBeAllclose(0, { atol: 1e-12 });
      expect(of(a, a, [0, 0, 0, 0, 0, 0])).toBeAllclose(1 / 3, { rtol: 1e-9 });
    }));

  it("is NaN if no class has two maps, and leaves out classes of one", () =>
    tidy(() => {
      const maps = stack([
        [1, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0],
      ]);
      expect(coherence(maps, [0, 1, 2], 3)).toBeNaN();
      expect(coherence(maps, [0, 0, 2], 3)).toBeAllclose(1);
    }));
});

describe("Coherence", () => {
  it("gathers batches to what the whole stack gives, whatever the batches", () =>
    fc.assert(
      fc.property(samples, fc.nat(12), (drawn, cut) => {
        const [maps, labels] = [drawn.map(([values]) => values), drawn.map(([, label]) => label)];
        const gathered = new Coherence(4);
        tidy(() => {
          for (const part of [
            [0, cut],
            [cut, 12],
          ] as const) {
            const slice = maps.slice(...part);
            if (slice.length > 0) gathered.update(stack(slice), labels.slice(...part));
          }
        });
        const { mean, counts } = gathered.summary();
        expect(mean).toBeAllclose(
          tidy(() => coherence(stack(maps), labels, 4)),
          { rtol: 1e-12, atol: 1e-12, equalNan: true },
        );
        expect(counts).toEqual([0, 1, 2, 3].map((c) => labels.filter((label) => label === c).length));
        gathered.reset();
      }),
      { numRuns: 50 },
    ));

  it("distinguishes the classes, NaN below two maps, and may continue after a summary", () =>
    tidy(() => {
      using gathered = new Coherence(3);
      gathered.update(
        stack([
          [1, 0, 0, 0, 0, 0],
          [0, 1, 0, 0, 0, 0],
          [0, 0, 2, 0, 0, 0],
        ]),
        [0, 0, 1],
      );
      expect(gathered.summary()).toEqual({ mean: 0, perClass: [0, Number.NaN, Number.NaN], counts: [2, 1, 0] });
      gathered.update(stack([[0, 0, 5, 0, 0, 0]]), tensor([1], { dtype: "int64" }));
      expect(gathered.summary().perClass).toBeAllclose([0, 1, Number.NaN], { equalNan: true });
      expect(gathered.summary().mean).toBeAllclose(0.5);
    }));

  it("starts afresh after reset, also with another size, and frees what it held", () => {
    const gathered = new Coherence(2);
    const { liveTensors } = memory();
    tidy(() => gathered.update(stack([[1, 0, 0, 0, 0, 0]]), [0]));
    expect(memory().liveTensors).toBe(liveTensors + 1);
    gathered.reset();
    expect(memory().liveTensors).toBe(liveTensors);
    expect(gathered.summary()).toEqual({ mean: Number.NaN, perClass: [Number.NaN, Number.NaN], counts: [0, 0] });
    tidy(() => gathered.update(zeros([2, 5, 5]), [1, 1]));
    expect(gathered.summary().perClass).toEqual([Number.NaN, 0]);
    gathered.reset();
  });

  it("makes the class and the mean NaN for a map that contains NaN, and no other class", () =>
    tidy(() => {
      using gathered = new Coherence(2);
      gathered.update(
        stack([
          [1, 0, 0, 0, 0, Number.NaN],
          [1, 0, 0, 0, 0, 0],
        ]),
        [0, 0],
      );
      gathered.update(
        stack([
          [1, 0, 0, 0, 0, 0],
          [1, 0, 0, 0, 0, 0],
        ]),
        [1, 1],
      );
      const { mean, perClass } = gathered.summary();
      expect(mean).toBeNaN();
      expect(perClass).toBeAllclose([Number.NaN, 1], { equalNan: true });
    }));

  it("keeps its sums when it refuses a batch", () =>
    tidy(() => {
      using gathered = new Coherence(2);
      gathered.update(
        stack([
          [1, 0, 0, 0, 0, 0],
          [1, 0, 0, 0, 0, 0],
        ]),
        [0, 0],
      );
      const before = gathered.summary();
      const bad: [Tensor, readonly number[], string, RegExp][] = [
        [zeros([2, 4, 4]), [0, 0], "E_SHAPE", /maps must be 2x3 as before, got 4x4/],
        [zeros([2, 2]), [0, 0], "E_SHAPE", /maps must be \[N, H, W\], got \[2, 2\]/],
        [zeros([2, 2, 3]), [0], "E_SHAPE", /expected 2 labels/],
        [zeros([2, 2, 3]), [0, 2], "E_ARGUMENT", /label 1 must be 0 to 1, got 2/],
        [zeros([2, 2, 3]), [0, 0.5], "E_DTYPE", /label 1 must be a class index/],
        [null as unknown as Tensor, [0], "E_ARGUMENT", /maps: expected a Tensor, got null/],
      ];
      for (const [maps, labels, code, message] of bad) {
        expect(() => gathered.update(maps, labels)).toThrow(
          expect.objectContaining({ code, message: expect.stringMatching(message) }),
        );
        expect(() => gathered.update(maps, labels)).toThrow(/^Coherence.update: /);
      }
      expect(gathered.summary()).toEqual(before);
    }));

  it("refuses maps without a pixel, and a number of classes that is none", () => {
    expect(() => tidy(() => new Coherence(1).update(zeros([2, 0, 3]), [0, 0]))).toThrow(
      /^Coherence.update: maps have no pixels, got 0x3/,
    );
    for (const count of [0, -1, 2.5, Number.NaN, "3" as unknown as number]) {
      expect(() => new Coherence(count)).toThrow(/^Coherence: numClasses must be an integer from 1 to 16777216, got/);
    }
  });
});
