import { dropped } from "../../nn/internal.ts";
import { batchNorm, isGradEnabled, ones, relu, Tensor, where, zerosLike } from "../../tensor/index.ts";
import { asStrided, type CallValue, reportBias } from "../../tensor/internal.ts";
import type { ArgumentValues } from "./graph-plan.ts";
import { type Composition, twiceDifferentiable } from "./twice-differentiable.ts";

/** The information with which a replaced operator runs. */
export interface SpecialCall {
  /** The operator as libtorch runs it. */
  plain(): CallValue;
  /** The same with other values of some arguments. */
  with(changed: ArgumentValues): CallValue;
  values(): ArgumentValues;
  /** Whether the module around the node is in training mode. */
  isTraining(): boolean;
  /** Counts a batch of training of a batch norm: the number of batches so far, or null if nothing counts them. */
  countBatch(): Tensor | null;
}

export type Special = (call: SpecialCall) => CallValue;

/** How operators are run that follow train() and eval(), that explanations look into, or that autograd knows too little of. */
export function specialOf(base: string): Special | null {
  const name = base.replace(/_$/, "");
  const twice = twiceDifferentiable(name);
  if (twice !== null) return (call) => withoutDropout(call, twice);
  return SPECIALS[name] ?? null;
}

/** Names that hold for the decomposed forms of batch norm too, whose first output is the result. */
const BATCH_NORMS = [
  ...["native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training"],
  ...["_native_batch_norm_legit_functional", "_batch_norm_with_update", "_batch_norm_no_update"],
  "_batch_norm_with_update_functional",
];

/** An attention of a model that was exported in training mode drops nothing in evaluation mode. */
function withoutDropout(call: SpecialCall, twice: Composition): CallValue {
  const values = call.values();
  const idle = (values.dropout_p ?? 0) !== 0 && !call.isTraining();
  const fitting = idle ? { ...values, dropout_p: 0 } : values;
  if (isGradEnabled()) return twice(fitting, call.plain);
  return idle ? call.with({ dropout_p: 0 }) : call.plain();
}

const SPECIALS: Readonly<Record<string, Special>> = {
  as_strided: stridesOf,
  relu: ({ values }) => relu(values().self as Tensor),
  batch_norm: batchNormOf,
  ...Object.fromEntries(BATCH_NORMS.map((name) => [name, (call: SpecialCall) => [batchNormOf(call)]])),
  dropout: (call) => (call.isTraining() ? dropout(call.values()) : idle(call)),
  native_dropout: (call) => (call.isTraining() ? nativeDropout(call.values()) : [idle(call)]),
  feature_dropout: (call) => (call.isTraining() ? featureDropout(call.values()) : idle(call)),
  alpha_dropout: (call) => (call.isTraining() ? alphaDropout(call.values(), false) : idle(call)),
  feature_alpha_dropout: (call) => (call.isTraining() ? alphaDropout(call.values(), true) : idle(call)),
  bernoulli: (call) => (call.isTraining() ? call.plain() : meanOfDraws(call.values())),
  conv2d: (call) => biased(call, 1),
  conv_transpose2d: (call) => biased(call, 1),
  convolution: (call) => biased(call, 1),
  _convolution: (call) => biased(call, 1),
  group_norm: (call) => biased(call, 1),
  instance_norm: instanceNorm,
  rrelu: (call) => (call.isTraining() ? randomRelu(call.values()) : call.with({ training: false })),
  linear: (call) => biased(call, 3),
  layer_norm: (call) => biased(call, 3),
};

/** Strides of the file are those of a tensor in the usual layout, which a kernel of this engine may not have kept. */
function stridesOf({ values }: SpecialCall): Tensor {
  const { self, size, stride, storage_offset: offset } = values();
  const strides = [size, stride] as [number[], number[]];
  return new Tensor(asStrided((self as Tensor).contiguous(), ...strides, (offset as number | null) ?? undefined));
}

/** Tells an observer, such as FullGrad, of the bias that an operator adds. */
function biased(call: SpecialCall, channelDim: 1 | 3): CallValue {
  const output = call.plain() as Tensor;
  const bias = call.values().bias as Tensor | null;
  if (bias === null) return output;
  const added = () =>
    channelDim === 1 && output.ndim > 2 ? bias.view([-1, ...output.sizes.slice(2).map(() => 1)]) : bias;
  return reportBias({ output, bias, added, channelDim: bias.ndim === 1 ? channelDim : 1 });
}

