import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memory, tensor } from "../../tensor/index.ts";
import { disposeDataset, loadDataset, prototypeShape, type Split } from "../index.ts";
import { describeShape } from "./prototype-shape.ts";

type Draw = (label: number, next: () => number) => Uint8Array;

function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function splitOf(count: number, classes: number, side: number, draw: Draw, seed = 1): Split {
  const next = randomNumbers(seed);
  const labels = Array.from({ length: count }, (_, i) => i % classes);
  const pixels = Buffer.concat(labels.map((label) => draw(label, next)));
  const channels = pixels.length / (count * side * side);
  return {
    ...{ name: "train", numClasses: classes, normalization: { mean: [0], std: [1] } },
    classNames: Array.from({ length: classes }, (_, label) => `class ${label}`),
    images: tensor(new Uint8Array(pixels), { shape: [count, channels, side, side], dtype: "uint8" }),
    labels: tensor(BigInt64Array.from(labels, BigInt), { shape: [count], dtype: "int64" }),
  };
}

const SIDE = 24;

/**
 * A disc, a square or a bar of a random colour on a uniform background, near the centre or at a random position, with
 * or without a bright sky, similar to objects in photographs.
 */
const scene =
  ({ centred = false, sky = false }): Draw =>
  (label, next) => {
    const ground = next() * 200;
    const radius = SIDE * (0.1 + next() * 0.15);
    const place = () => (centred ? SIDE * (0.45 + 0.1 * next()) : radius + next() * (SIDE - 2 * radius));
    const [x0, y0] = [place(), place()];
    const colours = [0, 1, 2].map(() => (centred ? 255 : next() * 255));
    return Uint8Array.from({ length: 3 * SIDE * SIDE }, (_, i) => {
      const [x, y] = [Math.abs((i % SIDE) - x0), Math.abs((Math.floor(i / SIDE) % SIDE) - y0)];
      const inside = [Math.hypot(x, y) < radius, Math.max(x, y) < radius, x < radius / 4 && y < radius][label % 3];
      if (inside) return colours[Math.floor(i / (SIDE * SIDE))] as number;
      const bright = sky && Math.floor(i / SIDE) % SIDE < SIDE / 3;
      return (bright ? 220 : sky ? 60 : ground) + next() * 30;
    });
  };

describe("prototypeShape", () => {
  it.each([
    ["mnist", 0.45, 0.21],
    ["fashion-mnist", 0.6, 0.39],
  ])("says that %s carries shape", async (name, contrast, separation) => {
    const set = await loadDataset(name);
    const shape = prototypeShape(set.train);
    expect(shape.carries).toBe("shape");
    expect(Math.abs(shape.contrast - contrast)).toBeLessThan(0.02);
    expect(Math.abs(shape.separation - separation)).toBeLessThan(0.02);
    disposeDataset(set);
  });

  it.each([
    ["things in random places carry none", {}, "none"],
    ["things near the centre carry shape", { centred: true }, "shape"],
    ["things in random places under a sky carry one shape for all classes", { sky: true }, "common"],
  ] as const)("says that %s, of many images and of few", (_, kind, carries) => {
    for (const count of carries === "common" ? [300] : [30, 200])
      for (const seed of [1, 2]) {
        const split = splitOf(count, 3, SIDE, scene(kind), seed);
        expect(prototypeShape(split).carries, `${count} images, seed ${seed}`).toBe(carries);
      }
  });

  it("is the ratio of variances and omega squared of their definitions", () => {
    const [count, classes, side] = [24, 3, 4];
    const draw: Draw = (label, next) =>
      Uint8Array.from({ length: side * side }, (_, i) => next() * 100 + (i % 3 === label ? 90 : 0));
    const split = splitOf(count, classes, side, draw);
    const bytes = split.images.data() as Uint8Array;
    const images = Array.from({ length: count }, (_, n) => {
      const own = Array.from(bytes.subarray(n * 16, (n + 1) * 16), (value) => value / 255);
      const mean = own.reduce((sum, value) => sum + value, 0) / 16;
      return own.map((value) => value - mean);
    });
    const meanOf = (rows: number[][]) =>
      Array.from({ length: 16 }, (_, p) => rows.reduce((s, r) => s + (r[p] ?? 0), 0) / rows.length);
    const square = (row: number[]) => row.reduce((sum, value) => sum + value ** 2, 0) / 16;
    const minus = (a: number[], b: number[]) => a.map((value, p) => value - (b[p] ?? 0));
    const groups = [0, 1, 2].map((label) => images.filter((_, n) => n % classes === label));
    const grand = meanOf(images);
    const total = images.reduce((sum, row) => sum + square(minus(row, grand)), 0);
    const between = groups.reduce((sum, rows) => sum + rows.length * square(minus(meanOf(rows), grand)), 0);
    const within = (total - between) / (count - classes);
    const own = images.reduce((sum, row) => sum + square(row), 0) / count;
    const kept = groups.reduce((sum, rows) => {
      const spread = rows.reduce((s, row) => s + square(row), 0) / 8;
      return sum + (8 * square(meanOf(rows)) - spread) / 7 / 3;
    }, 0);
    const { contrast, separation } = prototypeShape(split);
    expect(contrast).toBeCloseTo(kept / own, 5);
    expect(separation).toBeCloseTo((between - 2 * within) / (total + within), 5);
  });

  it("is 1 for classes of equal images, 0 for even ones, and between 0 and 1 for any", () => {
    const equal = splitOf(6, 2, 4, (label) => Uint8Array.from({ length: 16 }, (_, i) => (i % 2 === label ? 255 : 0)));
    const even = splitOf(6, 2, 4, (_, next) => new Uint8Array(16).fill(next() * 255));
    expect(prototypeShape(equal)).toEqual({ contrast: 1, separation: 1, carries: "shape" });
    expect(prototypeShape(even)).toEqual({ contrast: 0, separation: 0, carries: "none" });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 1, max: 4 }),
        fc.nat(1000),
        (count, classes, seed) => {
          const noise: Draw = (_, next) => Uint8Array.from({ length: 9 }, () => next() * 256);
          const { contrast, separation } = prototypeShape(splitOf(count, classes, 3, noise, seed));
          for (const value of [contrast, separation]) expect(value >= 0 && value <= 1).toBe(true);
        },
      ),
      { numRuns: 30 },
    );
  });

  it("shows as many digits of a value as tell it from its limit", () => {
    expect(describeShape({ contrast: 0.5, separation: 0.0496, carries: "common" })).toContain("separation 0.0496;");
    expect(describeShape({ contrast: 0.0999, separation: 0.2, carries: "none" })).toContain("contrast 0.0999,");
    expect(describeShape({ contrast: 0.104, separation: 0.2, carries: "shape" })).toContain("contrast 0.104,");
  });

  it("leaves no tensor allocated, and says what to do", () => {
    const split = splitOf(60, 3, SIDE, scene({}));
    const before = memory().liveTensors;
    const sentence = describeShape(prototypeShape(split));
    expect(memory().liveTensors).toBe(before);
    expect(sentence).toMatch(
      /^Prototypes carry no shape \(contrast 0\.\d+, separation 0\.\d+; .*--prototypes constant; .*cam-ema/,
    );
    expect(describeShape({ contrast: 0.5, separation: 0, carries: "common" })).toMatch(/--prototypes global/);
    expect(describeShape({ contrast: 0.5, separation: 0.3, carries: "shape" })).toBe(
      "Prototypes carry shape (contrast 0.50, separation 0.30).",
    );
  });
});
