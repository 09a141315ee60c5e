import { DATASETS } from "../data/description.ts";
import type { TrainConfig } from "./train-fields.ts";

/** The data sets that are identified by `dataDir`. For the others it only says where their files are. */
export const OWN_DATA: ReadonlySet<string> = new Set(DATASETS.filter(({ own }) => own).map(({ name }) => name));

/**
 * Options that do not affect the results of a finished run, apart from its times. (`threads` may affect the last digits
 * of a few numbers.)
 */
export const OUTCOME_FREE: readonly (keyof TrainConfig)[] = [
  ...(["threads", "device", "output", "experiment", "resume", "overwrite"] as const),
  ...(["deterministic", "acceptNewData"] as const),
  ...(["checkpointEvery", "checkpointSeconds", "keepEpochs", "logEvery", "lossBalanceEvery"] as const),
  ...(["figures", "profile", "profileSteps", "tensorboard"] as const),
];

/** The part of a config that determines the results of a run. Runs that agree in it are the same experiment. */
export function resultConfig(config: TrainConfig): Record<string, unknown> {
  const { plain, baseline, dataset, guideEvery } = config;
  const isUnguided = plain && baseline === undefined;
  const unused = [
    ...(OWN_DATA.has(dataset) ? [] : ["dataDir"]),
    ...(isUnguided || alwaysGuided(config) || (baseline !== undefined && guideEvery === 1) ? ["guideEvery"] : []),
    ...(isUnguided ? ["guideShare"] : []),
  ];
  const free: ReadonlySet<string> = new Set([...OUTCOME_FREE, ...unused]);
  return Object.fromEntries(Object.entries(config).filter(([key, value]) => value !== undefined && !free.has(key)));
}

/** Whether every step is guided because the config has a baseline, which is trained as it was published, and no number of its own. */
export const alwaysGuided = ({ baseline, guideEvery }: Pick<TrainConfig, "baseline" | "guideEvery">): boolean =>
  baseline !== undefined && guideEvery === "auto";