/**
 * Batch norm by the batch's statistics in training mode, and by the running ones in evaluation mode. One without running
 * statistics always takes the batch's.
 */
function batchNormOf(call: SpecialCall): Tensor {
  const { input, weight, bias, running_mean: mean, running_var: variance, momentum, eps } = call.values();
  const tracked = mean !== null && mean !== undefined;
  const training = !tracked || call.isTraining();
  const count = tracked && training ? call.countBatch() : null;
  // A file that was exported in training mode has the momentum itself.
  const isItself = call.values().training === true;
  return batchNorm(input as Tensor, {
    weight: weight as Tensor | null,
    bias: bias as Tensor | null,
    runningMean: (mean as Tensor | undefined) ?? null,
    runningVar: (variance as Tensor | undefined) ?? null,
    training,
    momentum: isItself ? (momentum as number) : momentumOf(momentum as number, count),
    eps: eps as number,
  });
}

/** Instance norm with running statistics takes them in evaluation mode; one without always takes the image's. */
function instanceNorm(call: SpecialCall): CallValue {
  const { values, isTraining } = call;
  const given = values();
  if (given.running_mean === null || given.use_input_stats === isTraining()) return biased(call, 1);
  return call.with({ use_input_stats: isTraining() });
}

/** Leaky ReLU with a slope drawn for each negative value. */
function randomRelu({ self, lower, upper }: ArgumentValues): Tensor {
  const x = self as Tensor;
  const slope = zerosLike(x.detach()).uniform_(lower as number, upper as number);
  return where(x.ge(0), x, x.mul(slope));
}

/** `momentum=None`, the plain average of all batches, is written as 0 if a module is exported in evaluation mode. */
const momentumOf = (momentum: number, count: Tensor | null): number =>
  momentum === 0 && count !== null ? 1 / count.item() : momentum;

// Dropout draws from this engine's generator, as the layers of batch-cam/nn do; libtorch's own operators draw from another.

/** The tensor that an operator takes, which those that write in place call `self`. */
const inputOf = ({ input, self }: ArgumentValues): Tensor => (input ?? self) as Tensor;

/** Dropout in evaluation mode: a view of its input. */
function idle({ values }: SpecialCall): Tensor {
  const x = inputOf(values());
  return x.view([...x.sizes]);
}

function dropout(values: ArgumentValues): Tensor {
  const { p } = values;
  const x = inputOf(values);
  if (p === 0 || x.numel === 0) return x.mul(1);
  return p === 1 ? x.mul(0) : dropped(x, x.sizes, p as number);
}

function nativeDropout(values: ArgumentValues): CallValue {
  const kept = dropout({
    input: ones((values.input as Tensor).sizes, { dtype: (values.input as Tensor).dtype }),
    p: values.p ?? 0,
  });
  return [(values.input as Tensor).mul(kept), kept.ne(0)];
}

/**
 * The mean of draws, in evaluation mode: stochastic depth of a model that was exported in training mode divides them by it, and then
 * multiplies a branch by 1.
 */
function meanOfDraws({ self, p }: ArgumentValues): Tensor {
  const x = self as Tensor;
  if (p === null || p === undefined) return x.mul(1);
  return zerosLike(x).add(p as Tensor | number);
}

/** One draw for each channel of each sample. */
const channelShape = (x: Tensor): number[] => x.sizes.map((size, i) => (i < 2 ? size : 1));

function featureDropout(values: ArgumentValues): Tensor {
  const { p } = values;
  const x = inputOf(values);
  return p === 0 ? x.mul(1) : p === 1 ? x.mul(0) : dropped(x, channelShape(x), p as number);
}

const ALPHA = 1.7580993408473766;

/** Klambauer et al., arXiv 1706.02515: dropped values become −α', and the result keeps mean and variance. */
function alphaDropout(values: ArgumentValues, channels: boolean): Tensor {
  const x = inputOf(values);
  const rate = values.p as number;
  if (rate === 0) return x.mul(1);
  if (rate === 1) return x.mul(0);
  const kept = dropped(
    ones(channels ? channelShape(x) : x.sizes, { dtype: x.dtype }),
    channels ? channelShape(x) : x.sizes,
    rate,
  )
    .ne(0)
    .to(x.dtype);
  const scale = 1 / Math.sqrt((ALPHA ** 2 * rate + 1) * (1 - rate));
  const shift = kept
    .sub(1)
    .mul(ALPHA * scale)
    .add(ALPHA * scale * rate);
  return x.mul(kept).mul(scale).add(shift);
}
