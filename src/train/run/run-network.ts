import type { ExportedModel } from "../../models/index.ts";
import type { Module } from "../../nn/index.ts";
import { fitExported } from "./exported-run.ts";
import { modelFor } from "./from-config.ts";
import { claimModel, expectFitting, expectLayersFor, rememberState } from "./given-model.ts";
import type { SessionData } from "./session-data.ts";
import type { ModelWithData, Training } from "./session-state.ts";

/** A network, what frees it or gives it back, and messages on how it was made to fit the data. */
export type RunNetwork = Pick<ModelWithData, "model"> &
  Pick<Training, "release"> & { readonly notes: readonly string[] };

/** The network that a program gave, or the exported one, or else the one that the config names. */
export function networkOf(
  { config, train }: SessionData,
  { given, exported }: { given: Module | undefined; exported: ExportedModel | null },
): RunNetwork {
  if (exported !== null) {
    expectLayersFor(config, exported);
    const notes = fitExported(exported, train, config);
    return { model: exported, release: () => exported.dispose(), notes };
  }
  if (given === undefined) {
    const model = modelFor(config, train);
    return { model, release: () => model.dispose(), notes: [] };
  }
  expectLayersFor(config, given);
  expectFitting("train", given, train);
  const free = claimModel("train", given);
  const restore = rememberState(given);
  const release = () => {
    restore();
    free();
  };
  return { model: given, release, notes: [] };
}
