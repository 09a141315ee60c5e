// Explains random small networks that work in place, share modules, have modules with several outputs and layers that return their input,
// and equivalent networks without any of that: `node in-place.mjs [--seed S] [--runs N] [--trace]`. Both must have the same maps by every
// method, and by batchCam through forwardWith. It prints counts and the first differences as one line of JSON.

import { parseArgs } from "node:util";
import { batchCam, explain, METHODS } from "batch-cam/cam";
import { AvgPool2d, BatchNorm2d, Conv2d, Dropout, Identity, Linear, Module, ReLU } from "batch-cam/nn";
import { cat, grad, manualSeed, rand, randn, setNumThreads, tidy } from "batch-cam/tensor";
import { randomSource } from "../../scripts/fuzz/random.mjs";

const { values: given } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    runs: { type: "string", default: "100" },
    trace: { type: "boolean", default: false },
  },
});
const [firstSeed, runs] = [Number(given.seed), Number(given.runs)];
setNumThreads(1);

const CHANNELS = 4;
const TOLERANCE = 1e-5;
const CLASSES = [1, 2];

/** A module with two versions of forward: one that works in place, and one that does not. */
class TwoWays extends Module {
  constructor(inPlace, ways) {
    super();
    this.way = inPlace ? ways[0] : ways[1];
  }
  forward(x) {
    return this.way(x);
  }
}

const bounded = (t, inPlace) => (inPlace ? t.clamp_(-1.5, 2) : t.clamp(-1.5, 2));
const halfOf = (y) => Math.floor(y.sizes[1] / 2);
const rest = (y, dim, from) => y.narrow(dim, from, y.sizes[dim] - from);

/** The modules by kind. `inPlace` does not change what they compute. */
const MODULES = {
  conv: () => new Conv2d(CHANNELS, CHANNELS, 3, { padding: 1 }),
  norm() {
    const norm = new BatchNorm2d(CHANNELS);
    norm.running_mean.copy_(randn([CHANNELS]).mul(0.2));
    norm.running_var.copy_(rand([CHANNELS]).add(0.5));
    return norm;
  },
  relu: () => new ReLU(),
  clampedRelu: (inPlace) => new TwoWays(inPlace, [(x) => x.clamp_(0), (x) => x.clamp(0)]),
  overwritingRelu: (inPlace) => new TwoWays(inPlace, [(x) => x.copy_(x.relu()), (x) => x.relu()]),
  returnsView: (inPlace) =>
    new TwoWays(inPlace, [(x) => x.clamp_(-0.5, 1).narrow(1, 0, x.sizes[1]), (x) => x.clamp(-0.5, 1)]),
  identity: (inPlace) => (inPlace ? new Identity() : new TwoWays(false, [null, (x) => x.mul(1)])),
  dropout: (inPlace) => (inPlace ? new Dropout(0.5) : new TwoWays(false, [null, (x) => x.mul(1)])),
};

/** A module with several outputs, which the network adds. */
class Split extends Module {
  constructor(inPlace) {
    super();
    this.inPlace = inPlace;
    this.conv = MODULES.conv();
  }
  forward(x) {
    const a = this.conv.run(x);
    const b = this.inPlace ? a.clone().mul_(0.5) : a.mul(0.5);
    return this.inPlace ? [a, b] : a.add(b);
  }
}

/** A subclass of a layer with bias that ends with an activation. */
class ConvTanh extends Conv2d {
  constructor(inPlace) {
    super(CHANNELS, CHANNELS, 3, { padding: 1 });
    this.inPlace = inPlace;
  }
  forward(x) {
    const y = super.forward(x);
    return this.inPlace ? y.copy_(y.tanh()) : y.tanh();
  }
}

