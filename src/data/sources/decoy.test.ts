import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memory } from "../../tensor/index.ts";
import { disposeDataset, disposeSplit, loadDataset, splitValidation } from "../index.ts";
import { addDecoys, type DecoyOptions } from "./decoy.ts";
import type { ByteSplit } from "./idx.ts";

const SIZE = 28 * 28;

/** Images of a single grey that no patch has, with labels 0 to 9 in turn. */
function blank(count: number): ByteSplit {
  const labels = Uint8Array.from({ length: count }, (_, i) => i % 10);
  return { shape: [count, 1, 28, 28], images: new Uint8Array(count * SIZE).fill(7), labels };
}

interface Patch {
  top: number;
  left: number;
  side: number;
  grey: number;
}

/** Finds the patch of each image by the pixels that differ from the original. */
function patchesOf(images: Uint8Array): Patch[] {
  return Array.from({ length: images.length / SIZE }, (_, n) => {
    const own = images.subarray(n * SIZE, (n + 1) * SIZE);
    const changed = Array.from(own.keys()).filter((i) => own[i] !== 7);
    const [first = 0, last = 0] = [changed[0], changed.at(-1)];
    const greys = new Set(changed.map((i) => own[i]));
    const side = Math.sqrt(changed.length);
    expect([greys.size, last - first]).toEqual([1, (side - 1) * 29]); // the changed pixels are a filled square
    return { top: Math.floor(first / 28), left: first % 28, side, grey: own[first] as number };
  });
}

const decoyed = (count: number, options: Partial<DecoyOptions>) =>
  addDecoys(blank(count), { variant: "rrr", cue: "train", seed: 0, name: "train", ...options });

describe("addDecoys", () => {
  it("rrr: 4x4 in one of four corners, evenly; grey 255 − 25·label in training", () => {
    const patches = patchesOf(decoyed(4000, {}).images);
    const corners = new Map<string, number>();
    for (const [n, { top, left, side, grey }] of patches.entries()) {
      expect([side, grey]).toEqual([4, 255 - 25 * (n % 10)]);
      corners.set(`${top},${left}`, (corners.get(`${top},${left}`) ?? 0) + 1);
    }
    expect([...corners.keys()].sort()).toEqual(["0,0", "0,24", "24,0", "24,24"]);
    for (const count of corners.values()) expect(Math.abs(count - 1000)).toBeLessThan(4 * Math.sqrt(750));
  });

  it("rrr: in the test the grey of a label that is drawn evenly, whatever the image's own", () => {
    const patches = patchesOf(decoyed(10_000, { cue: "test", name: "test" }).images);
    const counts = new Array<number>(10).fill(0);
    let agree = 0;
    for (const [n, { grey }] of patches.entries()) {
      const label = (255 - grey) / 25;
      counts[label] = (counts[label] as number) + 1;
      if (label === n % 10) agree++;
    }
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(4 * Math.sqrt(900));
    expect(Math.abs(agree - 1000)).toBeLessThan(4 * Math.sqrt(900));
  });

  it("cdep: 5x5 at 0 or 23; 255 − 25·label in training, 25·label in the test; the mask holds all corners", () => {
    const greys = (cue: "train" | "test") => patchesOf(decoyed(40, { variant: "cdep", cue }).images);
    for (const [n, { side, grey, top, left }] of greys("train").entries()) {
      expect([side, grey]).toEqual([5, 255 - 25 * (n % 10)]);
      expect([0, 23]).toContain(top);
      expect([0, 23]).toContain(left);
    }
    for (const [n, { grey }] of greys("test").entries()) expect(grey).toBe(25 * (n % 10));
    const { masks } = decoyed(3, { variant: "cdep" });
    expect(masks.reduce((sum, value) => sum + value, 0)).toBe(3 * 4 * 25);
    expect([masks[0], masks[27], masks[27 * 28], masks[SIZE - 1], masks[5]]).toEqual([1, 1, 1, 1, 0]);
  });

  it("rrr: the mask is the patch, and nothing outside it changes", () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.constantFrom("train", "test", "random"), (seed, cue) => {
        const { images, masks } = decoyed(6, { seed, cue: cue as DecoyOptions["cue"] });
        for (const [i, value] of images.entries()) expect(value === 7).toBe(masks[i] === 0);
      }),
      { numRuns: 20 },
    );
  });

  it("puts the patch of an image into the same corner whatever its grey, and elsewhere for another seed or split", () => {
    const places = (options: Partial<DecoyOptions>) =>
      patchesOf(decoyed(50, options).images).map(({ top, left }) => `${top},${left}`);
    expect(places({ cue: "random" })).toEqual(places({}));
    expect(places({ seed: 1 })).not.toEqual(places({}));
    expect(places({ name: "test" })).not.toEqual(places({}));
  });

  it.each([
    ["an array", (bytes: Uint8Array) => bytes],
    ["a Buffer", (bytes: Uint8Array) => Buffer.from(bytes)],
  ])("copies %s: the clean images stay as they are", (_, as) => {
    const clean = { ...blank(2), images: as(blank(2).images) };
    const { images } = addDecoys(clean, { variant: "rrr", cue: "train", seed: 0, name: "train" });
    expect(images.every((value) => value === 7)).toBe(false);
    expect(clean.images.every((value) => value === 7)).toBe(true);
  });

  it("refuses images that are too small", () => {
    const small: ByteSplit = { shape: [1, 1, 7, 9], images: new Uint8Array(63), labels: new Uint8Array(1) };
    expect(() => addDecoys(small, { variant: "rrr", cue: "train", seed: 0, name: "train" })).toThrow(/at least 8x8/);
  });
});

