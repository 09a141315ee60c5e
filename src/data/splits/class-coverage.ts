import { wordFor } from "../../counted.ts";
import { classCounts } from "../batches/prototypes.ts";
import { classList } from "../sources/class-names.ts";
import type { Split, SplitName } from "./split.ts";

/**
 * A split with fewer images of a class than this says little about the class: one image changes the accuracy by more
 * than 20 %, and training learns little from so few.
 */
const FEW_IMAGES_OF_CLASS = 5;

/** A class of which a split has fewer images than `FEW_IMAGES_OF_CLASS`. */
export interface ThinClass {
  split: SplitName;
  class: string;
  images: number;
}

/** The remedy for each split that lacks images of a class. */
const REMEDIES: Readonly<Record<SplitName, string>> = {
  train: "add images of such classes, or hold fewer out",
  val: "add images of such classes; if the split is drawn, hold a larger share out (valImages) or name its images yourself",
  test: "add images of such classes; if the split is drawn, hold a larger share out (testFraction) or name its images yourself",
};

/** The remedy for the validation and the test split together. */
const JOINT_REMEDY =
  "add images of such classes; if a split is drawn, hold a larger share out (valImages, testFraction) or name its images yourself";

/** Whether the images are also trained on. If not, nothing is held out of them. */
interface Use {
  trains?: boolean;
}

const remedyOf = (split: SplitName, { trains = true }: Use): string =>
  split === "val" && !trains
    ? "add images of such classes; if the split is drawn, name its images yourself"
    : REMEDIES[split];

/** The classes that have fewer than `FEW_IMAGES_OF_CLASS` images in a split, or none. */
export function thinClasses(splits: readonly Split[]): ThinClass[] {
  return splits.flatMap(({ name, labels, numClasses, classNames }) => {
    const counts = classCounts(labels, numClasses);
    return classNames.flatMap((className, label) => {
      const images = counts[label] as number;
      return images < FEW_IMAGES_OF_CLASS ? [{ split: name, class: className, images }] : [];
    });
  });
}

/** One warning for each evaluation split that has no image of some classes. It names the classes. */
export function coverageWarnings(splits: readonly (Split | undefined)[], use: Use = {}): string[] {
  return splits.flatMap((split) => {
    if (split === undefined || split.name === "train") return [];
    const { name, labels, numClasses, classNames } = split;
    const counts = classCounts(labels, numClasses);
    const missing = classNames.filter((_, label) => counts[label] === 0);
    if (missing.length === 0) return [];
    const present = classNames.filter((_, label) => counts[label] !== 0);
    if (present.length === 1)
      return [
        `${name} only has images of class "${present[0]}": its accuracy cannot show whether classes are distinguished`,
      ];
    const what = wordFor(missing.length, "it", "them");
    return [
      `${name} has no image of ${classList(missing)}: its accuracy says nothing about ${what}; ${remedyOf(name, use)}`,
    ];
  });
}

/**
 * Warnings about splits that have few images of some classes, but at least one. They name the classes and their counts. Validation and
 * test share one warning, because the effect and the remedy are the same.
 */
export function thinWarnings(splits: readonly Split[], use: Use = {}): string[] {
  const thin = thinClasses(splits).filter(({ images }) => images > 0);
  const ofSplit = (split: SplitName) => thin.filter((one) => one.split === split).sort((a, b) => a.images - b.images);
  const listOf = (own: readonly ThinClass[]) =>
    `fewer than ${FEW_IMAGES_OF_CLASS} images of ${classList(
      own.map((one) => one.class),
      own.map(({ images }) => images),
    )}`;
  const train = ofSplit("train");
  const judging = (["val", "test"] as const).flatMap((split) => {
    const own = ofSplit(split);
    return own.length === 0 ? [] : [{ split, own }];
  });
  const warnings: string[] = [];
  if (train.length > 0)
    warnings.push(`train has ${listOf(train)}: a model learns little from so few; ${REMEDIES.train}`);
  const [first, second] = judging;
  if (first === undefined) return warnings;
  const most = Math.max(...judging.flatMap(({ own }) => own.map(({ images }) => images)));
  const who = judging.map(({ split, own }) => `${split} has ${listOf(own)}`).join(", and ");
  const effect = `one image changes the accuracy of such a class by ${Math.round(100 / most)} % or more`;
  return [...warnings, `${who}: ${effect}; ${second === undefined ? remedyOf(first.split, use) : JOINT_REMEDY}`];
}