/** The steps of a network on maps y, each in place and not. */
const STEPS = {
  scale: [(y) => y.mul_(1.5), (y) => y.mul(1.5)],
  shift: [(y) => y.add_(0.25), (y) => y.add(0.25)],
  clamp: [(y) => bounded(y, true), (y) => bounded(y, false)],
  divide: [(y) => y.div_(1.25).sub_(0.1), (y) => y.div(1.25).sub(0.1)],
  tanh: [(y) => y.copy_(y.tanh()), (y) => y.tanh()],
  halves: [
    (y) => {
      y.narrow(1, 0, halfOf(y)).mul_(0.5);
      return y;
    },
    (y) => cat([y.narrow(1, 0, halfOf(y)).mul(0.5), rest(y, 1, halfOf(y))], 1),
  ],
  border: [
    (y) => {
      y.narrow(2, 0, 1).fill_(0.1);
      return y;
    },
    (y) => cat([y.narrow(2, 0, 1).mul(0).add(0.1), rest(y, 2, 1)], 2),
  ],
  square: [(y) => y.mul_(y.clone()).mul_(0.3), (y) => y.mul(y).mul(0.3)],
};

/**
 * Views of maps, which keep four dimensions and square channels: how each view y is made, and how the base after a change of y is computed
 * without working in place.
 */
const VIEWS = {
  half: [(y) => y.narrow(3, 0, 1), (y, part) => cat([part, rest(y, 3, 1)], 3)],
  select: [(y) => y.select(1, 1).unsqueeze(1), (y, part) => cat([y.narrow(1, 0, 1), part, rest(y, 1, 2)], 1)],
  transposed: [(y) => y.transpose(2, 3), (_, part) => part.transpose(2, 3)],
  view: [(y) => y.view(y.sizes), (_, part) => part],
  whole: [(y) => y, (_, part) => part],
};

/** Values that are read in addition to a module's output: the maps themselves, or a view that was made before the module ran. */
const HELD = {
  base: (y) => y,
  slice: (y) => y.narrow(2, 0, 1),
  transposed: (y) => y.transpose(2, 3),
};

const WRITING = /clamped|overwriting|returnsView/;
const PASSING = /identity|dropout/;

/** The steps of a random network: names of STEPS, and modules by number, one of which may occur twice. */
function planOf(seed) {
  const { below, pick } = randomSource(seed);
  const viewOf = () => ({
    kind: pick(Object.keys(VIEWS)),
    held: pick(["base", "slice", "transposed"]),
    discards: below(4) === 0,
  });
  const modules = ["conv", "relu"]; // one of each at least, for maps and for GuidedBackprop
  while (modules.length < 4 + below(4)) modules.push(pick([...Object.keys(MODULES), "split", "convTanh"]));
  const steps = [{ module: 0 }, { module: 1 }];
  for (let i = 2; i < modules.length; i++) {
    for (let extra = below(3); extra > 0; extra--) steps.push({ step: pick(Object.keys(STEPS)) });
    steps.push({
      module: i,
      around: pick(["", "", "", "skip", "alias", "reused input", "view", "view"]),
      view: viewOf(),
    });
    if (below(4) === 0) steps.push({ module: below(i + 1) }); // a shared module
  }
  for (let extra = below(3); extra > 0; extra--) steps.push({ step: pick(Object.keys(STEPS)) });
  // The sums after views round so differently in float32 that gradients of FullGrad, which have small divisors, differ by 1e-3.
  const dtype = steps.some(({ around }) => around === "view") ? "float64" : pick(["float32", "float64"]);
  const targets = modules.map((kind, i) => (kind === "split" ? `m${i}.conv` : `m${i}`));
  return {
    ...{ seed, modules, steps, layer: pick(targets), pools: below(2) === 0, dtype },
    ...{
      gentle: below(2) === 0,
      changesImage: below(2) === 0,
      output: pick(["tensor", "array", "object"]),
      changesLogits: below(2) === 0,
    },
  };
}

