import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { drawOperations, matrixOfOperations, OPERATION_NAMES, type Operation, shadesOf } from "./rand-augment.ts";

interface Reference {
  images: {
    name: string;
    shape: [number, number, number];
    pixels: number[];
    cases: (Operation & { pixels: number[] })[];
  }[];
}

// Made by scripts/make-augment-fixtures.py with torchvision.
const { images } = JSON.parse(
  readFileSync(new URL("../../../test/fixtures/rand_augment.json", import.meta.url), "utf8"),
) as Reference;

function histograms(pixels: readonly number[], channels: number): number[][] {
  const size = pixels.length / channels;
  return Array.from({ length: channels }, (_, c) => {
    const counts = new Array<number>(256).fill(0);
    for (const value of pixels.slice(c * size, (c + 1) * size)) counts[value] = (counts[value] as number) + 1;
    return counts;
  });
}

/** A random stream that repeats these numbers. */
const saying = (...numbers: number[]) => {
  let at = 0;
  return () => numbers[at++ % numbers.length] as number;
};

const evenly = fc.array(fc.nat({ max: 50 }), { minLength: 256, maxLength: 256 });
const anyOperation = fc.record({
  name: fc.constantFrom(...OPERATION_NAMES),
  strength: fc.double({ min: -1, max: 1, noNaN: true }),
});

describe("operations on shades", () => {
  it.each(images.flatMap(({ cases, ...image }) => cases.map((one) => ({ ...one, image, title: image.name }))))(
    "do what torchvision's do: $name of strength $strength, $title",
    ({ name, strength, pixels, image }) => {
      const tables = shadesOf([{ name, strength }], histograms(image.pixels, image.shape[0]));
      const size = image.pixels.length / image.shape[0];
      const made = image.pixels.map((value, i) => (tables[Math.floor(i / size)]?.[value] ?? 0) * 255);
      // torchvision truncates results to integers, and the mean grey of contrast too. Its operations that use look-up
      // tables agree exactly.
      const exact = ["posterize", "equalize", "solarize"].includes(name);
      const worst = Math.max(...made.map((value, i) => Math.abs(value - (pixels[i] as number))));
      expect(worst).toBeLessThan(exact ? 1e-3 : 1.5);
    },
  );

  it("give shades in [0, 1], in any order and number", () => {
    fc.assert(
      fc.property(
        fc.array(anyOperation, { maxLength: 4 }),
        fc.array(evenly, { minLength: 1, maxLength: 3 }),
        (ops, h) => {
          for (const table of shadesOf(ops, h)) expect(table.every((value) => value >= 0 && value <= 1)).toBe(true);
        },
      ),
    );
  });

  it("see what the ones before them left: a posterized image is stretched to the full range", () => {
    const [table] = shadesOf(
      [
        { name: "posterize", strength: 1 },
        { name: "autocontrast", strength: 0 },
      ],
      histograms([100, 120, 130, 150], 1),
    );
    expect([100, 120, 130, 150].map((value) => table?.[value])).toEqual(
      [0, 1 / 3, 2 / 3, 1].map((v) => expect.closeTo(v, 5)),
    );
  });

  it("leave an image of one shade, and one without pixels, as they are where they would divide by zero", () => {
    for (const name of ["autocontrast", "equalize"] as const)
      for (const pixels of [[9, 9, 9], []]) {
        const [table] = shadesOf([{ name, strength: 1 }], [histograms(pixels, 1)[0] ?? new Array(256).fill(0)]);
        expect(table?.[9]).toBeCloseTo(9 / 255, 6);
      }
  });
});

describe("operations that move pixels", () => {
  const ofOne = (name: Operation["name"], strength: number, aspect = 1) =>
    matrixOfOperations([{ name, strength }], aspect)[0] as readonly number[];

  it("move by torchvision's ranges, in pixels alike whatever the image's shape", () => {
    expect(ofOne("translateX", 1)).toEqual([1, 0, -300 / 331, 0, 1, -0]);
    expect(ofOne("translateY", -0.5)[5]).toBeCloseTo(150 / 331);
    expect(ofOne("shearX", 1, 2)[1]).toBeCloseTo(-0.3 / 2);
    expect(ofOne("shearY", 1, 2)[3]).toBeCloseTo(-0.3 * 2);
    expect(Math.acos(ofOne("rotate", 1)[0] as number)).toBeCloseTo(Math.PI / 6);
  });

  it("keep the area, all but none of them", () => {
    fc.assert(
      fc.property(anyOperation, fc.double({ min: 0.2, max: 5, noNaN: true }), ({ name, strength }, aspect) => {
        const [a = 0, b = 0, , c = 0, d = 0] = ofOne(name, strength, aspect);
        const sheared = name.startsWith("shear");
        expect(a * d - b * c).toBeCloseTo(1, sheared ? 9 : 9);
      }),
    );
  });
});

describe("drawOperations", () => {
  it("draws each operation about as often, half of the signed ones each way", () => {
    let state = 1;
    const next = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    const drawn = drawOperations(12_000, 5, next);
    for (const name of OPERATION_NAMES) {
      const own = drawn.filter((one) => one.name === name);
      expect(own.length).toBeGreaterThan(850);
      expect(own.length).toBeLessThan(1150);
    }
    const turns = drawn.filter(({ name }) => name === "rotate");
    expect(turns.every(({ strength }) => Math.abs(strength) === 0.5)).toBe(true);
    expect(turns.filter(({ strength }) => strength < 0).length / turns.length).toBeCloseTo(0.5, 0.9);
  });

  it("gives the unsigned ones no sign, and magnitude 10 the whole range", () => {
    const at = (OPERATION_NAMES.indexOf("posterize") + 0.5) / OPERATION_NAMES.length;
    expect(drawOperations(1, 10, saying(at, 0.1))).toEqual([{ name: "posterize", strength: 1 }]);
  });
});
