import { expectMap, expectString } from "../arguments.ts";
import { counted } from "../counted.ts";
import { BatchCamError } from "../errors.ts";
import { withoutStrictAdvice } from "../nn/internal.ts";
import { noGrad, type Tensor, tidy } from "../tensor/index.ts";
import { expectTensor } from "../tensor/internal.ts";
import { expectModel, type Model } from "./model.ts";
import { nearestArchitecture } from "./nearest-architecture.ts";
import { likeliestArchitecture } from "./recognise.ts";

/** The changes that were made to adapt weights to other classes or channels. */
export interface Adaptation {
  /** One sentence for each change. */
  notes: string[];
}

/**
 * Loads weights of torchvision, timm or this project into a model of any number of classes and input channels. If the weights have no
 * classifier, or one for another number of classes, the model's classifier keeps its initial weights. The first convolution is adapted to
 * the channels as in timm: for one channel its weights are summed, for other numbers they are repeated in turn and scaled by 3 /
 * channels. Everything else must fit exactly. On a failure the model does not change.
 *
 * @throws E_CHECKPOINT with the first ten missing and unexpected names and the architecture that the weights resemble; E_SHAPE with both
 * shapes if one differs
 */
export function loadPretrained(model: Model, weights: ReadonlyMap<string, Tensor>): Adaptation {
  expectModel("loadPretrained", model);
  expectMap("loadPretrained: weights", weights);
  for (const [name, tensor] of weights) {
    expectString("loadPretrained: a tensor's name", name);
    expectTensor(tensor, `loadPretrained: ${name}`);
  }
  return tidy(() =>
    noGrad(() => {
      const notes: string[] = [];
      const state = new Map(weights);
      fitShapes(model, state);
      keepClassifier(model, state, notes);
      adaptFirstConvolution(model, state, notes);
      try {
        model.loadStateDict(state);
      } catch (error) {
        throw withArchitecture(error, weights);
      }
      return { notes };
    }),
  );
}

/**
 * Reshapes tensors to the model's shapes if these differ only in dimensions of size 1, as for a 1x1 convolution and a linear layer, and
 * for parameters that transformers stores as (1, 1, 1, C).
 */
function fitShapes(model: Model, state: Map<string, Tensor>): void {
  const squeezed = (sizes: readonly number[]) => sizes.filter((size) => size !== 1).join();
  for (const [name, own] of model.stateDict()) {
    const given = state.get(name);
    if (given === undefined || given.sizes.join() === own.sizes.join()) continue;
    if (squeezed(given.sizes) === squeezed(own.sizes)) state.set(name, given.reshape(own.sizes));
  }
}

/** Replaces a classifier for other classes, or a missing one, by the model's own. */
function keepClassifier(model: Model, state: Map<string, Tensor>, notes: string[]): void {
  const { classifier, numClasses } = model;
  const weight = state.get(`${classifier}.weight`);
  if (weight === undefined) addHead(model, state, notes);
  if (weight === undefined || weight.sizes[0] === numClasses) return;
  const own = model.namedParameters();
  for (const part of ["weight", "bias"]) {
    const fresh = own.get(`${classifier}.${part}`);
    if (fresh !== undefined && state.has(`${classifier}.${part}`)) state.set(`${classifier}.${part}`, fresh);
  }
  notes.push(
    `${classifier} keeps its initial values: the weights are for ${counted(weight.sizes[0], "class")}, the model has ${numClasses}`,
  );
}

/** The names of layers that other code adds after a backbone: classification heads, and projections of self-supervised training. */
const OTHER_HEAD =
  /^(?:heads?|classifier|last_linear|linear|fc|logits|projector|projection_head|contrastive_head|predictor)\./;

/** For a backbone: replaces heads that this project does not know by the model's own head. */
function addHead(model: Model, state: Map<string, Tensor>, notes: string[]): void {
  const [head = ""] = model.classifier.split(".");
  const own = model.stateDict();
  const isBackbone = [...own.keys()].filter((name) => !name.startsWith(`${head}.`)).every((name) => state.has(name));
  if (!isBackbone) return;
  const others = [...state.keys()].filter((name) => !own.has(name) && OTHER_HEAD.test(name));
  for (const name of others) state.delete(name);
  for (const [name, fresh] of own) if (name.startsWith(`${head}.`) && !state.has(name)) state.set(name, fresh);
  const instead = others.length === 0 ? "" : ` of its kind (${others.slice(0, 2).join(", ")} are left out)`;
  notes.push(`${model.classifier} keeps its initial values: the weights have no head${instead}`);
}

function adaptFirstConvolution(model: Model, state: Map<string, Tensor>, notes: string[]): void {
  const name = `${model.firstConv}.weight`;
  const weight = state.get(name);
  const wanted = model.namedParameters().get(name)?.sizes[1];
  const found = weight?.sizes[1];
  if (weight?.ndim !== 4 || wanted === undefined || found === undefined || wanted === found) return;
  if (found !== 3) {
    throw new BatchCamError(
      "E_SHAPE",
      `loadPretrained: ${name} takes ${counted(found, "channel")}, the model has ${wanted}; only weights for 3 channels can be adapted`,
    );
  }
  // The sum is computed in the model's precision, because in half precision it would lose digits.
  const wide = weight.dtype === "float64" ? weight : weight.to("float32");
  state.set(name, wanted === 1 ? wide.sum([1], { keepDims: true }) : repeated(wide, wanted));
  const how = wanted === 1 ? "summed over its channels" : `repeated to ${counted(wanted, "channel")} and scaled`;
  notes.push(`${name} is ${how}: the weights are for ${found}-channel images`);
}

/** Adapts the first convolution as timm's `adapt_input_conv` does. */
function repeated(weight: Tensor, channels: number): Tensor {
  const found = weight.sizes[1] as number;
  const copies = Math.ceil(channels / found);
  return weight
    .repeat([1, copies, 1, 1])
    .narrow(1, 0, channels)
    .mul(found / channels);
}

function withArchitecture(error: unknown, weights: ReadonlyMap<string, Tensor>): unknown {
  if (!(error instanceof BatchCamError)) return error;
  const likely = likeliestArchitecture(weights);
  const looks = likely === null ? "they look like none of this project's models" : `they look like ${likely}`;
  const nearest = error.code === "E_CHECKPOINT" ? `; ${nearestArchitecture(weights)}` : "";
  // Removes the advice of `loadStateDict`, which a caller of this function cannot follow.
  const message = withoutStrictAdvice(error.message);
  return new BatchCamError(error.code, `${message} (${looks}${nearest})`, { cause: error });
}
