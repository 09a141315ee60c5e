import type { NamedTrainConfig } from "../../config/index.ts";
import { OWN_DATA } from "../../config/internal.ts";
import { datasetDigest } from "../../data/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { isExportedPath } from "../../models/internal.ts";
import { sha256OfFile } from "../../regular-file.ts";
import { datasetOptions } from "../../train/internal.ts";

/** The digests of the user's own data sets and exported models that a grid names, by `dataKey` and `modelKey`. */
export type DataDigests = ReadonlyMap<string, string>;

/** A key for the data of a run within its grid, or null for data sets of the package, whose content never changes. */
export function dataKey({ dataset, dataDir }: Pick<NamedTrainConfig, "dataset" | "dataDir">): string | null {
  return OWN_DATA.has(dataset) && dataDir !== undefined ? `${dataset} ${dataDir}` : null;
}

/** A key for the exported model of a run within its grid, or null for models of the package. */
export function modelKey({ model }: { readonly model: string }): string | null {
  return isExportedPath(model) ? `model ${model}` : null;
}

/**
 * Computes the digests of some runs' data and exported models as they are now. What cannot be read gets no digest; its run reports the
 * reason.
 */
export async function dataDigests(
  configs: readonly NamedTrainConfig[],
  signal?: AbortSignal,
): Promise<Map<string, string>> {
  const digests = new Map<string, string>();
  const tried = new Set<string>();
  const add = async (key: string | null, compute: () => Promise<string | null>) => {
    if (key === null || tried.has(key)) return;
    tried.add(key);
    const digest = await compute().catch(noneIfUnreadable);
    if (digest !== null) digests.set(key, digest);
  };
  for (const config of configs) {
    await add(dataKey(config), () => datasetDigest(config.dataset, { ...datasetOptions(config), signal }));
    await add(modelKey(config), () => sha256OfFile(config.model));
  }
  return digests;
}

function noneIfUnreadable(error: unknown): null {
  const unreadable = error instanceof BatchCamError || (error instanceof Error && "syscall" in error);
  if (unreadable) return null;
  throw error;
}
