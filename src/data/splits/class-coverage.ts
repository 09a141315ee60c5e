import { wordFor } from "../../counted.ts";
import { classCounts } from "../batches/prototypes.ts";
import { classList } from "../sources/class-names.ts";
import type { Split, SplitName } from "./split.ts";

/** Images of a class in a split under which its share of correct answers, or what was learned of it, is hardly more than chance. */
const FEW_IMAGES_OF_CLASS = 5;

/** A class of which a split has fewer images than `FEW_IMAGES_OF_CLASS`. */
export interface ThinClass {
  split: SplitName;
  class: string;
  images: number;
}

/** What to do for a split that lacks images of a class. */
const REMEDIES: Readonly<Record<SplitName, string>> = {
  train: "add images of such classes, or hold fewer out",
  val: "add images of such classes; where the split is drawn, hold a larger share out (valImages) or name its images yourself",
  test: "add images of such classes; where the split is drawn, hold a larger share out (testFraction) or name its images yourself",
};

/** Classes of which splits have few images, or none. */
export function thinClasses(splits: readonly Split[]): ThinClass[] {
  return splits.flatMap(({ name, labels, numClasses, classNames }) => {
    const counts = classCounts(labels, numClasses);
    return classNames.flatMap((className, label) => {
      const images = counts[label] as number;
      return images < FEW_IMAGES_OF_CLASS ? [{ split: name, class: className, images }] : [];
    });
  });
}

/** What is said of a split that does not show every class: by its classes' names, one sentence for each split. */
export function coverageWarnings(splits: readonly (Split | undefined)[]): string[] {
  return splits.flatMap((split) => {
    if (split === undefined || split.name === "train") return [];
    const { name, labels, numClasses, classNames } = split;
    const counts = classCounts(labels, numClasses);
    const missing = classNames.filter((_, label) => counts[label] === 0);
    if (missing.length === 0) return [];
    const present = classNames.filter((_, label) => counts[label] !== 0);
    if (present.length === 1)
      return [`${name} has images of class "${present[0]}" alone: it cannot tell classes apart`];
    const what = wordFor(missing.length, "it", "them");
    return [
      `${name} has no image of ${classList(missing)}: its accuracy says nothing about ${what}; ${REMEDIES[name]}`,
    ];
  });
}

/** What is said of a split that has images of a class, but few: by the classes' names and numbers, one sentence for each split. */
export function thinWarnings(splits: readonly Split[]): string[] {
  const thin = thinClasses(splits).filter(({ images }) => images > 0);
  return splits.flatMap(({ name }) => {
    const own = thin.filter(({ split }) => split === name).sort((a, b) => a.images - b.images);
    if (own.length === 0) return [];
    const most = own.at(-1)?.images as number;
    const effect =
      name === "train"
        ? "little can be learned about so few"
        : `one image moves the accuracy of such a class by ${Math.round(100 / most)} % or more`;
    const list = classList(
      own.map((one) => one.class),
      own.map(({ images }) => images),
    );
    return [`${name} has fewer than ${FEW_IMAGES_OF_CLASS} images of ${list}: ${effect}; ${REMEDIES[name]}`];
  });
}
