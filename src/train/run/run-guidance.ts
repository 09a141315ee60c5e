import { classCounts, prototypes as classPrototypes, type Split } from "../../data/index.ts";
import { CamEma } from "../../losses/index.ts";
import type { Module } from "../../nn/index.ts";
import { keep, type Tensor, tensor } from "../../tensor/index.ts";
import { guidedPrototypes, prototypeOptions } from "../loop/guided-prototypes.ts";
import type { Guidance } from "../loop/objective.ts";
import type { TrainEvent } from "./events.ts";
import type { OpenRun } from "./run-directory.ts";
import { checkMapSize, guidedLayer } from "./session-checks.ts";
import { runPrototypes, type SessionData } from "./session-data.ts";
import type { RunMaps } from "./session-state.ts";

/** The layer whose maps are guided, and the prototypes that they are guided to and compared with. */
export async function runGuidance(
  run: OpenRun,
  { data, model, emit }: { data: SessionData; model: Module; emit: (event: TrainEvent) => void },
): Promise<{
  guidance: Omit<Guidance, "config">;
  size: RunMaps["size"];
  references: Tensor;
  warnings: string[];
}> {
  const { config, train } = data;
  const { camLayer, size } = guidedLayer(config, model, train);
  checkMapSize(size, camLayer, emit);
  const imageSize = train.images.sizes.slice(-2) as [number, number];
  const statistics = prototypeOptions(config, (message) => emit({ type: "warning", message }));
  const computed = keep(await classPrototypes(train, statistics));
  const { references, warnings } = await runPrototypes(run, data, computed);
  const camEma =
    config.statistic === "cam-ema" && !config.plain
      ? new CamEma(train.numClasses, imageSize, { decay: config.emaDecay })
      : null;
  const prototypes = camEma?.prototypes ?? (await guidedPrototypes(references, config, statistics));
  const classWeights = config.classWeights === "balanced" ? keep(balancedWeights(train)) : null;
  return { guidance: { camLayer, prototypes, camEma, classWeights }, size, references, warnings };
}

/**
 * N / (C · n_c): weights that make every class count the same, with mean 1 over the images. Classes without images have weight
 * 0.
 */
function balancedWeights(split: Split): Tensor {
  const counts = classCounts(split.labels, split.numClasses);
  const present = counts.filter((count) => count > 0).length;
  return tensor(
    counts.map((count) => (count > 0 ? split.labels.numel / (present * count) : 0)),
    { dtype: "float32" },
  );
}
