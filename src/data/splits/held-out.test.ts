import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tensor } from "../../tensor/index.ts";
import { drawOf, heldOut, lowestDraws, steadyFraction } from "./held-out.ts";
import { disposeSplit, type Split } from "./split.ts";
import { splitValidation } from "./validation-split.ts";

interface Image {
  path: string;
  label: number;
}

/** Images of three classes with distinct paths. */
const images = (least: number, most: number) =>
  fc
    .uniqueArray(fc.nat({ max: 9999 }), { minLength: least, maxLength: most })
    .map((names) => names.map((name): Image => ({ path: `${name % 3}/${name}.png`, label: name % 3 })));

function heldPaths(list: readonly Image[], fraction: number, seed: number): Set<string> {
  const held = heldOut(
    list.map(({ path }) => path),
    list.map(({ label }) => label),
    { purpose: "test", fraction, seed },
  );
  return new Set([...held].map((place) => (list[place] as Image).path));
}

/** Whether the exception for classes applies: either none or all images of a class are below the fraction. */
function isException(list: readonly Image[], label: number, options: { fraction: number; seed: number }): boolean {
  const own = list.filter((image) => image.label === label);
  const below = own.filter(({ path }) => drawOf(path, { purpose: "test", ...options }) < options.fraction).length;
  return below === 0 || below === own.length;
}

const KEY = { purpose: "limit", seed: 0 } as const;

/** Whether one content makes up more than four fifths of a class. */
const isMost = (name: string, names: readonly string[], labels: readonly number[]) =>
  [0, 1, 2].some((label) => {
    const own = names.filter((_, i) => labels[i] === label);
    const count = own.filter((other) => other === name).length;
    return count > 1 && count > 0.8 * own.length;
  });

describe("heldOut", () => {
  it("leaves every other image in its split, whatever images are added or removed", () => {
    fc.assert(
      fc.property(
        images(3, 80),
        images(0, 10),
        fc.constantFrom(0.1, 0.2, 0.5),
        fc.nat({ max: 99 }),
        (list, more, fraction, seed) => {
          const added = more.filter(({ path }) => !list.some((image) => image.path === path));
          const larger = [...added, ...list];
          const [before, after] = [heldPaths(list, fraction, seed), heldPaths(larger, fraction, seed)];
          for (const { path, label } of list)
            if (![list, larger].some((all) => isException(all, label, { fraction, seed })))
              expect(after.has(path)).toBe(before.has(path));
        },
      ),
    );
  });

  it("leaves every class an image to train on, and one held out where it has two", () => {
    fc.assert(
      fc.property(images(1, 40), fc.double({ min: 0.001, max: 0.999, noNaN: true }), (list, fraction) => {
        const held = heldPaths(list, fraction, 0);
        for (const label of [0, 1, 2]) {
          const own = list.filter((image) => image.label === label);
          const out = own.filter(({ path }) => held.has(path)).length;
          if (own.length > 0) expect(out).toBeLessThan(own.length);
          if (own.length > 1) expect(out).toBeGreaterThan(0);
        }
      }),
    );
  });

  it("never parts images of equal content, whatever paths and classes they have, and heeds the one that was trained on", () => {
    fc.assert(
      fc.property(images(8, 60), fc.nat({ max: 99 }), fc.constantFrom(0.1, 0.5), (list, seed, fraction) => {
        const hashes = list.map(({ path }, i) =>
          i % 4 === 3 ? drawOf(list[i - 1]?.path ?? path, KEY) : drawOf(path, KEY),
        );
        const names = hashes.map(String);
        const [paths, labels] = [list.map(({ path }) => path), list.map(({ label }) => label)];
        const held = heldOut(paths, labels, { purpose: "test", fraction, seed, hashes: names });
        for (const [i, name] of names.entries())
          if (i % 4 === 3 && !isMost(name, names, labels)) expect(held.has(i)).toBe(held.has(i - 1));
        const decided = (place: number) => (place === 2 ? true : place === 3 ? false : undefined);
        const again = heldOut(paths, labels, { purpose: "test", fraction, seed, hashes: names, decided });
        if (!isMost(names[3] as string, names, labels)) expect([again.has(2), again.has(3)]).toEqual([false, false]);
      }),
    );
  });

  it("draws a picture that is most of a class by its paths, so that something is held out", () => {
    const paths = Array.from({ length: 20 }, (_, i) => `${i % 2}/${i}.png`);
    const labels = paths.map((_, i) => i % 2);
    const options = { purpose: "test", fraction: 0.2, seed: 0 } as const;
    expect(heldOut(paths, labels, { ...options, hashes: labels.map(String) })).toEqual(heldOut(paths, labels, options));
  });

  it("moves the image of a small class of which none was drawn for one of a lower number, and no other", () => {
    const small = [1, 2, 3].map((i) => ({ path: `b/x${i}.png`, label: 1 }));
    const list = [...Array.from({ length: 20 }, (_, i) => ({ path: `a/${i}.png`, label: 0 })), ...small];
    const before = heldPaths(list, 0.01, 0);
    const draws = small.map(({ path }) => drawOf(path, { purpose: "test", seed: 0 }));
    const lowest = small[draws.indexOf(Math.min(...draws))] as Image;
    expect(before.has(lowest.path)).toBe(true);
    const more = Array.from({ length: 40 }, (_, i) => ({ path: `b/y${i}.png`, label: 1 }));
    const added = more.find(({ path }) => drawOf(path, { purpose: "test", seed: 0 }) < Math.min(...draws)) as Image;
    const after = heldPaths([...list, added], 0.01, 0);
    expect([...after].sort()).toEqual([...before, added.path].filter((path) => path !== lowest.path).sort());
  });

  it("does not depend on the order of the images", () => {
    fc.assert(
      fc.property(images(2, 40), (list) => {
        expect(heldPaths([...list].reverse(), 0.2, 4)).toEqual(heldPaths(list, 0.2, 4));
      }),
    );
  });

  it("holds out the share that was asked for, and draws again for another seed and purpose", () => {
    const paths = Array.from({ length: 20_000 }, (_, i) => `class/${i}.jpg`);
    const share = (purpose: "test" | "val", seed: number) =>
      new Set(paths.filter((path) => drawOf(path, { purpose, seed }) < 0.2));
    const [test, val, other] = [share("test", 0), share("val", 0), share("test", 1)];
    for (const drawn of [test, val, other]) expect(drawn.size / paths.length).toBeCloseTo(0.2, 1);
    const both = (set: ReadonlySet<string>) => [...test].filter((path) => set.has(path)).length / test.size;
    expect(both(val)).toBeCloseTo(0.2, 1);
    expect(both(other)).toBeCloseTo(0.2, 1);
  });

  it("takes accented names alike, however a file system writes them", () => {
    expect(drawOf("caf\u00e9.png", { purpose: "test", seed: 0 })).toBe(
      drawOf("cafe\u0301.png", { purpose: "test", seed: 0 }),
    );
  });

  it("never moves an image that was decided beforehand", () => {
    fc.assert(
      fc.property(images(1, 30), fc.double({ min: 0.01, max: 0.99, noNaN: true }), (list, fraction) => {
        const decided = (place: number) => (place % 3 === 2 ? undefined : place % 3 === 0);
        const [paths, labels] = [list.map(({ path }) => path), list.map(({ label }) => label)];
        const held = heldOut(paths, labels, { purpose: "val", fraction, seed: 0, decided });
        for (const place of paths.keys()) if (place % 3 !== 2) expect(held.has(place)).toBe(place % 3 === 0);
      }),
    );
  });
});

