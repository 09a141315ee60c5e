import { type DatasetOptions, splitTensors } from "../dataset.ts";
import type { DatasetName } from "../description.ts";
import type { Split } from "../splits/split.ts";
import { type ColorCue, colorClasses } from "./color-mnist.ts";
import { addDecoys, type DecoyCue, patchMasks } from "./decoy.ts";
import { readFashionMnist } from "./fashion-mnist.ts";
import type { ByteSplit } from "./idx.ts";
import { readMnist } from "./mnist.ts";

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

/** Options of `loadDataset` that the cues depend on. */
type CueOptions = Pick<DatasetOptions, "dataDir" | "decoyVariant" | "seed">;
/** Gives the test images with one cue or another. The caller disposes of each set's tensors. */
type PaintCue = (set: CueSet) => CuedImages;

/** How the clean test images of each data set with a cue are read and painted. */
const READERS: Readonly<Partial<Record<DatasetName, (options: CueOptions) => Promise<PaintCue>>>> = {
  "decoy-mnist": async (options) => patched((await readMnist(options.dataDir)).test, options),
  "decoy-fashion-mnist": async (options) => patched((await readFashionMnist(options.dataDir)).test, options),
  "color-mnist": async (options) => coloured((await readMnist(options.dataDir)).test, options),
};

/**
 * Reads the clean test images of a data set whose training images carry a cue, and gives what paints them; null for any other data
 * set. Images, their order and the corners of patches are those of `loadDataset`'s test split with the same options, in every set.
 * rrr's `random` and the colours' `adversarial` are that split itself.
 */
export async function readCueSets(name: DatasetName, options: CueOptions): Promise<PaintCue | null> {
  return (await READERS[name]?.(options)) ?? null;
}

function patched(test: ByteSplit, { decoyVariant: variant = "rrr", seed = 0 }: CueOptions): PaintCue {
  const place = { seed, name: "test" };
  return (set) => {
    const { shape, images, labels } = addDecoys(test, { variant, cue: DECOY_CUES[set], ...place });
    return splitTensors({ shape, images, labels, masks: patchMasks(test, { variant, ...place }) });
  };
}

const coloured =
  (test: ByteSplit, { seed = 0 }: CueOptions): PaintCue =>
  (set) =>
    splitTensors(colorClasses(test, COLOR_CUES[set], { seed, name: "test" }));
