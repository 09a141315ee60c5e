import { wrongArgument } from "../../arguments.ts";
import type { TrainConfig } from "../../config/index.ts";
import { counted } from "../../counted.ts";
import type { Split } from "../../data/index.ts";
import { BatchCamError } from "../../errors.ts";
import { traitsOf } from "../../models/internal.ts";
import { inEvaluation, Module } from "../../nn/index.ts";
import { noGrad, tidy, zeros } from "../../tensor/index.ts";

/** The description that a run keeps of a model that a program passed, by which it recognises the model later. */
export interface ModelDescription {
  /** The name of its class. */
  type: string;
  /** The parameters and buffers in the order of the state dict. */
  parameters: TensorDescription[];
  buffers: TensorDescription[];
}

export interface TensorDescription {
  name: string;
  shape: readonly number[];
  /** Whether the run trains it; only for parameters. */
  trained?: boolean;
}

/** Throws unless the value is a module whose weights are float32. */
export function expectNetwork(operation: string, model: unknown): asserts model is Module {
  if (!(model instanceof Module)) throw wrongArgument(`${operation}: model`, "a Module of batch-cam/nn", model);
  const tensors = [...model.namedParameters(), ...model.namedBuffers()];
  const other = tensors.find(([, { dtype }]) => dtype.includes("float") && dtype !== "float32");
  if (other === undefined) return;
  throw new BatchCamError(
    "E_DTYPE",
    `${operation}: model: ${other[0]} must be float32, got ${other[1].dtype}; convert the model: model.to("float32") (the option amp decides what it computes in)`,
  );
}

/** Throws unless the value is such a module with at least one parameter that requires a gradient. */
export function expectTrainable(operation: string, model: unknown): asserts model is Module {
  expectNetwork(operation, model);
  if (model.parameters().some(({ requiresGrad }) => requiresGrad)) return;
  const found = counted(model.parameters().length, "parameter");
  throw new BatchCamError(
    "E_ARGUMENT",
    `${operation}: model: no parameter requires a gradient (it has ${found}), so that nothing would be trained; tensors count as parameters if parameter(tensor) marked them`,
  );
}

/** Models of programs that a run trains now. */
const claimed = new WeakSet<Module>();

/** Refuses a model that another call trains at the same time, because each would change the other's weights. Returns what ends the claim. */
export function claimModel(operation: string, model: Module): () => void {
  if (claimed.has(model))
    throw new BatchCamError(
      "E_ARGUMENT",
      `${operation}: model: another call is training it now: wait until that call has ended (await), or give each call a model of its own`,
    );
  claimed.add(model);
  return () => void claimed.delete(model);
}

/** Throws for layer-wise learning rates if the model does not define the order of its layers. */
export function expectLayersFor({ layerDecay }: TrainConfig, model: Module): void {
  if (layerDecay === undefined || layerDecay === 1 || traitsOf(model).layerPatterns.length > 0) return;
  throw new BatchCamError(
    "E_CONFIG",
    `layerDecay: the model, a ${model.constructor.name}, does not say the order of its layers: extend Model and declare layerPatterns, or leave layerDecay out`,
  );
}

/** Throws unless a forward pass of one of the data's images gives a logit for each of their classes. */
export function expectFitting(operation: string, model: Module, { images, numClasses }: Split): void {
  const image = images.sizes.slice(1);
  const sizes = logitSizes(operation, model, image);
  if (sizes.length === 2 && sizes[0] === 1 && sizes[1] === numClasses) return;
  throw new BatchCamError(
    "E_SHAPE",
    `${operation}: model: the logits of one image must be [1, ${numClasses}], one for each class of the data, got [${sizes.join(", ")}]: change its last layer, or name the classes of the data (splitOf: numClasses)`,
  );
}

function logitSizes(operation: string, model: Module, image: readonly number[]): readonly number[] {
  try {
    const logits = () => model.forwardWith(zeros([1, ...image]), { taps: [] }).logits.sizes;
    return inEvaluation(model, () => tidy(() => noGrad(logits)));
  } catch (error) {
    if (!(error instanceof BatchCamError)) throw error;
    const problem = `${operation}: model: it does not take an image of the data, [1, ${image.join(", ")}]: ${error.message}`;
    throw new BatchCamError(error.code, problem, { cause: error });
  }
}

export function describeModel(model: Module): ModelDescription {
  return {
    type: model.constructor.name,
    parameters: Array.from(model.namedParameters(), ([name, { sizes, requiresGrad }]) => ({
      ...{ name, shape: [...sizes], trained: requiresGrad },
    })),
    buffers: Array.from(model.namedBuffers(), ([name, { sizes }]) => ({ name, shape: [...sizes] })),
  };
}

/** The largest number of differences that a message names. */
const MOST_NAMED = 4;

/**
 * The differences between a model and that of a run, as parts of a sentence; empty for a model of the same
 * architecture.
 * @param trains whether the same parameters must be frozen, because the run will train it
 */
export function modelDifferences(
  run: ModelDescription,
  now: ModelDescription,
  { trains }: { trains: boolean },
): string[] {
  const all = (["parameters", "buffers"] as const).flatMap((kind) => tensorDifferences(run[kind], now[kind], trains));
  const more = all.length > MOST_NAMED ? [`and ${all.length - MOST_NAMED} more`] : [];
  return [...all.slice(0, MOST_NAMED), ...more];
}

function tensorDifferences(
  run: readonly TensorDescription[],
  now: readonly TensorDescription[],
  trains: boolean,
): string[] {
  const [before, after] = [run, now].map((list) => new Map(list.map((one) => [one.name, one])));
  const gone = run.filter(({ name }) => !after?.has(name)).map(({ name }) => `${name} is missing`);
  const added = now.filter(({ name }) => !before?.has(name)).map(({ name }) => `the run's model has no ${name}`);
  const changed = now.flatMap(({ name, shape, trained }) => {
    const own = before?.get(name);
    if (own === undefined) return [];
    if (own.shape.join() !== shape.join())
      return [`${name} is [${shape.join(", ")}], in the run [${own.shape.join(", ")}]`];
    if (own.trained === trained || !trains) return [];
    return [
      trained ? `${name} requires a gradient, in the run it is frozen` : `${name} is frozen, in the run it is trained`,
    ];
  });
  const found = [...gone, ...added, ...changed];
  const isMoved = found.length === 0 && run.some(({ name }, place) => now[place]?.name !== name);
  return isMoved ? ["its layers are declared in another order"] : found;
}

/**
 * Saves the state of a model, apart from its weights, that training changes: the mode of its modules, which parameters are frozen, and
 * gradients.
 * @returns a function that restores the first two and removes the gradients
 */
export function rememberState(model: Module): () => void {
  const modes = Array.from(model.namedModules().values(), (module) => [module, module.training] as const);
  const trained = model.parameters().map((parameter) => [parameter, parameter.requiresGrad] as const);
  return () => {
    model.zeroGrad();
    for (const [parameter, requiresGrad] of trained) parameter.requiresGrad = requiresGrad;
    for (const [module, training] of modes) module.training = training;
  };
}
