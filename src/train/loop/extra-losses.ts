import { types } from "node:util";
import { describeValue, wrongArgument } from "../../arguments.ts";
import { BatchCamError } from "../../errors.ts";
import type { Module } from "../../nn/index.ts";
import type { Tensor } from "../../tensor/index.ts";
import { isTensor } from "../../tensor/internal.ts";
import type { StepMetrics } from "../run/events.ts";

/** A training batch, as it is passed to the loss terms that a program adds. Its tensors are freed after the step. */
export interface LossBatch {
  /** (B, C, H, W): normalised, and augmented or mixed if the run does that. */
  images: Tensor;
  /** (B), int64. */
  labels: Tensor;
  /** (B, classes), float32: before softmax. */
  logits: Tensor;
  /**
   * (B, H, W) in [0, 1]: the map of each image's true class, over the image as it is in `images`; null in a run without maps, and at the steps
   * that `guideEvery` leaves unguided (none unless the config sets it). With `guideShare`, only the first images have maps and taps.
   */
  maps: Tensor | null;
  /** The outputs of the target layers, by path; empty if there are no maps. */
  taps: Readonly<Record<string, Tensor>>;
  /** The network, in training mode. */
  model: Module;
  /** The step and the epoch, counted from 1 as in events. */
  step: number;
  epoch: number;
}

/**
 * A term that a program adds to the loss: a scalar that depends on the network. It should be a mean over the images of the batch, so that
 * the parts of a step (`gradAccumSteps`) are weighted by their numbers of images.
 */
export type LossTerm = (batch: LossBatch) => Tensor;

/** One term, which is logged under the function's name, or several, which are logged under the names of the properties. */
export type LossOption = LossTerm | Readonly<Record<string, LossTerm>>;

/** The terms that a program adds to the loss, by their names. */
export type ExtraLosses = ReadonlyMap<string, LossTerm>;

/** The name that JavaScript gives to a function without one in `{ loss: (batch) => ... }`. */
const UNNAMED = "extraLoss";
const NOT_ITS_OWN: readonly string[] = ["", "loss", "anonymous"];

const NAME = /^[\p{L}_][\p{L}\p{N}_-]*$/u;

/** The names that a run's log and tables already use. */
const TAKEN: ReadonlySet<string> = new Set<
  keyof StepMetrics | "accuracy" | "kind" | "epoch" | "step" | "imagesPerSecond"
>([
  ...([
    "loss",
    "crossEntropy",
    "prototypeLoss",
    "batchCamLoss",
    "baselineLoss",
    "lambdaPrototype",
    "lambdaBatch",
  ] as const),
  ...(["deadMaps", "rawMapMax", "gradNorm", "lr", "accuracy", "kind", "epoch", "step", "imagesPerSecond"] as const),
]);

/**
 * The terms of the option `loss` of `train`.
 * @throws E_ARGUMENT for other values, and for names that cannot be columns of a table or that the log has already
 */
export function lossesOf(operation: string, option: LossOption | undefined): ExtraLosses {
  if (option === undefined) return new Map();
  const isObject = typeof option === "object" && option !== null && !Array.isArray(option) && !isTensor(option);
  if (typeof option !== "function" && !isObject)
    throw wrongArgument(`${operation}: loss`, "a function of the batch, or { name: function }", option);
  const named: [string, LossTerm][] =
    typeof option === "function"
      ? [[NOT_ITS_OWN.includes(option.name) ? UNNAMED : option.name, option]]
      : Object.entries(option);
  for (const [name, term] of named) {
    if (typeof term !== "function") throw wrongArgument(`${operation}: loss: ${name}`, "a function of the batch", term);
    if (NAME.test(name) && !TAKEN.has(name) && !(name in {})) continue;
    const why = TAKEN.has(name) ? "is the name of a number that every run logs" : "cannot be the name of a column";
    throw new BatchCamError(
      "E_ARGUMENT",
      `${operation}: loss: ${describeValue(name)} ${why}: name the term with letters, digits, "_" and "-", as { loss: { myTerm: (batch) => ... } }`,
    );
  }
  return new Map(named);
}

/**
 * Computes the terms for a batch and checks them.
 * @throws E_ARGUMENT, E_SHAPE, E_DTYPE or E_DISPOSED if a term is not a scalar that depends on the network
 */
export function extraTerms(losses: ExtraLosses, batch: LossBatch): Record<string, Tensor> {
  return Object.fromEntries(Array.from(losses, ([name, term]) => [name, checkedTerm(name, term(batch), batch.step)]));
}

function checkedTerm(name: string, value: Tensor, step: number): Tensor {
  const place = `train: loss: ${name}`;
  if (!isTensor(value)) {
    if (!types.isPromise(value)) throw wrongArgument(place, "a scalar Tensor", value);
    (value as Promise<unknown>).catch(() => {}); // otherwise its rejection would end the process
    throw new BatchCamError(
      "E_ARGUMENT",
      `${place}: expected a scalar Tensor, got a promise: the function must be synchronous`,
    );
  }
  const fault = faultOf(value);
  if (fault === null) return value;
  const [code, problem] = fault;
  throw new BatchCamError(
    code,
    `${place}: expected a scalar Tensor that depends on the network, got ${problem} (step ${step})`,
  );
}

function faultOf(value: Tensor): readonly ["E_DISPOSED" | "E_SHAPE" | "E_DTYPE" | "E_ARGUMENT", string] | null {
  if (value.isDisposed) return ["E_DISPOSED", "a disposed one: return it without disposing of it"];
  if (value.ndim !== 0)
    return ["E_SHAPE", `one of shape [${value.sizes.join(", ")}]: take its mean, value.mean(), or its sum`];
  if (!value.dtype.includes("float"))
    return ["E_DTYPE", `one of dtype ${value.dtype}: convert it, value.to("float32")`];
  if (value.requiresGrad) return null;
  return [
    "E_ARGUMENT",
    "a constant, whose gradient is zero: compute it from batch.logits, batch.maps or the weights of batch.model, without detach and noGrad",
  ];
}
