import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tensor } from "../../tensor/index.ts";
import type { SplitName } from "../splits/split.ts";
import { disposeSplit } from "../splits/split.ts";
import { splitOf } from "../splits/split-of.ts";
import {
  type IdenticalKind,
  identicalContents,
  identicalImages,
  identicalWarnings,
  type SplitContents,
} from "./identical-images.ts";

const NAMES = ["train", "val", "test"] as const satisfies readonly SplitName[];
const CLASSES = ["cat", "dog", "owl"];

/** Makes a split of images that are given as "content class". The n-th image of a split is called "split/n". */
const split = (name: SplitName, ...images: string[]): SplitContents => ({
  ...{ name, classNames: CLASSES, paths: images.map((_, i) => `${name}/${i}`) },
  hashes: images.map((image) => image.split(" ")[0] as string),
  labels: images.map((image) => CLASSES.indexOf(image.split(" ")[1] as string)),
});
const said = (...splits: SplitContents[]) => identicalWarnings(identicalContents(splits), "set");

describe("images of the same content are told, one line a kind with numbers and examples", () => {
  it("in several splits", () => {
    const train = split("train", "1 cat", "2 dog");
    const val = split("val", "3 cat", "2 dog");
    expect(said(train, val, split("test", "1 cat", "3 cat", "4 dog"))).toEqual([
      "set: images are also in a split that the model is trained or selected on: 1 of val, 2 of test (val/1 is the same picture as train/1; test/0 is the same picture as train/0; test/1 is the same picture as val/0); remove them from one of the splits",
    ]);
  });

  it("with different labels, in one split or two", () => {
    expect(said(split("train", "1 cat", "1 dog", "2 dog"), split("test", "2 owl"))).toEqual([
      expect.stringMatching(
        /^set: images are also in a split .*: 1 of test \(test\/0 is the same picture as train\/2\)/,
      ),
      'set: images of the same content have different labels: 3 of train, 1 of test (train/1 ("dog") is the same picture as train/0 ("cat"); test/0 ("owl") is the same picture as train/2 ("dog")); give each picture one label',
    ]);
  });

  it("as copies within a split", () => {
    expect(said(split("train", "1 cat", "1 cat", "1 cat"), split("test", "2 dog", "2 dog"))).toEqual([
      "set: images are copies of other images of the same split and class: 2 of train, 1 of test (train/1 is the same picture as train/0; test/1 is the same picture as test/0); remove the copies, because each of them counts again",
    ]);
  });

  it("with a few examples of however many, each of another content", () => {
    const many = Array.from({ length: 500 }, (_, i) => `${i % 100} cat`);
    const { examples, images } = identicalContents([split("train", ...many)]).withinSplits;
    expect([images, examples.map(({ image }) => image.path)]).toEqual([400, ["train/100", "train/101", "train/102"]]);
  });

  it("and not at all where there are none", () => {
    expect(said(split("train", "1 cat", "2 dog"), split("test", "3 dog"))).toEqual([]);
    expect(said()).toEqual([]);
  });
});

it("are counted as comparing each image with each other counts them", () => {
  const image = fc.tuple(fc.constantFrom(..."12345"), fc.constantFrom(...CLASSES)).map((parts) => parts.join(" "));
  fc.assert(
    fc.property(fc.tuple(...NAMES.map(() => fc.array(image, { maxLength: 8 }))), (images) => {
      const found = identicalContents(NAMES.map((name, i) => split(name, ...(images[i] as string[]))));
      const all = NAMES.flatMap((name, s) => (images[s] as string[]).map((text) => ({ name, s, text, hash: text[0] })));
      type Image = (typeof all)[number];
      const number = (is: (one: Image, other: Image, earlier: boolean) => boolean) =>
        all.filter((one, i) => all.some((other, j) => i !== j && one.hash === other.hash && is(one, other, j < i)))
          .length;
      expect(found.acrossSplits.images).toBe(number((one, other) => other.s < one.s));
      expect(found.differentLabels.images).toBe(number((one, other) => one.text !== other.text));
      expect(found.withinSplits.images).toBe(number((a, b, earlier) => earlier && a.s === b.s && a.text === b.text));
      for (const { images: total, splits } of Object.values(found) as IdenticalKind[])
        expect(Object.values(splits).reduce((sum, own) => sum + own, 0)).toBe(total);
    }),
    { numRuns: 200 },
  );
});

it("are found by their pixels if they are not files", () => {
  const labels = tensor([0, 1, 1], { dtype: "int64" });
  const train = splitOf(tensor([[[[1, 2]]], [[[3, 4]]], [[[1, 2]]]], { dtype: "uint8" }), labels);
  const found = identicalImages([train]);
  expect(found.differentLabels).toEqual({
    ...{ images: 2, splits: { train: 2 } },
    examples: [
      {
        image: { split: "train", path: "train[2]", class: "1" },
        same: { split: "train", path: "train[0]", class: "0" },
      },
    ],
  });
  expect([found.acrossSplits.images, found.withinSplits.images]).toEqual([0, 0]);
  disposeSplit(train);
});