class Network extends Module {
  constructor(plan, inPlace) {
    super();
    manualSeed(plan.seed);
    this.plan = plan;
    this.inPlace = inPlace;
    const made = { ...MODULES, split: (way) => new Split(way), convTanh: (way) => new ConvTanh(way) };
    this.stem = new Conv2d(2, CHANNELS, 3, { padding: 1 });
    for (const [i, kind] of plan.modules.entries()) this[`m${i}`] = made[kind](inPlace);
    this.pool = new AvgPool2d(2);
    this.fc = new Linear(CHANNELS, 3);
    this.eval();
  }

  forward(image) {
    const { plan, inPlace } = this;
    const start = inPlace ? image.mul_(1.1).sub_(0.1) : image.mul(1.1).sub(0.1);
    let y = this.stem.run(plan.changesImage ? start : inPlace ? image.clone() : image.mul(1.1).sub(0.1));
    for (const { module, around = "", step, view } of plan.steps) {
      // A gentle network does not overwrite values that autograd needs, such as the output of a ReLU.
      const way = plan.gentle && around === "reused input" ? "" : around;
      if (way === "view") y = this.runOnView(module, y, view);
      else if (step === undefined) y = this.runModule(this[`m${module}`], y, way);
      else y = STEPS[step][inPlace ? 0 : 1](plan.gentle ? y.clone() : y);
    }
    const logits = this.fc.run((plan.pools ? this.pool.run(y) : y).mean([2, 3]));
    const last = !plan.changesLogits ? logits : inPlace ? logits.mul_(0.7).add_(0.1) : logits.mul(0.7).add(0.1);
    if (!inPlace || plan.output === "tensor") return last;
    return plan.output === "array" ? [last, y] : { aux: y, logits: last };
  }

  runModule(module, y, around) {
    const { inPlace } = this;
    const run = (x) => {
      const output = module.run(x);
      return Array.isArray(output) ? output[0].add(output[1]) : output;
    };
    if (around === "skip") {
      const shortcut = y.clone();
      const z = run(y);
      return inPlace && z !== shortcut ? z.add_(shortcut) : z.add(shortcut);
    }
    // If a module changed a tensor in place, the tensor's old name now refers to the module's output.
    if (
      around === "alias" &&
      /clamped|overwriting/.test(this.plan.modules[this.indexOf(module)]) &&
      y.sizes.length === 4
    ) {
      const z = run(y);
      return inPlace ? this.stemless(z).add_(y) : this.stemless(z).add(z);
    }
    if (
      around === "reused input" &&
      !(module instanceof TwoWays) &&
      !(module instanceof Identity || module instanceof Dropout)
    ) {
      const z = run(y);
      return inPlace ? z.add_(y.mul_(0.5)) : z.add(y.mul(0.5));
    }
    return run(y);
  }

  /** Runs a module that writes to a view of maps, or returns it, while the maps are also read under another name. */
  runOnView(number, maps, { kind, held, discards }) {
    const { inPlace } = this;
    const module = this[`m${number}`];
    const [view, joined] = VIEWS[kind];
    const writes = WRITING.test(this.plan.modules[number]);
    if (!writes && !PASSING.test(this.plan.modules[number])) return this.runModule(module, maps, "");
    const base = maps.clone();
    const other = HELD[held](base);
    const given = view(base);
    let z = module.run(given);
    // The output of a module that returns its input changes with the input, whichever of the two is written to.
    if (!writes && inPlace) (discards ? base : z).mul_(0.5);
    else if (!writes) z = z.mul(0.5);
    const changed = inPlace ? base : joined(!writes && discards ? base.mul(0.5) : base, z);
    const read = (inPlace ? other : HELD[held](changed)).mean([2, 3], { keepDims: true });
    const output = writes && discards ? 0 : z.square().mean([1, 2, 3], { keepDims: true });
    return changed.add(read.mul(0.3)).add(output);
  }

  indexOf(module) {
    return this.plan.modules.findIndex((_, i) => this[`m${i}`] === module);
  }

  stemless(y) {
    return this.m0.run(y);
  }
}

