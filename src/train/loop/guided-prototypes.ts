import type { TrainConfig } from "../../config/index.ts";
import { type PrototypeOptions, prototypes } from "../../data/index.ts";
import { randomBelow, randomSource } from "../../data/internal.ts";
import { keep, type Tensor, tensor, tidy } from "../../tensor/index.ts";
import { loadData } from "../data/configured-data.ts";

/**
 * The maps that each class is guided to, (C, H, W). All but "class" and "clean" are controls: if they do as well as the
 * right prototypes, the gain is not due to where the prototypes point.
 * - "class": the class's own;
 * - "shuffled": another class's, by a seeded permutation of one cycle, which leaves none in its place;
 * - "global": the mean of all prototypes, for every class;
 * - "constant": the mean of their values, in every pixel;
 * - "clean": the class's own, of the images without the decoy. In practice these images are not available.
 *
 * @param own (C, H, W): the class's own; it is not freed
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
 * The images of the prototypes that a run keeps. These are statistics of its training images, even if its maps are guided to
 * running means.
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
