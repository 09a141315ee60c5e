import { types } from "node:util";
import { expectFunction, wrongArgument } from "../arguments.ts";
import { forgetFolded } from "./fused/folded-weights.ts";
import { Module } from "./module.ts";

/**
 * Runs `fn`, which may be asynchronous, with a module in evaluation mode, and then restores the mode of every module in its
 * tree, even if `fn` throws.
 */
export function inEvaluation<T>(root: Module, fn: () => T): T {
  if (!(root instanceof Module)) throw wrongArgument("inEvaluation: root", "a Module", root);
  expectFunction("inEvaluation: fn", fn);
  const modes = Array.from(root.namedModules().values(), (module) => [module, module.training] as const);
  const restore = () => {
    for (const [module, training] of modes) {
      module.training = training;
      if (training) forgetFolded(module); // training will change its weights, so the folded ones are freed
    }
  };
  root.eval();
  let pending = false;
  try {
    const result = fn();
    if (!types.isPromise(result)) return result;
    pending = true;
    return result.finally(restore) as T;
  } finally {
    if (!pending) restore();
  }
}
