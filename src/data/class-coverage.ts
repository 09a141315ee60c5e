import { wordFor } from "../counted.ts";
import { classList } from "./class-list.ts";
import { classCounts } from "./prototypes.ts";
import type { Split } from "./split.ts";

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
    return [
      `${name} has no image of ${classList(missing)}: its accuracy says nothing about ${wordFor(missing.length, "it", "them")}`,
    ];
  });
}
