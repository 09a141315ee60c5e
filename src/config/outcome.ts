import { DATASETS } from "../data/description.ts";
import type { TrainConfig } from "./train-fields.ts";

/** Data sets that `dataDir` names; of the others it only says where their files are. */
export const OWN_DATA: ReadonlySet<string> = new Set(DATASETS.filter(({ own }) => own).map(({ name }) => name));

/** Options on which no number of a finished run depends but its times, and on `threads` the last digits of a few. */
export const OUTCOME_FREE: readonly (keyof TrainConfig)[] = [
  ...(["threads", "device", "output", "experiment", "resume", "overwrite"] as const),
  ...(["deterministic", "acceptNewData"] as const),
  ...(["checkpointEvery", "checkpointSeconds", "keepEpochs", "logEvery", "lossBalanceEvery"] as const),
  ...(["figures", "profile", "profileSteps", "tensorboard"] as const),
];

/** The part of a config that a finished run's numbers depend on: runs that agree in it are one experiment. */
export function outcomeOf(config: TrainConfig): Record<string, unknown> {
  const free: ReadonlySet<string> = new Set([...OUTCOME_FREE, ...(OWN_DATA.has(config.dataset) ? [] : ["dataDir"])]);
  return Object.fromEntries(Object.entries(config).filter(([key, value]) => value !== undefined && !free.has(key)));
}
