import { expect, it } from "vitest";
import { tensor, zeros } from "../../tensor/index.ts";
import { coverageWarnings, thinClasses, thinWarnings } from "./class-coverage.ts";
import { disposeSplit, type Split } from "./split.ts";
import { splitOf } from "./split-of.ts";

/** Makes a split with the given number of images of each class. */
function split(name: Split["name"], ...counts: number[]): Split {
  const labels = counts.flatMap((count, label) => new Array<number>(count).fill(label));
  const images = zeros([labels.length, 1, 1, 1], { dtype: "uint8" });
  return { ...splitOf(images, tensor(labels, { dtype: "int64" }), { numClasses: counts.length }), name };
}

it("warns of classes that a split has fewer than five images of, with their numbers, and says what to do", () => {
  const splits = [split("train", 5, 4, 9), split("val", 3, 1, 0), split("test", 5, 5, 50)];
  expect(thinClasses(splits).map(({ split: name, class: own, images }) => `${name} ${own} ${images}`)).toEqual([
    "train 1 4",
    "val 0 3",
    "val 1 1",
    "val 2 0",
  ]);
  expect(thinWarnings(splits)).toEqual([
    'train has fewer than 5 images of class "1" (4): a model learns little from so few; add images of such classes, or hold fewer out',
    'val has fewer than 5 images of classes "1" (1), "0" (3): one image changes the accuracy of such a class by 33 % or more; add images of such classes; if the split is drawn, hold a larger share out (valImages) or name its images yourself',
  ]);
  expect(coverageWarnings(splits)).toEqual([
    expect.stringMatching(/^val has no image of class "2": its accuracy says nothing about it; add images .*valImages/),
  ]);
  splits.forEach(disposeSplit);
});

it("warns once if validation and test are both thin, of the least effect in either", () => {
  const splits = [split("train", 9, 9), split("val", 1, 9), split("test", 4, 2)];
  expect(thinWarnings(splits)).toEqual([
    'val has fewer than 5 images of class "0" (1), and test has fewer than 5 images of classes "1" (2), "0" (4): one image changes the accuracy of such a class by 25 % or more; add images of such classes; if a split is drawn, hold a larger share out (valImages, testFraction) or name its images yourself',
  ]);
  splits.forEach(disposeSplit);
});

it("names the fewest of many classes", () => {
  const test = split("test", 4, 4, 4, 1, 4, 4, 4);
  expect(thinWarnings([test])[0]).toContain(
    'classes "3" (1), "0" (4), "1" (4), "2" (4), "4" (4) and 2 more: one image',
  );
  disposeSplit(test);
});
