import { types } from "node:util";
import { expectBoolean, expectFunction, expectString, optionsOf, wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { nearestNames } from "../nearest-name.ts";
import type { DType, Tensor } from "../tensor/index.ts";
import { forgetDerived, isTensor, versionOf } from "../tensor/internal.ts";
import { emitOutput, isWatched, observed, originOf } from "./interception.ts";
import { printedTree } from "./print.ts";
import { logitsOf, recordShared, tapsOf } from "./recorder.ts";
import {
  type LoadReport,
  loadTensors,
  replaceTensors,
  type Visit as StateVisit,
  slotsOf,
  stateOf,
  tensorsOf,
} from "./state-dict.ts";

/** The logits of a forward pass and the requested outputs. */
export interface TappedForward<Path extends string = string> {
  /** (B, numClasses), before softmax */
  logits: Tensor;
  /**
   * The outputs by module path. They are part of the graph of `logits`, so that gradients with respect to them exist. Their values are
   * those that the layers returned.
   */
  taps: Record<Path, Tensor>;
}

interface Visit extends StateVisit {
  readonly module: Module;
}

/**
 * Key of a record with a module's children and tensors, for a class whose names for them may be those of its own methods. Other modules
 * have them as properties.
 */
export const PARTS: unique symbol = Symbol("parts");

const holderOf = (module: Module): object => (module as { [PARTS]?: object })[PARTS] ?? module;

/**
 * A part of a network. Its children are its own properties: modules, arrays of modules (named "blocks.0", "blocks.1"
 * …), and tensors marked with `parameter` or `buffer`. Names and order are those of torch's `state_dict`: own
 * parameters, own buffers, then children, each in the order in which the class declares them.
 *
 * A subclass defines `forward`. A parent calls its children by `run`, which calls `forward` and passes the output on to
 * `forwardWith` and other observers.
 *
 * @example
 * class Block extends Module {
 *   readonly conv = new Conv2d(3, 8, 3, { padding: 1 });
 *   readonly scale = parameter(ones([1]));
 *   override forward(x: Tensor): Tensor {
 *     return this.conv.run(x).mul(this.scale).relu();
 *   }
 * }
 */
export abstract class Module {
  /** Whether the module is in training mode, in which some layers, such as batch norm, behave differently. Set by `train` and `eval`. */
  training = true;

  constructor() {
    if (typeof this.forward !== "function") {
      throw new BatchCamError(
        "E_ARGUMENT",
        `${new.target.name}: a module needs a forward method; write a class that has one`,
      );
    }
  }

  /** The module's computation. It is synchronous, and has no effects except on running statistics. */
  abstract forward(x: Tensor, ...others: Tensor[]): Tensor;

  /** Calls `forward` and passes the output to observers such as `forwardWith`. A module calls its children by it. */
  run(...inputs: Parameters<this["forward"]>): Tensor {
    const forward = () => this.forward(...(inputs as unknown as [Tensor, ...Tensor[]]));
    if (!isWatched(this)) return observed(this, forward);
    const before = inputs.map((input) => (isTensor(input) ? versionOf(input) : 0));
    const output = observed(this, forward);
    return emitOutput(this, output, originOf(output, inputs, before));
  }

  /**
   * A forward pass that also returns the outputs of modules by their state-dict paths, as nodes of the graph that lead to the logits. If
   * frozen layers return an output without a graph, it becomes a leaf that requires gradients (unless recording is off). For a module
   * that runs twice, the last output is returned. Taps end with the call.
   *
   * The outputs and x keep their values even if the model works in place, because it reads copies. If the model returns an array, its
   * first entry is used as the logits; if it returns an object, its property `logits`.
   *
   * @throws E_CONFIG for a path that the model does not have, with the nearest ones, for a module that did not run or did not return a
   * single tensor, or for a model that returns no logits; and in training mode for a layer whose output the model changes in place
   * afterwards through another tensor
   */
  forwardWith<const Path extends string>(x: Tensor, options: { taps: readonly Path[] }): TappedForward<Path> {
    const { taps } = optionsOf("forwardWith", options, ["taps"]);
    if (!Array.isArray(taps)) throw wrongArgument("forwardWith: taps", "an array of module paths", taps);
    const modules = new Map((taps as readonly Path[]).map((path) => [path, this.moduleAt(path, "forwardWith")]));
    const forward = () => this.forward(isTensor(x) ? x.clone() : x);
    const { result, outputs } = recordShared(this, modules, forward);
    const logits = logitsOf("forwardWith", this, result);
    return { logits, taps: tapsOf(modules, outputs) };
  }

  /**
   * The module at a state-dict path. A module with two paths is found under both.
   *
   * @param operation the operation at the start of errors
   * @throws E_CONFIG for an unknown path, with the nearest ones
   */
  moduleAt(path: string, operation = "moduleAt"): Module {
    expectString("moduleAt: operation", operation);
    expectString(`${operation}: path`, path);
    const names: string[] = [];
    for (const { path: name, module } of walk(this)) {
      if (name === "") continue;
      if (name === path) return module;
      names.push(name);
    }
    const nearest = nearestNames(path, names, 3);
    throw new BatchCamError(
      "E_CONFIG",
      `${operation}: the model has no layer ${JSON.stringify(path)}; the nearest are ${nearest.join(", ")}`,
    );
  }

  // ---- the tree
  /** Every module with its path, each once. The path of this module is "". */
  namedModules(): Map<string, Module> {
    const found = new Map<string, Module>();
    const seen = new Set<Module>();
    for (const { path, module } of walk(this)) {
      if (seen.has(module)) continue;
      seen.add(module);
      found.set(path, module);
    }
    return found;
  }

  /** Trainable weights with their state-dict names. A shared weight occurs once, under its first name. */
  namedParameters(): Map<string, Tensor> {
    return tensorsOf(walk(this), "parameter");
  }

  /** Buffers, such as running statistics, with their state-dict names. */
  namedBuffers(): Map<string, Tensor> {
    return tensorsOf(walk(this), "buffer", "non-persistent buffer");
  }

  parameters(): Tensor[] {
    return [...this.namedParameters().values()];
  }

  // ---- mode
  /** Sets the whole tree to training mode, or with `false` to evaluation mode. */
  train(training = true): this {
    expectBoolean("train: training", training);
    for (const module of this.namedModules().values()) module.training = training;
    return this;
  }

  eval(): this {
    return this.train(false);
  }

  /** Freezes (`false`) or unfreezes every parameter of the tree. */
  requiresGrad_(value = true): this {
    for (const tensor of this.parameters()) tensor.requiresGrad = value;
    return this;
  }

  zeroGrad(): void {
    for (const tensor of this.parameters()) tensor.grad = null;
  }

  // ---- state
  /**
   * Parameters and buffers under torch's names, in torch's order. The tensors are new handles without a graph that
   * share memory with the module. Writing to one changes the module; disposing one does not.
   */
  stateDict(): Map<string, Tensor> {
    return new Map(Array.from(stateOf(walk(this)), ([name, tensor]) => [name, tensor.detach()]));
  }

  /**
   * Copies values into the module by name, and converts dtypes. Everything is checked first, so that a failure changes
   * nothing. A missing `num_batches_tracked` is not an error, as in torch for files without a version number.
   *
   * @returns the missing and unexpected names, which `strict: false` allows.
   * @throws E_CHECKPOINT with the first ten missing and unexpected names; E_SHAPE with both shapes if one differs.
   */
  loadStateDict(state: ReadonlyMap<string, Tensor>, options: { strict?: boolean } = {}): LoadReport {
    const { strict = true } = optionsOf("loadStateDict", options, ["strict"]);
    return loadTensors(stateOf(walk(this)), state, { strict, owner: this.constructor.name });
  }

  /**
   * Converts floating-point parameters and buffers to a dtype, moves everything to a device, or both; the arguments may
   * be in any order. A converted parameter is a new tensor and the old one is disposed, so create the optimizer
   * afterwards.
   */
  to(...targets: (DType | (string & {}))[]): this {
    const slots = [...walk(this)].flatMap(({ holder }) => slotsOf(holder));
    replaceTensors(slots, targets);
    return this;
  }

  /** Frees every parameter and buffer immediately, and the weights that were derived from them for inference. */
  dispose(): void {
    for (const module of this.namedModules().values()) forgetDerived(module);
    for (const { holder } of walk(this)) for (const { tensor } of slotsOf(holder)) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  // ---- printing
  /** The name of the module's class in a printed model. */
  typeName(): string {
    return this.constructor.name;
  }

  /** The settings in a printed model, such as "3, 64, kernel_size=(7, 7)". Subclasses override it. */
  extraRepr(): string {
    return "";
  }

  /** The tree of modules in torch's format. A REPL and `console.log` print it too. */
  toString(): string {
    return printedTree<Module>(this, childrenOf);
  }
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}

/** Joins two parts of a path. */
const join = (path: string, name: string): string => (path === "" ? name : `${path}.${name}`);

/** Visits the tree depth-first, parents before children. A module with two paths is visited twice, and cycles are not followed. */
function* walk(module: Module, path = "", ancestors: readonly Module[] = []): Generator<Visit> {
  yield { path, module, holder: holderOf(module) };
  const line = [...ancestors, module];
  for (const [name, child] of childrenOf(module)) {
    if (!line.includes(child)) yield* walk(child, join(path, name), line);
  }
}

function* childrenOf(module: Module): Generator<[string, Module]> {
  for (const [name, value] of Object.entries(holderOf(module))) {
    if (value instanceof Module) yield [name, value];
    else if (Array.isArray(value)) {
      for (const [index, item] of value.entries()) if (item instanceof Module) yield [`${name}.${index}`, item];
    }
  }
}

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
      if (training) forgetDerived(module); // training will change its weights, so the folded ones are freed
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
