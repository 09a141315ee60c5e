// What test/programs/fused-step.mjs prints, and what a step by fused kernels must hold to.

interface Errors {
  /** Absolute. */
  loss: number;
  /** ‖g − exact‖ / ‖exact‖ of the gradients of all parameters together. */
  gradient: number;
  /** The same for each weight that is a matrix or a kernel. */
  weights: number[];
}

/** One step in one precision against the float32 step of the layers one by one. */
export interface Compared {
  name: string;
  distance: string;
  start: number;
  amp: boolean;
  exactLoss: number;
  fused: Errors;
  /** By the layers one by one in bfloat16. */
  plain: Errors | null;
}

export interface GuidedSteps {
  /** The level of kernels that ran. */
  level: string;
  found: Compared[];
  /** Names of the kernels that a step ran. */
  ran: { name: string; amp: boolean; fused: boolean; kernels: string[] }[];
}

/** Half of what separates two neighbouring numbers at 1: the largest relative error of one rounding. */
const UNIT = { float32: 2 ** -24, bfloat16: 2 ** -8 };

/**
 * Bounds on rounding. A network of L weights rounds the result of each layer and its operand: 2L roundings forward; the
 * maps' gradient goes back through them, and the loss's gradient through both: 8L. Roundings that know nothing of each
 * other add up as √n, each at most one unit (about 0.4 of it on average, which is the margin of `loss`). For
 * differences, as of batch norm's centred sums, a gradient gets twice that.
 */
const bfloat16Bounds = (layers: number) => ({
  loss: UNIT.bfloat16 * Math.sqrt(2 * layers),
  gradient: 2 * UNIT.bfloat16 * Math.sqrt(8 * layers),
});

/**
 * In float32 the sums round: of n ≤ 2304 products (3x3 kernels of 256 channels at most) √n units each, 8L = 168 of them, and
 * four times that by Winograd (ARCHITECTURE.md): 2⁻²⁴ · √(168 · 2304) · 4 = 1.5e-4, of which two thirds are allowed; a tenth
 * of it has been seen. Of the loss, a mean over few values, a tenth. A single weight's gradient may be small against
 * what it is the difference of, as behind a batch norm: ten times as much of its own length.
 */
const FLOAT32_BOUNDS = { loss: 1e-5, gradient: 1e-4, weight: 1e-3 };

/**
 * How much larger a weight's error may be by the kernels than by the layers one by one, in bfloat16: the geometric mean over
 * a network's weights, starts and distances. Two ways of as many roundings have a mean of 1. A weight's own error is a draw of
 * noise, but over 24 (SimpleCNN) to 126 (ResNet-18) of them the mean of the logarithms lies between -0.3 and 0 and spreads by
 * 0.09 from start to start (six starts): 0.26, the logarithm of 1.3, is more than four spreads away for two. Kernels that
 * leave out a channel give 0.7 to 3.5.
 */
const LARGEST_RATIO = 1.3;

/** What is wrong with steps in float32: nothing where each is within its bounds. */
function float32Faults({ name, distance, start, exactLoss, fused }: Compared): string[] {
  const what = `${name}, float32, ${distance}, start ${start}`;
  const worst = Math.max(...fused.weights);
  return [
    ...above(`${what}: loss`, fused.loss / Math.max(1, exactLoss), FLOAT32_BOUNDS.loss),
    ...above(`${what}: gradient`, fused.gradient, FLOAT32_BOUNDS.gradient),
    ...above(`${what}: the worst weight's gradient`, worst, FLOAT32_BOUNDS.weight),
  ];
}

function bfloat16Faults({ name, distance, start, exactLoss, fused, plain }: Compared): string[] {
  const bounds = bfloat16Bounds(fused.weights.length);
  // Of the layers one by one too: else the network is one that rounding throws off, and shows nothing.
  return Object.entries({ fused, plain: plain as Errors }).flatMap(([way, errors]) => {
    const what = `${name}, bfloat16, ${distance}, start ${start}, ${way}`;
    return [
      ...above(`${what}: loss`, errors.loss / Math.max(1, exactLoss), bounds.loss),
      ...above(`${what}: gradient`, errors.gradient, bounds.gradient),
    ];
  });
}

/** Geometric mean of fused over plain errors. */
function ratio(steps: readonly Compared[]): number {
  const logs = steps.flatMap(({ fused, plain }) =>
    fused.weights.map((error, i) => Math.log(error / (plain?.weights[i] as number))),
  );
  return Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
}

/** Everything that is wrong with the steps of one network. */
export function faultsOf(steps: readonly Compared[]): string[] {
  const halves = steps.filter(({ amp }) => amp);
  return [
    ...steps.flatMap((step) => (step.amp ? bfloat16Faults(step) : float32Faults(step))),
    ...above(`${steps[0]?.name}, bfloat16: error of a weight's gradient over plain`, ratio(halves), LARGEST_RATIO),
  ];
}

const above = (what: string, value: number, bound: number): string[] =>
  value <= bound ? [] : [`${what} ${value.toExponential(2)} is above ${bound.toExponential(2)}`];
