import type { TrainConfig } from "../../config/index.ts";
import { alwaysGuided } from "../../config/internal.ts";
import { shareBehind } from "../../models/internal.ts";
import type { Module } from "../../nn/index.ts";
import { closedFormAt } from "../loop/objective.ts";

/**
 * The numbers of steps from which `guideEvery` "auto" chooses. With one guided step in 4, maps lose at most 0.03 of SSIM, and with one in 10
 * up to 0.08, however long the run is (docs/benchmarks.md). The numbers divide `logEvery` 20, so that the logged steps are guided ones.
 */
const CHOICES = [1, 2, 4] as const;

/** The share of a plain step's time that guidance may add on average, if one guided step in 4 is enough for that. */
const MOST_ADDED = 0.1;

/**
 * What a guided step adds to a plain one, as a multiple of the share of the network that is behind the target layer. That part is
 * differentiated twice, which takes six passes instead of three; docs/benchmarks.md has the measurements.
 */
const ADDED_BEHIND = 1.3;

/** A run has at least this number of guided steps, if it has that many steps. */
const LEAST_GUIDED = 80;

/** What the choice depends on besides the config. */
export interface GuidedRun {
  model: Module;
  camLayer: string;
  /** [channels, height, width] */
  image: readonly [number, number, number];
  /** The steps of the run. */
  steps: number;
  /** Whether a program added terms to the loss, which may need maps at every step. */
  hasOwnTerms: boolean;
}

/**
 * The number of steps of which one is guided: the configured number, otherwise the smallest of 1, 2 and 4 with which guidance adds at most
 * a tenth to the time of training, or 4; but fewer in a short run. It follows from the architecture alone, so that it is the same on every machine. Without
 * guidance nothing has to be decided.
 */
export function guideEveryOf(config: TrainConfig, { steps, hasOwnTerms, ...network }: GuidedRun): number | "auto" {
  const { guideEvery, plain, baseline } = config;
  if (guideEvery !== "auto" || (plain && baseline === undefined)) return guideEvery;
  if (hasOwnTerms || alwaysGuided(config)) return 1;
  const added = addedBy(network);
  const affordable = CHOICES.find((every) => added / every <= MOST_ADDED) ?? Math.max(...CHOICES);
  return CHOICES.findLast((every) => every <= affordable && steps / every >= LEAST_GUIDED) ?? 1;
}

/** The share of a plain step that guidance of every step would add. A closed form leaves nothing to differentiate twice. */
function addedBy({ model, camLayer, image }: Pick<GuidedRun, "model" | "camLayer" | "image">): number {
  if (closedFormAt(model, camLayer) !== null) return 0;
  const behind = shareBehind(model, image, camLayer);
  return ADDED_BEHIND * (Number.isNaN(behind) ? 1 : behind);
}