const counts = { networks: 0, comparisons: 0, refusedByAutograd: 0, differences: [] };

/** The largest difference, relative to the largest value. */
function apart(a, b) {
  if (a.shape.join() !== b.shape.join()) return Number.POSITIVE_INFINITY;
  const scale = b.abs().max().item();
  return a.sub(b).abs().max().item() / (scale + 1e-12);
}

function compare(plan, name, found, expected) {
  counts.comparisons++;
  const error = apart(found, expected);
  if (!(error <= TOLERANCE)) counts.differences.push({ name, error, plan });
}

const SETTINGS = { targets: CLASSES, normalize: false, relu: false, samples: 2, steps: 3, noise: 0.1 };

function compareExplanations(plan, [written, plain], x) {
  const kept = x.clone();
  for (const method of METHODS) {
    const options = { ...SETTINGS, method, layer: plan.layer };
    const [found, expected] = [explain(written, x, options), explain(plain, x, options)];
    compare(plan, method, found.maps, expected.maps);
    compare(plan, `${method}, logits`, found.logits, expected.logits);
    if (method === "AblationCAM" || method === "ScoreCAM") continue;
    const graph = { ...options, createGraph: true };
    const [ours, theirs] = [explain(written, x, graph).maps, explain(plain, x, graph).maps];
    compare(plan, `${method}, createGraph`, ours, theirs);
    compareGradients(plan, `${method}, gradient`, [ours, theirs], [written, plain]);
  }
  if (!x.equal(kept)) counts.differences.push({ name: "the caller's image", error: apart(x, kept), plan });
}

/** Compares the gradients of a loss of the maps with respect to every parameter. */
function compareGradients(plan, name, [found, expected], [written, plain]) {
  if (!expected.requiresGrad) return;
  const gradients = (maps, model) =>
    cat(
      grad(maps.square().sum(), model.parameters(), { allowUnused: true, retainGraph: true }).map((g) => g.flatten()),
    );
  compare(plan, name, gradients(found, written), gradients(expected, plain));
}

/** Whether autograd refuses the network with in-place operations, without any tap. */
function isRefused(written, x) {
  try {
    const { logits } = written.forwardWith(x, { taps: [] });
    grad(logits.sum(), written.parameters(), { allowUnused: true });
    return false;
  } catch {
    return true;
  }
}

function compareBatchCam(plan, [written, plain], x) {
  const maps = (model, options) => {
    const { logits, taps } = model.forwardWith(x, { taps: [plan.layer] });
    return batchCam(logits, taps[plan.layer], CLASSES, { relu: false, ...options });
  };
  for (const options of [{ order: "first" }, { order: "second" }, { createGraph: false }]) {
    const name = `batchCam ${JSON.stringify(options)}`;
    try {
      const [found, expected] = [maps(written, options), maps(plain, options)];
      compare(plan, name, found, expected);
      if (options.createGraph !== false)
        compareGradients(plan, `${name}, gradient`, [found, expected], [written, plain]);
    } catch (error) {
      if (!/in ?place/.test(String(error)) || !isRefused(written, x)) throw error;
      counts.refusedByAutograd++;
    }
  }
}

for (let run = 0; run < runs; run++) {
  const plan = planOf(firstSeed * 100_003 + run);
  if (given.trace) process.stderr.write(`${JSON.stringify(plan)}\n`);
  tidy(() => {
    const networks = [true, false].map((inPlace) => new Network(plan, inPlace).to(plan.dtype));
    const x = randn([2, 2, 6, 8]).to(plan.dtype);
    try {
      compareExplanations(plan, networks, x);
      compareBatchCam(plan, networks, x);
    } catch (error) {
      counts.differences.push({ name: String(error), stack: given.trace ? error.stack : undefined, plan });
    }
  });
  counts.networks++;
}
const { differences, ...totals } = counts;
process.stdout.write(
  `${JSON.stringify({ ...totals, differing: differences.length, differences: differences.slice(0, 3) })}\n`,
);
