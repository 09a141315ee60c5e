/**
 * Test sets that differ in the cue alone: that of the image's own class, as in training (`aligned`), of a random class, none at
 * all, or of a class that is surely wrong.
 */
export type CueSet = "aligned" | "random" | "clean" | "adversarial";

/** How far a model leans on a cue that training images carry by chance. */
export interface SpuriousRecord {
  /** Images of each test set. */
  images: number;
  /** 0 to 1. */
  accuracy: Record<CueSet, number>;
  /** Accuracy of the class that has the lowest, 0 to 1. */
  worstClass: Record<CueSet, number>;
  /** Mean share of the map's sum on the patch, on the random set, dead maps left out; null where the cue has no place of its own. */
  energyInPatch: number | null;
  /**
   * Share of the patch's pixels whose value in the map is above the mean of all maps of the random set (XIL), and how many dead
   * maps were left out; null where the cue has no place of its own.
   */
  wrongReason: { score: number; dropped: number } | null;
}
