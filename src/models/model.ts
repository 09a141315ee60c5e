import { distance } from "fastest-levenshtein";
import { expectString, optionsOf, wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { Module, recordOutputs } from "../nn/index.ts";
import { noGrad, type Tensor, tidy, zeros } from "../tensor/index.ts";

/** The logits of a forward pass and the outputs that were asked for. */
export interface TappedForward<Path extends string = string> {
  /** (B, numClasses), before softmax */
  logits: Tensor;
  /** By module path; part of the graph of `logits`, so that gradients with respect to them exist. */
  taps: Record<Path, Tensor>;
}

/**
 * A classifier whose inner maps can be asked for by path. A subclass calls its layers by `run`, as every module does: that
 * is where `forwardWith` sees their outputs.
 */
export abstract class Model extends Module {
  /** Images (B, C, H, W), normalised, to logits (B, numClasses). */
  abstract override forward(x: Tensor): Tensor;

  /** Path of the layer whose output the maps are taken from by default. */
  abstract readonly camLayer: string;
  abstract readonly numClasses: number;
  /** Path of the layer that gives the logits, as timm's `classifier`. */
  abstract readonly classifier: string;
  /** Path of the layer that takes the images, as timm's `first_conv`. */
  abstract readonly firstConv: string;

  /** Paths of the stages, first to last: layers whose maps shrink towards the head, any of which can be the target. */
  get camLayers(): readonly string[] {
    return [this.camLayer];
  }

  /**
   * The linear layer that reads the output of `camLayer`, globally averaged or flattened, for Grad-CAM weights in closed
   * form: its path and weight; null where what follows is anything else.
   */
  closedFormHead(): { readonly layer: string; readonly weight: Tensor } | null {
    return null;
  }

  /**
   * The layers from the input to the head as patterns of parameter names, for layer-wise learning rates: see
   * `parameterGroups`. What no pattern matches is the head.
   */
  readonly layerPatterns: readonly RegExp[] = [];

  /** How many numbers the model has to train. */
  numParameters(): number {
    return this.parameters().reduce((sum, parameter) => sum + parameter.numel, 0);
  }

  /**
   * A forward pass that also returns the outputs of modules by their state-dict paths: the very tensors that the next layer
   * reads. Where frozen layers give one without a graph, it becomes a leaf that requires gradients (unless recording is
   * off). A module that runs twice gives its last output. Leaves nothing behind.
   *
   * @throws E_CONFIG for a path that the model lacks, with the nearest ones, or for a module that did not run
   */
  forwardWith<const Path extends string>(x: Tensor, options: { taps: readonly Path[] }): TappedForward<Path> {
    const { taps } = optionsOf("forwardWith", options);
    if (!Array.isArray(taps)) throw wrongArgument("forwardWith: taps", "an array of module paths", taps);
    const modules = new Map((taps as readonly Path[]).map((path) => [path, this.moduleAt(path, "forwardWith")]));
    const { result: logits, outputs } = recordOutputs(new Set(modules.values()), () => this.forward(x));
    const found = {} as Record<Path, Tensor>;
    for (const [path, module] of modules) {
      const output = outputs.get(module);
      if (output === undefined)
        throw new BatchCamError(
          "E_CONFIG",
          `forwardWith: the model did not run ${path} on its way to the logits; modules call their children by run(x), not forward(x)`,
        );
      found[path] = output;
    }
    return { logits, taps: found };
  }

  /**
   * The module at a state-dict path.
   *
   * @param operation what an error names
   * @throws E_CONFIG where there is none, with the nearest paths
   */
  moduleAt(path: string, operation = "moduleAt"): Module {
    expectString("moduleAt: operation", operation);
    expectString(`${operation}: path`, path);
    const modules = this.namedModules();
    const module = path === "" ? undefined : modules.get(path);
    if (module !== undefined) return module;
    const names = [...modules.keys()].filter((name) => name !== "");
    const nearest = names.sort((a, b) => distance(path, a) - distance(path, b)).slice(0, 3);
    throw new BatchCamError(
      "E_CONFIG",
      `${operation}: the model has no layer ${JSON.stringify(path)}; the nearest are ${nearest.join(", ")}`,
    );
  }
}

/**
 * Height and width of a layer's output for images (channels, height, width); `camLayer` by default. Changes neither the
 * model's mode nor its running statistics.
 *
 * @throws E_CONFIG for an unknown layer, or one whose output is no map; E_SHAPE for images that the model cannot take
 */
export function mapSize(
  model: Model,
  image: readonly [number, number, number],
  layer?: string,
): readonly [number, number] {
  expectModel("mapSize", model);
  const [size] = mapSizes(model, image, [layer === undefined ? model.camLayer : layer]) as [readonly [number, number]];
  return size;
}

/** `mapSize` of several layers, by one forward pass. */
export function mapSizes(
  model: Model,
  image: readonly [number, number, number],
  layers: readonly string[],
): (readonly [number, number])[] {
  expectModel("mapSize", model);
  if (!Array.isArray(image) || image.length !== 3)
    throw wrongArgument("mapSize: image", "[channels, height, width]", image);
  return inEvaluation(model, () => tidy(() => noGrad(() => sizesOfTaps(model, image, layers))));
}

/** Runs fn with the model in evaluation mode, and gives every module back in the mode that it was in. */
export function inEvaluation<T>(model: Model, fn: () => T): T {
  const modes = Array.from(model.namedModules().values(), (module) => [module, module.training] as const);
  model.eval();
  try {
    return fn();
  } finally {
    for (const [module, training] of modes) module.training = training;
  }
}

/** Fails with E_ARGUMENT for what is no model. */
export function expectModel(operation: string, model: unknown): void {
  if (!(model instanceof Model)) throw wrongArgument(`${operation}: model`, "a Model", model);
}

function sizesOfTaps(
  model: Model,
  image: readonly [number, number, number],
  layers: readonly string[],
): (readonly [number, number])[] {
  const dtype = model.parameters()[0]?.dtype ?? "float32";
  const { taps }: TappedForward = model.forwardWith(zeros([1, ...image], { dtype }), { taps: layers });
  return layers.map((layer) => {
    const shape = taps[layer]?.sizes ?? [];
    const [, , height, width] = shape;
    if (shape.length === 4 && height !== undefined && width !== undefined) return [height, width];
    throw new BatchCamError(
      "E_CONFIG",
      `${layer} gives [${shape.join(", ")}], which is no map (N, C, H, W): choose a layer before the head`,
    );
  });
}
