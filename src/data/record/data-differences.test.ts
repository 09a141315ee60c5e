import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BatchCamError } from "../../errors.ts";
import { tensor } from "../../tensor/index.ts";
import type { SplitName } from "../splits/split.ts";
import { disposeSplit, type Split } from "../splits/split.ts";
import { dataDifferences } from "./data-differences.ts";
import { type DataRecord, dataRecord, earlierSplits, joinedRecord, packRecord, unpackRecord } from "./data-record.ts";
import { inRecordedOrder, underClassesOf } from "./known-classes.ts";

interface Image {
  split: SplitName;
  path: string;
  name: string;
  content: string;
  mask?: string;
}

const CLASSES = ["cat", "dog"];

function splitOf(name: SplitName, images: readonly Image[], classNames: readonly string[]): Split {
  const own = images.filter(({ split }) => split === name);
  const count = own.length;
  return {
    ...{ name, classNames, numClasses: classNames.length, normalization: { mean: [0.5], std: [1] } },
    images: tensor(
      Uint8Array.from({ length: count }, (_, i) => i),
      { shape: [count, 1, 1, 1] },
    ),
    labels: tensor(
      BigInt64Array.from(own, ({ name: label }) => BigInt(classNames.indexOf(label))),
      { shape: [count] },
    ),
    paths: own.map(({ path }) => path),
    hashes: own.map(({ content }) => content),
    ...(own.every(({ mask }) => mask !== undefined) ? { maskHashes: own.map(({ mask }) => mask as string) } : {}),
  };
}

const splitsOf = (images: readonly Image[], classNames = CLASSES) => ({
  train: splitOf("train", images, classNames),
  test: splitOf("test", images, classNames),
});

function record(images: readonly Image[], classNames = CLASSES): DataRecord {
  const splits = splitsOf(images, classNames);
  const made = dataRecord(splits, { dataset: "csv", valFraction: 0.1, source: null });
  for (const split of Object.values(splits)) disposeSplit(split);
  return made;
}

const image = (
  split: SplitName,
  path: string,
  content: string,
  name = path.startsWith("c") ? "cat" : "dog",
): Image => ({
  ...{ split, path, name, content },
});
const IMAGES = [
  image("train", "c1", "1"),
  image("train", "c2", "2"),
  image("train", "d1", "3"),
  image("test", "c3", "4"),
  image("test", "d2", "5"),
];
const without = (path: string) => IMAGES.filter((one) => one.path !== path);
const told = (images: readonly Image[], classNames?: string[]) =>
  dataDifferences(record(IMAGES), record(images, classNames));

describe("dataDifferences", () => {
  it("are none for the same images in any order", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(IMAGES, { minLength: IMAGES.length }), (images) => {
        expect(told(images)).toEqual([]);
      }),
    );
  });

  it.each<[string, Image[], string[]]>([
    ["added", [...IMAGES, image("train", "c9", "9")], ["train: 1 image added (c9)"]],
    ["gone", without("d2"), ["test: 1 image gone (d2)"]],
    ["changed", [...without("c1"), image("train", "c1", "0")], ["train: 1 image changed (c1)"]],
    ["relabelled", [...without("d1"), image("train", "d1", "3", "cat")], ["train: 1 image relabelled (d1)"]],
    [
      "relabelled under another path",
      [...without("d1"), image("train", "c7", "3")],
      ["train: 1 image relabelled (c7)"],
    ],
    [
      "in another split",
      [...without("d2"), image("train", "d2", "5")],
      ["train: 1 image under another path or in another split (d2)"],
    ],
    ["named twice", [...IMAGES, image("train", "c1", "1")], ["train: 1 image added (c1 (2))"]],
    [
      "all of that",
      [...without("c1").filter(({ path }) => path !== "c2"), image("train", "c1", "0"), image("test", "d8", "8")],
      ["train: 1 image gone (c2), 1 image changed (c1)", "test: 1 image added (d8)"],
    ],
  ])("name images that are %s", (_, images, expected) => expect(told(images)).toEqual(expected));

  it("name classes that are gone, new, or in another order", () => {
    const renamed = IMAGES.map((one) => (one.name === "dog" ? { ...one, name: "wolf" } : one));
    expect(told(renamed, ["cat", "wolf"])).toEqual([
      'class "dog" of the run is missing',
      'class "wolf" is new',
      'the class seems to have been renamed from "dog" to "wolf": all its 2 images are under that name now',
      "train: 1 image relabelled (d1)",
      "test: 1 image relabelled (d2)",
    ]);
    expect(told(IMAGES, ["dog", "cat"])).toEqual(['the classes are in another order: "dog", "cat"']);
  });

  it("are known of images without paths by their bytes and labels, as numbers", () => {
    const bare = (images: Image[]) => {
      const { paths: _, hashes: __, ...train } = splitOf("train", images, CLASSES);
      const made = dataRecord({ train }, { dataset: null, valFraction: null, source: null });
      disposeSplit(train);
      return made;
    };
    expect(dataDifferences(bare(IMAGES), bare(IMAGES))).toEqual([]);
    expect(dataDifferences(bare(IMAGES), bare(without("d1")))).toEqual([
      "train: images or labels are different (2 images, in the run 3, of the classes 2, 0, in the run 2, 1)",
    ]);
  });
});