describe("decoy-mnist", () => {
  it("is byte for byte the same for a seed on every machine", async () => {
    const sum = async (options: Parameters<typeof loadDataset>[1]) => {
      const dataset = await loadDataset("decoy-mnist", options);
      const hash = createHash("sha256");
      for (const { images, masks } of [dataset.train, dataset.test])
        hash.update(images.data() as Uint8Array).update(masks?.data() as Uint8Array);
      disposeDataset(dataset);
      return hash.digest("hex").slice(0, 16);
    };
    expect(await sum({})).toBe("889f260a11a9fd64");
    expect(await sum({ decoyVariant: "cdep" })).toBe("de6462778eaee282");
    expect(await sum({ seed: 1 })).not.toBe("889f260a11a9fd64");
  });

  it("keeps masks with their images through a validation split, and frees them", async () => {
    const before = memory().liveTensors;
    const dataset = await loadDataset("decoy-mnist");
    const { train, val } = splitValidation(dataset.train, { images: 500, seed: 3 });
    const [images, masks, labels] = [val.images.data(), val.masks?.data(), val.labels.data()];
    for (let n = 0; n < 500; n++) {
      const grey = 255 - 25 * Number(labels[n]);
      const inside = (masks as Uint8Array).subarray(n * SIZE, (n + 1) * SIZE);
      expect(inside.reduce((sum, value) => sum + value, 0)).toBe(16);
      for (const [i, value] of inside.entries()) if (value === 1) expect(images[n * SIZE + i]).toBe(grey);
    }
    expect(dataset.normalization.mean[0]).toBeGreaterThan(0.1306604762738429);
    for (const split of [train, val]) disposeSplit(split);
    disposeDataset(dataset);
    expect(memory().liveTensors).toBe(before);
  });

  it("refuses another recipe and another seed than an integer", async () => {
    await expect(loadDataset("decoy-mnist", { decoyVariant: "rr" as never })).rejects.toMatchObject({
      code: "E_ARGUMENT",
    });
    await expect(loadDataset("decoy-mnist", { seed: 0.5 })).rejects.toMatchObject({ code: "E_ARGUMENT" });
  });
});
