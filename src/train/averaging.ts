import type { Model } from "../models/index.ts";
import type { WeightEma } from "../optim/index.ts";
import { disposeAll } from "./checkpoint.ts";

/** Runs fn with the averaged weights in the model, where there is an average, and puts the trained ones back, bit for bit. */
export async function withAverage<T>(model: Model, average: WeightEma | null, fn: () => Promise<T>): Promise<T> {
  if (average === null) return fn();
  const live = model.stateDict();
  const trained = new Map(Array.from(live, ([name, tensor]) => [name, tensor.clone()]));
  disposeAll(live);
  try {
    model.loadStateDict(average.state());
    return await fn();
  } finally {
    model.loadStateDict(trained);
    disposeAll(trained);
  }
}