describe("a packed record", () => {
  it("comes back the same from JSON", () => {
    const made = record(IMAGES);
    expect(unpackRecord(JSON.parse(JSON.stringify(packRecord(made))), "data.json")).toEqual(made);
  });

  it("is refused in any damaged form with a code", () => {
    const packed = JSON.parse(JSON.stringify(packRecord(record(IMAGES))));
    for (const key of ["classNames", "normalization", "imageSize", "splits"])
      for (const value of [undefined, null, 7, [], "x"]) {
        let thrown: unknown;
        try {
          unpackRecord({ ...packed, [key]: value }, "data.json");
        } catch (error) {
          thrown = error;
        }
        expect(thrown, `${key}: ${String(value)}`).toBeInstanceOf(BatchCamError);
        expect((thrown as BatchCamError).code).toBe("E_CHECKPOINT");
      }
  });
});

describe("masks", () => {
  const masked = (prefix: string, mask: string) =>
    IMAGES.map((one) => ({ ...one, path: `${prefix}${one.path}`, mask: `${mask}${one.path}` }));

  it("make a change of their image, but no other image of it", () => {
    const run = record(masked("", "old"));
    expect(dataDifferences(run, record(masked("", "old")))).toEqual([]);
    expect(dataDifferences(run, record(masked("", "new")))).toEqual([
      "train: 3 images changed (c1, c2, ...)",
      "test: 2 images changed (c3, d2)",
    ]);
    expect(unpackRecord(JSON.parse(JSON.stringify(packRecord(run))), "data.json")).toEqual(run);
  });

  it("do not hide that the run was trained on an image, where they are others and the folder has another name", () => {
    const run = record(masked("", "old"));
    const trained = masked("renamed/", "new").filter(({ split }) => split === "train");
    const given = splitsOf([
      ...masked("renamed/", "new"),
      ...trained.map((one) => ({ ...one, split: "test" as const })),
    ]);
    const { splits, warnings, leftOut } = underClassesOf(run, given, { what: "set" });
    expect(splits.test.paths).toEqual(["renamed/c3", "renamed/d2"]);
    expect(warnings).toEqual(["left out: 3 test images that the run was trained or selected on"]);
    expect(leftOut.map(({ hash }) => hash)).toEqual(["1", "2", "3"]);
    for (const split of [...Object.values(splits), ...Object.values(given)]) disposeSplit(split);
  });
});

describe("what a run has seen", () => {
  it("is the split it has seen most of, by path or content", () => {
    const run = record([...IMAGES, image("test", "copy", "2")]);
    const earlier = earlierSplits(run, { byContent: true });
    const cases: [string, string, SplitName | undefined][] = [
      ["c1", "5", "train"], // this path was in train
      ["d2", "1", "train"], // this content was in train
      ["copy", "2", "train"], // this content was in train under another name
      ["c3", "5", "test"],
      ["new", "new", undefined],
    ];
    for (const [relative, hash, split] of cases) expect(earlier({ relative, hash }), relative).toBe(split);
    expect(earlierSplits(run, { byContent: false })({ relative: "d2", hash: "1" })).toBe("test");
  });

  it("is kept when it continues with other images, through any number of times", () => {
    const second = joinedRecord(record(IMAGES), record([image("train", "d9", "9"), image("test", "c8", "8")]));
    const third = joinedRecord(second, record([image("train", "d7", "7"), image("test", "c6", "6")]));
    const unpacked = unpackRecord(JSON.parse(JSON.stringify(packRecord(third))), "data.json");
    expect(unpacked).toEqual(third);
    const earlier = earlierSplits(unpacked, { byContent: true });
    for (const [hash, split] of Object.entries({ 1: "train", 9: "train", 7: "train", 4: "test", 8: "test", 6: "test" }))
      expect(earlier({ relative: "another name", hash })).toBe(split);
  });
});

describe("images under the classes of a run", () => {
  it("have its class numbers and normalisation, without those of unknown classes and those that were trained on", () => {
    const run = record(IMAGES);
    const now = [
      image("train", "d1", "3"),
      image("train", "b1", "6", "bird"),
      image("test", "c3", "4"),
      image("test", "b2", "7", "bird"),
      image("test", "copy-of-c1", "1", "cat"),
      image("test", "d9", "9"),
    ];
    const given = splitsOf(now, ["bird", "cat", "dog"]);
    const { splits, warnings } = underClassesOf(run, given, { what: "set" });
    expect(splits.test.paths).toEqual(["c3", "d9"]);
    expect(Array.from(splits.test.labels.data() as BigInt64Array)).toEqual([0n, 1n]);
    expect(Array.from(splits.test.images.data() as Uint8Array)).toEqual([0, 3]);
    expect(splits.train).toMatchObject({ classNames: CLASSES, numClasses: 2, normalization: run.normalization });
    expect(warnings).toEqual([
      'left out: 1 train image of "bird", a class that the run does not know',
      'left out: 1 test image of "bird", a class that the run does not know',
      "left out: 1 test image that the run was trained or selected on",
    ]);
    for (const split of [...Object.values(splits), ...Object.values(given)]) disposeSplit(split);
  });

  it("come in the order of its record, new ones last", () => {
    const run = record(IMAGES);
    const split = splitOf("train", [image("train", "new", "9"), ...[...IMAGES].reverse()], CLASSES);
    const ordered = inRecordedOrder(split, run);
    expect(ordered.paths).toEqual(["c1", "c2", "d1", "new"]);
    expect(Array.from(ordered.images.data() as Uint8Array)).toEqual([3, 2, 1, 0]);
    expect(inRecordedOrder(ordered, run)).toBe(ordered);
    for (const one of [split, ordered]) disposeSplit(one);
  });
});
