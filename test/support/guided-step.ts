// The output of test/programs/fused-step.mjs, and the bounds on a step with fused kernels.

interface Errors {
  /** The absolute error. */
  loss: number;
  /** ‖g − exact‖ / ‖exact‖ of the gradients of all parameters together. */
  gradient: number;
  /** The same for each weight that is a matrix or a convolution kernel. */
  weights: number[];
}

/** A step in one precision, compared with the float32 step without fused kernels. */
export interface Compared {
  name: string;
  distance: string;
  start: number;
  amp: boolean;
  exactLoss: number;
  fused: Errors;
  /** The errors without fused kernels, in bfloat16. */
  plain: Errors | null;
}

export interface GuidedSteps {
  /** The level of the kernels that ran. */
  level: string;
  found: Compared[];
  /** The names of the kernels that a step ran. */
  ran: { name: string; amp: boolean; fused: boolean; kernels: string[] }[];
}

/** Half the distance between neighbouring numbers at 1, which is the largest relative error of one rounding. */
const UNIT = { float32: 2 ** -24, bfloat16: 2 ** -8 };

/**
 * Bounds on rounding errors. A network of L weights rounds the result and the operand of each layer, which is 2L roundings in the forward
 * pass. The maps' gradient adds as many, and the loss's gradient goes back through both: 8L in all. Independent roundings add up as √n,
 * each at most one unit (about 0.4 of it on average, which is the margin of the root mean square of `loss`). For differences, such as
 * batch norm's centred sums, a gradient gets twice that.
 */
const bfloat16Bounds = (layers: number) => ({
  loss: UNIT.bfloat16 * Math.sqrt(2 * layers),
  gradient: 2 * UNIT.bfloat16 * Math.sqrt(8 * layers),
});

/**
 * In float32, sums round too: a sum of n ≤ 2304 products (3x3 kernels of at most 256 channels) has an error of √n units. There are 8L = 168
 * sums, and Winograd convolution has four times the error (ARCHITECTURE.md): 2⁻²⁴ · √(168 · 2304) · 4 = 1.5e-4, of which two thirds are
 * allowed; a tenth of it has been observed. The loss, a mean of few values, gets a tenth. The gradient of a single weight may be small
 * compared with the terms whose difference it is, for example behind a batch norm, so it gets ten times as much, relative to its own
 * length.
 */
const FLOAT32_BOUNDS = { loss: 1e-5, gradient: 1e-4, weight: 1e-3 };

/**
 * How many times larger a weight's error may be with the kernels than without, in bfloat16, as the geometric mean over a network's weights,
 * starts and distances. Two implementations with as many roundings have a mean of 1. The error of a single weight is random, but over 24
 * (SimpleCNN) to 126 (ResNet-18) weights the mean of the logarithms is between -0.3 and 0, with a standard deviation of 0.09 over six
 * starts. The logarithm of 1.3 is 0.26, which is more than four deviations away for two starts. Kernels that leave out a channel give 0.7
 * to 3.5.
 */
const LARGEST_RATIO = 1.3;

/** The faults of steps in float32: none if each error is within its bounds. */
function float32Faults({ name, distance, start, exactLoss, fused }: Compared): string[] {
  const what = `${name}, float32, ${distance}, start ${start}`;
  const worst = Math.max(...fused.weights);
  return [
    ...above(`${what}: loss`, fused.loss / Math.max(1, exactLoss), FLOAT32_BOUNDS.loss),
    ...above(`${what}: gradient`, fused.gradient, FLOAT32_BOUNDS.gradient),
    ...above(`${what}: the worst weight's gradient`, worst, FLOAT32_BOUNDS.weight),
  ];
}

function bfloat16Faults({ name, distance, start, fused, plain }: Compared): string[] {
  const bounds = bfloat16Bounds(fused.weights.length);
  // The steps without kernels must be within the bounds too. Otherwise rounding has too large an effect on the network for it to show
  // anything.
  return Object.entries({ fused, plain: plain as Errors }).flatMap(([way, errors]) =>
    above(`${name}, bfloat16, ${distance}, start ${start}, ${way}: gradient`, errors.gradient, bounds.gradient),
  );
}

/**
 * The loss is one number, whose error is one draw: over 16 starts of SimpleCNN its root mean square is 0.57 to 0.62 of the bound, with
 * kernels and without, and one of 16 is above it in both. So the root mean square over a network's steps is compared with the bound.
 */
function lossFaults(steps: readonly Compared[]): string[] {
  return (["fused", "plain"] as const).flatMap((way) => {
    const errors = steps.map((step) => (step[way] as Errors).loss / Math.max(1, step.exactLoss));
    const mean = Math.sqrt(errors.reduce((sum, error) => sum + error ** 2, 0) / errors.length);
    const { loss } = bfloat16Bounds((steps[0] as Compared).fused.weights.length);
    return above(`${steps[0]?.name}, bfloat16, ${way}: loss`, mean, loss);
  });
}

/** The geometric mean of the errors with kernels, divided by that without. */
function ratio(steps: readonly Compared[]): number {
  const logs = steps.flatMap(({ fused, plain }) =>
    fused.weights.map((error, i) => Math.log(error / (plain?.weights[i] as number))),
  );
  return Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
}

/** All faults of the steps of one network. */
export function faultsOf(steps: readonly Compared[]): string[] {
  const halves = steps.filter(({ amp }) => amp);
  return [
    ...steps.flatMap((step) => (step.amp ? bfloat16Faults(step) : float32Faults(step))),
    ...lossFaults(halves),
    ...above(`${steps[0]?.name}, bfloat16: error of a weight's gradient over plain`, ratio(halves), LARGEST_RATIO),
  ];
}

const above = (what: string, value: number, bound: number): string[] =>
  value <= bound ? [] : [`${what} ${value.toExponential(2)} is above ${bound.toExponential(2)}`];
