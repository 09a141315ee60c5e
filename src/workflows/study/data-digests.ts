import type { NamedTrainConfig } from "../../config/index.ts";
import { OWN_DATA } from "../../config/internal.ts";
import { datasetDigest } from "../../data/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { datasetOptions } from "../../train/internal.ts";

/** The digests of the user's own data sets that a grid names, by `dataKey`. */
export type DataDigests = ReadonlyMap<string, string>;

/** A key for the data of a run within its grid, or null for data sets of the package, whose content never changes. */
export function dataKey({ dataset, dataDir }: Pick<NamedTrainConfig, "dataset" | "dataDir">): string | null {
  return OWN_DATA.has(dataset) && dataDir !== undefined ? `${dataset} ${dataDir}` : null;
}

/** Computes the digests of some runs' data as they are now. Data that cannot be listed get no digest; their run reports the reason. */
export async function dataDigests(
  configs: readonly NamedTrainConfig[],
  signal?: AbortSignal,
): Promise<Map<string, string>> {
  const digests = new Map<string, string>();
  const tried = new Set<string>();
  for (const config of configs) {
    const key = dataKey(config);
    if (key === null || tried.has(key)) continue;
    tried.add(key);
    const digest = await datasetDigest(config.dataset, { ...datasetOptions(config), signal }).catch(noneIfUnreadable);
    if (digest !== null) digests.set(key, digest);
  }
  return digests;
}

function noneIfUnreadable(error: unknown): null {
  const unreadable = error instanceof BatchCamError || (error instanceof Error && "syscall" in error);
  if (unreadable) return null;
  throw error;
}
