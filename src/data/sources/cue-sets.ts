import type { DatasetOptions } from "../dataset.ts";
import type { DatasetName } from "../description.ts";
import { splitTensors } from "../loaders.ts";
import type { Split } from "../splits/split.ts";
import { type ColorCue, colorClasses } from "./color-mnist.ts";
import { addDecoys, type DecoyCue, patchMasks } from "./decoy.ts";
import { readFashionMnist } from "./fashion-mnist.ts";
import type { ByteSplit } from "./idx.ts";
import { readMnist } from "./mnist.ts";

/**
 * Versions of the test images that differ only in the cue:
 *
 * - `aligned`: the cue of the image's own class, as in training;
 * - `random`: the cue of a class drawn uniformly from all ten;
 * - `clean`: no cue;
 * - `adversarial`: the cue of class 9 − y, which is always wrong.
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

/** The test images and labels of a data set with one version of the cue. `masks` marks the patch; it is absent for colours. */
export type CuedImages = Pick<Split, "images" | "labels" | "masks">;

/** The options of `loadDataset` that the cues depend on. */
type CueOptions = Pick<DatasetOptions, "dataDir" | "decoyVariant" | "seed">;
/** Makes the test images with one version of the cue. The caller disposes of the tensors of each. */
type PaintCue = (set: CueSet) => CuedImages;

/** Readers of the data sets that have a cue. */
const READERS: Readonly<Partial<Record<DatasetName, (options: CueOptions) => Promise<PaintCue>>>> = {
  "decoy-mnist": async (options) => patched((await readMnist(options.dataDir)).test, options),
  "decoy-fashion-mnist": async (options) => patched((await readFashionMnist(options.dataDir)).test, options),
  "color-mnist": async (options) => coloured((await readMnist(options.dataDir)).test, options),
};

/**
 * Reads the clean test images of a data set whose training images carry a cue, and returns a function that adds each
 * version of the cue to them. Returns null for any other data set. In every version the images, their order and the
 * corners of the patches equal those of the test split of `loadDataset` with the same options. The `random` version of
 * "rrr" and the `adversarial` version of the colours are identical to that test split.
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
