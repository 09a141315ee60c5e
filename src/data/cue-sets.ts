import type { DatasetName } from "../config/index.ts";
import { type ColorCue, colorClasses } from "./color-mnist.ts";
import { type DatasetOptions, splitTensors } from "./dataset.ts";
import { addDecoys, type DecoyCue, patchMasks } from "./decoy.ts";
import { readFashionMnist } from "./fashion-mnist.ts";
import type { ByteSplit } from "./idx-splits.ts";
import { readMnist } from "./mnist.ts";
import type { Split } from "./split.ts";

/**
 * Test sets that differ in the cue alone: that of the image's own class, as in training (`aligned`), of a class drawn evenly from all
 * ten (`random`), none at all (`clean`), or of class 9 − y, which is surely wrong (`adversarial`).
 */
export type CueSet = "aligned" | "random" | "clean" | "adversarial";
export const CUE_SETS = ["aligned", "random", "clean", "adversarial"] as const satisfies CueSet[];

const DECOY_CUES = {
  aligned: "train",
  random: "random",
  clean: "none",
  adversarial: "opposite",
} as const satisfies Record<CueSet, DecoyCue>;
const COLOR_CUES = { aligned: "train", random: "random", clean: "none", adversarial: "test" } as const satisfies Record<
  CueSet,
  ColorCue
>;

/** The test images of a data set, and its labels, with one cue or another; `masks` is where the patch lies, for colours absent. */
export type CuedImages = Pick<Split, "images" | "labels" | "masks">;

/**
 * Reads the clean test images of a data set whose training images carry a cue, and gives what paints them; null for any other data
 * set. Images, their order and the corners of patches are those of `loadDataset`'s test split with the same options, in every set.
 * rrr's `random` and the colours' `adversarial` are that split itself. The caller disposes of each set's tensors.
 */
export async function readCueSets(
  name: DatasetName,
  options: Pick<DatasetOptions, "dataDir" | "decoyVariant" | "seed">,
): Promise<((set: CueSet) => CuedImages) | null> {
  const { dataDir, decoyVariant: variant = "rrr", seed = 0 } = options;
  const place = { seed, name: "test" };
  if (name === "color-mnist") {
    const { test } = await readMnist(dataDir);
    return (set) => splitTensors(colorClasses(test, COLOR_CUES[set], place));
  }
  const test = await cleanTest(name, dataDir);
  if (test === null) return null;
  return (set) => {
    const { shape, images, labels } = addDecoys(test, { variant, cue: DECOY_CUES[set], ...place });
    return splitTensors({ shape, images, labels, masks: patchMasks(test, { variant, ...place }) });
  };
}

async function cleanTest(name: DatasetName, dataDir: string | undefined): Promise<ByteSplit | null> {
  if (name === "decoy-mnist") return (await readMnist(dataDir)).test;
  return name === "decoy-fashion-mnist" ? (await readFashionMnist(dataDir)).test : null;
}
