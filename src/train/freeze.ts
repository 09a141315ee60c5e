import { BatchCamError } from "../errors.ts";
import type { Model } from "../models/index.ts";
import type { Module } from "../nn/index.ts";

/**
 * Freezes the modules at some paths, separated by commas: their parameters need no gradient. Returns the modules, which
 * have to stay in evaluation mode so that their running statistics stay too.
 *
 * @throws E_CONFIG for a path that the model lacks, or where nothing is left to train
 */
export function freeze(model: Model, paths: string): Module[] {
  const modules = paths.split(",").map((path) => model.moduleAt(path.trim(), "freeze"));
  for (const module of modules) module.requiresGrad_(false);
  if (model.parameters().every((parameter) => !parameter.requiresGrad)) {
    throw new BatchCamError("E_CONFIG", `freeze: nothing is left to train with ${JSON.stringify(paths)} frozen`);
  }
  return modules;
}
