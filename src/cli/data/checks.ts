import { parseTrainConfig } from "../../config/index.ts";
import { OWN_DATA } from "../../config/internal.ts";
import { classCounts, type Dataset, disposeSplit, type Split } from "../../data/index.ts";
import {
  coverageWarnings,
  type IdenticalImages,
  identicalImages,
  identicalWarnings,
  type ThinClass,
  thinClasses,
  thinWarnings,
} from "../../data/internal.ts";
import { heldOutValidation } from "../../train/internal.ts";

/** The findings on a data set, which training with the default options would warn about. */
export interface DataChecks {
  warnings: string[];
  /** The number of images of each class that training holds out for validation, or null if the data set has a validation split. */
  heldOut: number[] | null;
  /** Classes with few images in one of the splits that training uses. */
  thinClasses: ThinClass[];
  /** Null for the built-in data sets, whose images nobody can change. */
  identicalImages: IdenticalImages | null;
}

/** @param place the data set's folder or file, as it was given */
export function checkData(dataset: Dataset, place: string): DataChecks {
  const { train, val, test } = dataset;
  const own = OWN_DATA.has(dataset.name);
  const identical = own ? identicalImages(val === undefined ? [train, test] : [train, val, test]) : null;
  // If the data set has no validation split, training holds out some of the training images.
  const drawn = val === undefined ? heldOutValidation(train, parseTrainConfig({})) : null;
  const splits: Split[] = [drawn?.train ?? train, drawn?.val ?? (val as Split), test];
  try {
    return {
      warnings: [
        ...(dataset.warnings ?? []),
        ...(drawn === null ? thinWarnings(splits) : drawnWarnings(drawn, test)),
        ...(identical === null ? [] : identicalWarnings(identical, place)),
      ],
      heldOut: drawn === null ? null : classCounts(drawn.val.labels, drawn.val.numClasses),
      thinClasses: thinClasses(splits),
      identicalImages: identical,
    };
  } finally {
    if (drawn !== null) for (const split of [drawn.train, drawn.val]) disposeSplit(split);
  }
}

/** Warnings about the test split, and about splits that the table does not show, because training creates them. */
function drawnWarnings({ train, val }: { train: Split; val: Split }, test: Split): string[] {
  const warnings = [...coverageWarnings([val]), ...thinWarnings([train, val, test])];
  // The table shows the test split as training uses it.
  return warnings.map((warning) =>
    warning.startsWith(`${test.name} `) ? warning : `when training has held validation images out, ${warning}`,
  );
}
