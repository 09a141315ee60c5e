import type { TrainConfig } from "../config/index.ts";
import { counted, wordFor } from "../counted.ts";
import { imageHashes } from "../data/content-hashes.ts";
import { type DataRecord, earlierSplits, listedIn } from "../data/data-record.ts";
import { steadyFraction } from "../data/held-out.ts";
import { type Split, splitValidation } from "../data/index.ts";
import { drawValidation } from "../data/validation-split.ts";
import { BatchCamError } from "../errors.ts";
import type { Parts } from "./owned-splits.ts";

/** With the data set's own validation split, else with one held out of the training images; none where the run overfits. */
export function withValidation(
  parts: Parts,
  { valImages, seed, overfitBatches }: TrainConfig,
  { run, adapt = false }: { run?: DataRecord | undefined; adapt?: boolean },
): { parts: Parts; valFraction: number | null } {
  const { train } = parts;
  if (parts.val !== undefined || overfitBatches !== undefined) return { parts, valFraction: null };
  const count = train.labels.numel;
  if ((valImages ?? 1) >= count) {
    const left = `valImages is ${valImages ?? 1}, and there ${wordFor(count, "is", "are")} ${counted(count, "image")} to train on: hold fewer out, so that some are left`;
    throw new BatchCamError("E_CONFIG", left);
  }
  const { paths, hashes } = train;
  if (paths === undefined || hashes === undefined) {
    const known = adapt ? decidedByContent(train, seed, run) : null;
    return { parts: { ...parts, ...(known ?? heldOutValidation(train, { valImages, seed })) }, valFraction: null };
  }
  const earlier = run && earlierSplits(run, { byContent: adapt });
  const decided = (place: number) => {
    const before = earlier?.({ relative: paths[place] as string, hash: hashes[place] as string });
    return before === undefined || before === "test" ? undefined : before === "val";
  };
  const fraction = run?.valFraction ?? validationFraction(train, valImages);
  return { parts: { ...parts, ...drawValidation(train, seed, { fraction, decided }) }, valFraction: fraction };
}

/**
 * Parts other images without paths as a run has parted its own: an image that it knows by its content stays in its split, and others are
 * drawn by their contents, in the same share. Null for a run that does not know the contents of its images.
 */
function decidedByContent(
  train: Split,
  seed: number,
  run: DataRecord | undefined,
): { train: Split; val: Split } | null {
  const [before, held] = [listedIn(run?.splits.train).length, listedIn(run?.splits.val).length];
  if (run === undefined || before === 0 || held === 0) return null;
  const earlier = earlierSplits(run, { byContent: true });
  const hashes = imageHashes(train);
  const decided = (place: number) => {
    const split = earlier({ relative: "", hash: hashes[place] as string });
    return split === undefined || split === "test" ? undefined : split === "val";
  };
  const drawn = drawValidation({ ...train, paths: hashes, hashes }, seed, {
    fraction: held / (before + held),
    decided,
  });
  const unnamed = ({ paths: _, hashes: __, ...split }: Split): Split => split;
  return { train: unnamed(drawn.train), val: unnamed(drawn.val) };
}

/**
 * Parts training images where the data set has no validation split: `valImages` of them, else a tenth and at most 5000. Images that have
 * paths are drawn by them, each apart, so that their number is about that.
 */
export function heldOutValidation(
  train: Split,
  { valImages, seed }: Pick<TrainConfig, "valImages" | "seed">,
): { train: Split; val: Split } {
  const count = train.labels.numel;
  if (train.paths !== undefined) return drawValidation(train, seed, { fraction: validationFraction(train, valImages) });
  const images = valImages ?? Math.min(MOST_VALIDATION, Math.max(1, Math.round(count / 10)));
  return splitValidation(train, { images, seed });
}

const MOST_VALIDATION = 5000;

/** The share of images that have paths which is held out for validation. */
export function validationFraction({ labels: { numel } }: Split, valImages: number | undefined): number {
  if (valImages === undefined && numel <= 10 * MOST_VALIDATION) return 0.1;
  return steadyFraction(valImages ?? MOST_VALIDATION, numel);
}
