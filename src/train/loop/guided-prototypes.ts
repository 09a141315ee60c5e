import type { TrainConfig } from "../../config/index.ts";
import { type PrototypeOptions, prototypes } from "../../data/index.ts";
import { randomBelow, randomSource } from "../../data/internal.ts";
import { keep, type Tensor, tensor, tidy } from "../../tensor/index.ts";
import { loadData } from "../data/configured-data.ts";

/**
 * The prototypes that the maps of each class are guided to, (C, H, W). All except "class" and "clean" are controls: if
 * they have the same effect as the right prototypes, the effect is not due to the content of the prototypes.
 * - "class": the prototype of the class itself;
 * - "shuffled": the prototype of another class, by a seeded permutation of one cycle, in which no class keeps its own;
 * - "global": the mean of all prototypes, for every class;
 * - "constant": the mean of all their values, in every pixel;
 * - "clean": the prototype of the class from images without the decoy, which are not available in practice.
 *
 * @param own (C, H, W): the prototype of each class itself; it is not freed
 * @param options the options of clean prototypes, as `prototypes` takes them
 */
export async function guidedPrototypes(
  own: Tensor,
  config: TrainConfig,
  options: PrototypeOptions = {},
): Promise<Tensor> {
  const { prototypes: source, seed } = config;
  const [classes = 0] = own.sizes;
  if (source === "clean") return cleanPrototypes(config, options);
  const made = tidy(() => {
    if (source === "shuffled") return own.indexSelect(0, tensor(oneCycle(classes, seed)));
    if (source === "global") return own.mean([0], { keepDims: true }).expand(own.shape).contiguous();
    return source === "constant" ? own.mean().expand(own.shape).contiguous() : own.clone();
  });
  return keep(made);
}

/**
 * The images that the run's prototypes are computed from. The saved prototypes are statistics of the training images, even if the maps
 * are guided to running means.
 */
export function prototypeOptions({ statistic, trim }: TrainConfig, onWarning: (message: string) => void) {
  return { statistic: statistic === "cam-ema" ? "mean" : statistic, trim, onWarning } as const;
}

/** Sattolo's algorithm: every permutation of one cycle is equally likely. */
export function oneCycle(count: number, seed: number): Int32Array {
  const next = randomSource("shuffled prototypes", { seed });
  const order = Int32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = randomBelow(next, i);
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order;
}

/** Uses the same images as the run's own prototypes: validation images are left out here too. */
async function cleanPrototypes(config: TrainConfig, options: PrototypeOptions): Promise<Tensor> {
  const dataset = config.dataset === "decoy-fashion-mnist" ? "fashion-mnist" : "mnist";
  const data = await loadData({ ...config, dataset });
  try {
    return keep(await prototypes(data.train, options));
  } finally {
    data.dispose();
  }
}
