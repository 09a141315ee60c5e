/**
 * The facts about a distance between a map and its prototype that flags, help, documentation and reports use. This is plain
 * data that loads without the engine; the function itself is in `distance.ts`.
 */
export interface DistanceDescription {
  readonly name: string;
  /** The quantity that it measures, with its formula. */
  readonly summary: string;
  /** The default weight of the Prototype Loss, chosen so that all distances lead to maps of about the same quality. */
  readonly lambda: number;
}

/** Every distance, the default first. A new distance needs an entry here and a line in `distance.ts`. */
export const DISTANCES = [
  {
    name: "ssim",
    summary: "1 − SSIM, structural similarity under a Gaussian window of 11 pixels (σ = 1.5)",
    lambda: 0.5,
  },
  { name: "l1", summary: "mean absolute difference of the pixels, mean |M − P|", lambda: 2 },
  { name: "l2", summary: "mean squared difference of the pixels, mean (M − P)²", lambda: 2 },
] as const satisfies readonly DistanceDescription[];

export type DistanceName = (typeof DISTANCES)[number]["name"];

/** A published method of guided training, for comparison. Its term of the loss is in `baselines.ts`. */
export interface BaselineDescription {
  readonly name: string;
  /** Its purpose in a few words. */
  readonly summary: string;
  /** The publication that the method comes from. */
  readonly source: string;
  /**
   * The parts of a step that it needs: masks of pixels that should not matter, maps, and gradients with respect to the images;
   * `secondDerivative` if its term depends on those gradients, which are then differentiated again.
   */
  readonly needs: {
    readonly masks: boolean;
    readonly maps: boolean;
    readonly inputGradient: boolean;
    readonly secondDerivative?: boolean;
  };
}

/** Every baseline. A new baseline needs an entry here and a function in `baselines.ts`. */
export const BASELINES = [
  {
    name: "rrr",
    summary: "penalises input gradients inside the masks",
    source: "Ross, Hughes and Doshi-Velez, arXiv 1703.03717",
    needs: { masks: true, maps: false, inputGradient: true, secondDerivative: true },
  },
  {
    name: "rrr-g",
    summary: "penalises map values inside the masks",
    source: "Schramowski et al., arXiv 2001.05371",
    needs: { masks: true, maps: true, inputGradient: false },
  },
  {
    name: "hint",
    summary: "rewards map values outside the masks, on the object",
    source: "after Selvaraju et al., arXiv 1902.03751, as Friedrich et al. 2023 write it",
    needs: { masks: true, maps: true, inputGradient: false },
  },
  {
    name: "saliency-guided",
    summary: "asks for the same output when the less salient pixels are hidden",
    source: "Ismail et al., arXiv 2111.14338",
    needs: { masks: false, maps: false, inputGradient: true },
  },
] as const satisfies readonly BaselineDescription[];

export type BaselineName = (typeof BASELINES)[number]["name"];
