import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { manualSeed, memory, tensor } from "../../tensor/index.ts";
import { disposeSplit, type Split } from "./split.ts";
import { selectImages, splitValidation } from "./validation-split.ts";

/** Makes images whose first pixel is their index, so that they can be identified. */
function splitOf(labels: number[], name: Split["name"] = "train"): Split {
  const pixels = Uint8Array.from(labels.flatMap((_, i) => [i, 7]));
  return {
    name,
    images: tensor(pixels, { shape: [labels.length, 1, 1, 2] }),
    labels: tensor(BigInt64Array.from(labels, BigInt)),
    numClasses: 3,
    classNames: ["a", "b", "c"],
    normalization: { mean: [0.5], std: [0.25] },
  };
}

const identities = (split: Split) => Array.from(split.images.data() as Uint8Array).filter((_, i) => i % 2 === 0);
const labelsOf = (split: Split) => Array.from(split.labels.data() as BigInt64Array, Number);

let live: number;
beforeEach(() => {
  live = memory().liveTensors;
});
afterEach(() => expect(memory().liveTensors).toBe(live));

/** Calls the assertions and then frees the three splits, even if an assertion fails. */
function withParts(
  split: Split,
  options: { images: number; seed: number },
  check: (parts: { train: Split; val: Split }) => void,
): void {
  const parts = splitValidation(split, options);
  try {
    check(parts);
  } finally {
    for (const part of [parts.train, parts.val, split]) disposeSplit(part);
  }
}

describe("splitValidation", () => {
  it("deals every image to exactly one part, in the original order, with its label", () => {
    const cases = fc.record({
      labels: fc.array(fc.nat({ max: 2 }), { minLength: 2, maxLength: 60 }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      seed: fc.nat(),
    });
    fc.assert(
      fc.property(cases, ({ labels, share, seed }) => {
        const images = 1 + Math.floor(share * (labels.length - 2));
        withParts(splitOf(labels), { images, seed }, ({ train, val }) => {
          expect(identities(val).length).toBe(images);
          expect([...identities(train), ...identities(val)].sort((a, b) => a - b)).toEqual([...labels.keys()]);
          for (const part of [train, val]) {
            const chosen = identities(part);
            expect(chosen).toEqual(chosen.toSorted((a, b) => a - b));
            expect(labelsOf(part)).toEqual(chosen.map((i) => labels[i]));
          }
        });
      }),
      { numRuns: 50 },
    );
  });

  it("keeps the share of each class to within one image", () => {
    const labels = [...Array(50).fill(0), ...Array(30).fill(1), ...Array(21).fill(2)];
    withParts(splitOf(labels), { images: 20, seed: 1 }, ({ val }) => {
      const counts = [0, 1, 2].map((label) => labelsOf(val).filter((l) => l === label).length);
      expect(counts).toEqual([10, 6, 4]);
    });
  });

  it("is a function of the seed alone: not of the engine's generator, the same on every machine", () => {
    const labels = Array.from({ length: 30 }, (_, i) => i % 3);
    const chosen = [1, 2].map((engineSeed) => {
      manualSeed(engineSeed);
      let found: number[] = [];
      withParts(splitOf(labels), { images: 6, seed: 5 }, ({ val }) => {
        found = identities(val);
      });
      return found;
    });
    expect(chosen[0]).toEqual(chosen[1]);
    expect(chosen[0]).toEqual([8, 10, 12, 16, 17, 18]);
    withParts(splitOf(labels), { images: 6, seed: 6 }, ({ val }) => expect(identities(val)).not.toEqual(chosen[0]));
  });

  it("names its parts and keeps what describes the data set", () => {
    withParts(splitOf([0, 1, 2, 0]), { images: 1, seed: 0 }, ({ train, val }) => {
      expect([train.name, val.name]).toEqual(["train", "val"]);
      expect(val).toMatchObject({
        numClasses: 3,
        classNames: ["a", "b", "c"],
        normalization: { mean: [0.5], std: [0.25] },
      });
      expect([val.images.dtype, val.labels.dtype]).toEqual(["uint8", "int64"]);
    });
  });

  it("never touches the test split", () => {
    const split = splitOf([0, 1, 2], "test");
    expect(() => splitValidation(split, { images: 1, seed: 0 })).toThrow(/must not be the test split/);
    disposeSplit(split);
  });

  it.each([0, 4, 5, -1, 1.5, Number.NaN])("refuses to hold out %d of 4 images", (images) => {
    const split = splitOf([0, 1, 2, 0]);
    const message = /images must be an integer from 1 to 3 \(the split has 4 images\), got/;
    expect(() => splitValidation(split, { images, seed: 0 })).toThrow(message);
    disposeSplit(split);
  });

  it("refuses a seed that is not an integer", () => {
    const split = splitOf([0, 1, 2, 0]);
    expect(() => splitValidation(split, { images: 1, seed: -1 })).toThrow(/splitValidation: seed must be an integer/);
    disposeSplit(split);
  });
});

describe("selectImages", () => {
  it("copies the images asked for, in the order asked for", () => {
    const split = splitOf([0, 1, 2, 0]);
    const chosen = selectImages(split, { indices: Int32Array.of(3, 0, 3), name: "val" });
    expect(identities(chosen)).toEqual([3, 0, 3]);
    expect(labelsOf(chosen)).toEqual([0, 0, 0]);
    disposeSplit(chosen);
    disposeSplit(split);
  });
});
