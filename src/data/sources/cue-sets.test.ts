import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Dataset, disposeDataset, loadDataset } from "../index.ts";
import { CLASS_COLORS } from "./color-mnist.ts";
import { CUE_SETS, type CuedImages, type CueSet, readCueSets } from "./cue-sets.ts";

const bytesOf = ({ images }: Pick<CuedImages, "images">): Uint8Array => images.data() as Uint8Array;
const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

interface Drawn {
  bytes: Uint8Array;
  masks: Uint8Array | null;
  labels: number[];
}

async function draw(name: "decoy-mnist" | "color-mnist", options: { decoyVariant?: "rrr" | "cdep" } = {}) {
  const cued = await readCueSets(name, options);
  if (cued === null) throw new Error(`${name} has no cue`);
  const sets = CUE_SETS.map((set): [CueSet, Drawn] => {
    const { images, labels, masks } = cued(set);
    const drawn = {
      bytes: bytesOf({ images }),
      masks: masks === undefined ? null : (masks.to("uint8").data() as Uint8Array),
      labels: Array.from(labels.data() as BigInt64Array, Number),
    };
    for (const tensor of [images, labels, masks]) tensor?.dispose();
    return [set, drawn];
  });
  return Object.fromEntries(sets) as Record<CueSet, Drawn>;
}

const SIZE = 28 * 28;
const first = (count: number) => Array.from({ length: count }, (_, i) => i);

describe.each(["rrr", "cdep"] as const)("the test sets of decoy-mnist (%s)", (decoyVariant) => {
  let sets: Record<CueSet, Drawn>;
  let dataset: Dataset;
  let clean: Dataset;
  beforeAll(async () => {
    sets = await draw("decoy-mnist", { decoyVariant });
    dataset = await loadDataset("decoy-mnist", { decoyVariant });
    clean = await loadDataset("mnist");
  });
  afterAll(() => {
    disposeDataset(dataset);
    disposeDataset(clean);
  });

  const side = decoyVariant === "rrr" ? 4 : 5;
  /** The grey of an image's patch. */
  const greyOf = ({ bytes, masks }: Drawn, image: number): number => {
    const start = image * SIZE;
    const at = (masks as Uint8Array).subarray(start, start + SIZE).indexOf(1);
    return bytes[start + at] as number;
  };

  it("share digits, labels and the corner of each patch, which the mask marks alone", () => {
    for (const set of CUE_SETS) {
      expect(sets[set].labels).toEqual(sets.clean.labels);
      expect(digest(sets[set].masks as Uint8Array)).toBe(digest(sets.clean.masks as Uint8Array));
      const outside = sets[set].bytes.filter((_, i) => sets.clean.masks?.[i] === 0);
      expect(digest(outside)).toBe(digest(sets.clean.bytes.filter((_, i) => sets.clean.masks?.[i] === 0)));
    }
    const inMask = (sets.clean.masks as Uint8Array).subarray(0, SIZE).reduce((sum, one) => sum + one, 0);
    expect(inMask).toBe(side * side);
  });

  it("have the grey of the own class, of any class, none, and of class 9 − y", () => {
    const { labels } = sets.aligned;
    for (const i of first(500)) {
      const label = labels[i] as number;
      expect(greyOf(sets.aligned, i)).toBe(255 - 25 * label);
      expect(greyOf(sets.adversarial, i)).toBe(255 - 25 * (9 - label));
      expect((255 - greyOf(sets.random, i)) % 25).toBe(0);
    }
    const agree = labels.filter((label, i) => greyOf(sets.random, i) === 255 - 25 * label).length;
    expect(Math.abs(agree - 1000)).toBeLessThan(120); // four standard deviations
    expect(digest(sets.clean.bytes)).toBe(digest(bytesOf(clean.test)));
  });

  it(
    decoyVariant === "rrr" ? "hold the recipe's own test set, the random one" : "hold none of the recipe's own",
    () => {
      const own = digest(bytesOf(dataset.test));
      expect(CUE_SETS.filter((set) => digest(sets[set].bytes) === own)).toEqual(
        decoyVariant === "rrr" ? ["random"] : [],
      );
    },
  );
});

describe("the test sets of color-mnist", () => {
  it("paint the same digits in the own class's colour, any, none, and that of class 9 − y, which is the recipe's test", async () => {
    const sets = await draw("color-mnist");
    const dataset = await loadDataset("color-mnist");
    const grey = sets.clean.bytes;
    const painted = (color: readonly number[], image: number) =>
      color.flatMap((share, channel) =>
        first(SIZE).map((p) => Math.round((grey[(image * 3 + channel) * SIZE + p] as number) * share)),
      );
    for (const i of first(20)) {
      const label = sets.clean.labels[i] as number;
      const own = (set: CueSet) => Array.from(sets[set].bytes.subarray(i * 3 * SIZE, (i + 1) * 3 * SIZE));
      expect(own("aligned")).toEqual(painted(CLASS_COLORS[label] as readonly number[], i));
      expect(own("adversarial")).toEqual(painted(CLASS_COLORS[9 - label] as readonly number[], i));
      expect(CLASS_COLORS.some((color) => painted(color, i).join() === own("random").join())).toBe(true);
    }
    expect(sets.random.masks).toBeNull();
    expect(digest(sets.adversarial.bytes)).toBe(digest(bytesOf(dataset.test)));
    disposeDataset(dataset);
  });
});

it("there are none of a data set without a cue", async () => {
  expect(await readCueSets("mnist", {})).toBeNull();
  expect(await readCueSets("folder", {})).toBeNull();
});