describe("lowestDraws", () => {
  it("moves at most one image where one is added", () => {
    fc.assert(
      fc.property(images(8, 40), fc.nat({ max: 99 }), (list, seed) => {
        const chosen = (paths: string[]) =>
          Array.from(lowestDraws(paths, 5, { purpose: "limit", seed }), (place) => paths[place] as string);
        const paths = list.map(({ path }) => path);
        const before = new Set(chosen(paths));
        expect(chosen([...paths, "new.png"]).filter((path) => !before.has(path)).length).toBeLessThanOrEqual(1);
        expect(before.size).toBe(5);
      }),
    );
  });
});

describe("steadyFraction", () => {
  it.each([
    [8, 80, 0.1],
    [8, 81, 0.1],
    [1, 10_000, 0.0001],
    [500, 3500, 0.16],
    [199, 200, 0.8],
  ])("is for %i of %i the share %d", (count, total, share) => expect(steadyFraction(count, total)).toBe(share));

  it("is at most an eighth from what was asked for", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 800 }), fc.integer({ min: 1000, max: 1_000_000 }), (count, total) => {
        const ratio = (steadyFraction(count, total) * total) / count;
        expect(ratio).toBeGreaterThan(0.88);
        expect(ratio).toBeLessThan(1.14);
      }),
    );
  });
});

describe("splitValidation of images that have paths", () => {
  it("holds out by path, and keeps path and hash with each image", () => {
    const count = 120;
    const split: Split = {
      ...{ name: "train", numClasses: 2, classNames: ["a", "b"], normalization: { mean: [0], std: [1] } },
      images: tensor(
        Uint8Array.from({ length: count }, (_, i) => i),
        { shape: [count, 1, 1, 1] },
      ),
      labels: tensor(BigInt64Array.from({ length: count }, (_, i) => BigInt(i % 2))),
      paths: Array.from({ length: count }, (_, i) => `${i}.png`),
      hashes: Array.from({ length: count }, (_, i) => `hash ${i}`),
    };
    const { train, val } = splitValidation(split, { images: 24, seed: 3 });
    expect(val.labels.numel).toBeGreaterThan(10);
    for (const part of [train, val])
      for (const [at, value] of Array.from(part.images.data() as Uint8Array).entries())
        expect([part.paths?.[at], part.hashes?.[at]]).toEqual([`${value}.png`, `hash ${value}`]);
    for (const part of [train, val, split]) disposeSplit(part);
    expect(() => splitValidation({ ...split, paths: ["one"] }, { images: 2, seed: 0 })).toThrow(/disposed|paths/);
  });
});
