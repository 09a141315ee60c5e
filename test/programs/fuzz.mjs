// Makes random calls of the engine with good and bad arguments: `node fuzz.mjs <seed> <calls> [--trace]`. Every call must end in a result
// or a BatchCamError. It prints the number of each as one line of JSON. --trace prints each call before it is made.
import * as engine from "batch-cam/tensor";
import { randomSource } from "../../scripts/fuzz/random.mjs";

const { autocast, isGradEnabled, keep, memory, noGrad, setNumThreads, Tensor, tensor, tidy } = engine;
const [seed, calls] = process.argv.slice(2, 4).map(Number);
const trace = process.argv.includes("--trace");
setNumThreads(1);

const { next: random, below, pick } = randomSource(seed);
const DTYPES = ["float32", "float64", "bfloat16", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"];

const pool = [];
const size = () => pick([0, 1, 1, 2, 3, 4, 5, 8]);
const sizes = (rank = below(5)) => Array.from({ length: rank }, size);
const integer = () => pick([-5, -2, -1, 0, 0, 1, 1, 2, 3, 4, 7, 100]);
const number = () =>
  pick([integer, () => random() * 4 - 2, () => pick([Number.NaN, Infinity, -Infinity, -0, 1e30, 0.5])])();

function fresh() {
  const shape = sizes();
  const made = engine
    .rand(shape)
    .mul(pick([1, 6, 200]))
    .sub(pick([0, 3]));
  const typed = made.to(random() < 0.6 ? "float32" : pick(DTYPES));
  if (random() < 0.3 && /float/.test(typed.dtype)) return typed.detach().requiresGrad_();
  if (random() < 0.1 && typed.ndim === 4) return typed.contiguous("channelsLast");
  return typed;
}

const indices = () => {
  const shape = sizes(below(3));
  const length = shape.reduce((a, b) => a * b, 1);
  return tensor(
    BigInt64Array.from({ length }, () => BigInt(random() < 0.95 ? below(3) : integer())),
    { shape },
  );
};
const mask = () => engine.rand(sizes()).gt(0.5);
const existing = () => (pool.length > 0 && random() < 0.9 ? pick(pool) : fresh());
const list = () => Array.from({ length: below(4) }, integer);
const image = () =>
  random() < 0.3 ? existing() : engine.randn([size(), pick([1, 2, 4]), pick([3, 5, 8]), pick([3, 5, 8])]);
const kernel = () =>
  random() < 0.3 ? existing() : engine.randn([pick([1, 2, 4]), pick([1, 2, 4]), pick([1, 3]), pick([1, 3])]);
const junk = () =>
  pick([
    undefined,
    null,
    "1",
    "float32",
    {},
    [],
    [[]],
    3n,
    () => 1,
    true,
    Symbol.iterator,
    new Date(0),
    Object.create(Tensor.prototype),
  ]);
const flag = () => random() < 0.5;
const dims = () => pick([integer, list, () => undefined])();
const pair = () => pick([integer, () => [integer(), integer()]])();

/** The kinds of arguments, one letter each. A `?` after the letter makes the argument optional. */
const KINDS = {
  T: existing,
  I: indices,
  M: mask,
  X: image,
  K: kernel,
  i: integer,
  n: number,
  l: list,
  s: sizes,
  d: dims,
  b: flag,
  o: () => (flag() ? existing() : number()),
};

const METHODS = {
  add: "o",
  sub: "o",
  mul: "o",
  div: "o",
  remainder: "o",
  pow: "o",
  maximum: "T",
  minimum: "T",
  lerp: "Tn",
  clamp: "nn",
  neg: "",
  abs: "",
  sign: "",
  exp: "",
  log: "",
  sqrt: "",
  rsqrt: "",
  square: "",
  reciprocal: "",
  sin: "",
  cos: "",
  floor: "",
  ceil: "",
  round: "",
  erf: "",
  relu: "",
  sigmoid: "",
  tanh: "",
  softmax: "i",
  logSoftmax: "i",
  matmul: "T",
  mm: "T",
  bmm: "T",
  dot: "T",
  sum: "d",
  mean: "d",
  var: "d",
  std: "d",
  amax: "d",
  amin: "d",
  max: "",
  min: "",
  argmax: "i",
  argmin: "i",
  norm: "d",
  all: "",
  any: "",
  cumsum: "i",
  sort: "i",
  topk: "ii",
  median: "i",
  eq: "o",
  ne: "o",
  gt: "o",
  ge: "o",
  lt: "o",
  le: "o",
  logicalAnd: "T",
  logicalOr: "T",
  logicalNot: "",
  isnan: "",
  isfinite: "",
  equal: "T",
  reshape: "l",
  view: "l",
  flatten: "ii",
  permute: "l",
  transpose: "ii",
  t: "",
  unsqueeze: "i",
  squeeze: "i",
  expand: "l",
  repeat: "l",
  narrow: "iii",
  select: "ii",
  slice: "iiii",
  flip: "l",
  indexSelect: "iI",
  gather: "iI",
  indexAdd: "iIT",
  scatter: "iIn",
  maskedFill: "Mn",
  maskedSelect: "M",
  nonzero: "",
  unbind: "i",
  split: "ii",
  clone: "",
  detach: "",
  contiguous: "",
  add_: "o",
  sub_: "o",
  mul_: "o",
  div_: "o",
  lerp_: "Tn",
  clamp_: "nn",
  zero_: "",
  fill_: "n",
  copy_: "T",
  indexAdd_: "iIT",
  normal_: "nn",
  uniform_: "nn",
  bernoulli_: "n",
  data: "",
  item: "",
  toString: "",
};
const FUNCTIONS = {
  cat: () => [[existing(), existing(), existing()], integer()],
  stack: () => [[existing(), existing()], integer()],
  where: () => [mask(), flag() ? existing() : number(), flag() ? existing() : number()],
  oneHot: () => [indices(), integer()],
  conv2d: () => [
    image(),
    kernel(),
    flag() ? undefined : existing(),
    { stride: pair(), padding: pair(), dilation: pair(), groups: pick([1, 1, 2, 4, integer()]) },
  ],
  linear: () => [existing(), existing(), flag() ? undefined : existing()],
  gelu: () => [existing(), { approximate: pick(["none", "tanh", "x"]) }],
  maxPool2d: () => [image(), pair(), { stride: pair(), padding: pair(), ceilMode: flag() }],
  avgPool2d: () => [image(), pair(), { stride: pair(), padding: pair(), ceilMode: flag() }],
  adaptiveAvgPool2d: () => [image(), pair()],
  batchNorm: () => [
    image(),
    {
      weight: flag() ? null : existing(),
      bias: flag() ? null : existing(),
      runningMean: flag() ? null : existing(),
      runningVar: flag() ? null : existing(),
      training: flag(),
    },
  ],
  layerNorm: () => [existing(), list(), { weight: flag() ? null : existing() }],
  interpolate: () => [image(), { size: [integer(), integer()], mode: pick(["bilinear", "nearest"]) }],
  softmax: () => [existing(), integer()],
  zeros: () => [list(), { dtype: pick(DTYPES) }],
  full: () => [sizes(), number(), { dtype: pick(DTYPES) }],
  arange: () => [number(), number(), { step: number() }],
  eye: () => [integer(), {}],
  randperm: () => [integer()],
  setRngState: () => [flag() ? engine.getRngState() : existing()],
  grad: () => [
    existing().sum(),
    [existing(), existing()],
    { createGraph: flag(), allowUnused: flag(), retainGraph: flag() },
  ],
  backward: () => [flag() ? existing() : existing().sum(), flag() ? {} : { gradient: existing() }],
  keep: () => [existing()],
};

const functions = { ...engine };
const spoil = (args) => args.map((value) => (random() < 0.03 ? junk() : value));

/** Makes a random call: a text that describes it, and the function that performs it. Sizes are at most 100. */
function randomCall() {
  if (random() < 0.3) {
    const name = pick(Object.keys(FUNCTIONS));
    const args = spoil(FUNCTIONS[name]());
    if (
      name === "arange" &&
      !(args.slice(0, 2).every((x) => typeof x === "number" && Math.abs(x) <= 100) && Math.abs(args[2]?.step) > 0.01)
    )
      return randomCall();
    return { name, args, call: () => functions[name](...args) };
  }
  const name = pick(Object.keys(METHODS));
  const self = existing();
  const args = spoil([...METHODS[name]].map((kind) => KINDS[kind]()));
  return { name, args: [self, ...args], call: () => self[name](...args) };
}

const show = (value) => {
  if (value instanceof Tensor) {
    try {
      return value.isDisposed ? "disposed" : `${value.dtype}[${value.shape}]${value.requiresGrad ? "*" : ""}`;
    } catch {
      return "forged";
    }
  }
  if (Array.isArray(value)) return `[${value.map(show)}]`;
  return typeof value === "object" && value !== null
    ? `{${Object.entries(value).map(([k, v]) => `${k}: ${show(v)}`)}}`
    : String(value);
};

const modes = [(f) => f(), (f) => f(), (f) => f(), noGrad, (f) => autocast({}, f), tidy];
const count = { results: 0, refused: 0 };

function gather(value) {
  if (value instanceof Tensor && value.numel < 5000) pool.push(keep(value));
  else if (Array.isArray(value)) value.slice(0, 3).forEach(gather);
  else if (value && typeof value === "object" && value.values instanceof Tensor) gather(value.values);
}

function step() {
  let [name, args] = ["arguments", []];
  try {
    const random = randomCall();
    ({ name, args } = random);
    const { call } = random;
    if (trace) console.error(name, args.map(show).join(" "));
    gather(pick(modes)(call));
    count.results++;
  } catch (error) {
    const missingOptions =
      error instanceof TypeError && /Cannot (destructure|read properties of (null|undefined))/.test(error.message);
    if (error?.name !== "BatchCamError" && !missingOptions)
      throw Object.assign(error, { message: `${name}(${args.map(show)}): ${error.message}` });
    count.refused++;
  }
}

for (let i = 0; i < calls; i++) {
  tidy(step);
  if (random() < 0.02) existing().dispose();
  if (random() < 0.05) {
    try {
      const leaf = pick(pool);
      leaf.grad = flag() ? null : existing();
    } catch (error) {
      if (error?.name !== "BatchCamError" && pool.length > 0) throw error;
    }
  }
  while (pool.length > 40) pool.splice(below(pool.length), 1)[0].dispose();
}
for (const t of pool) t.dispose();
if (
  !isGradEnabled() ||
  engine
    .ones([2, 2])
    .matmul(engine.ones([2, 2]))
    .sum()
    .item() !== 8
)
  throw new Error("the engine is out of order");
console.log(JSON.stringify({ ...count, bytes: memory().bytes }));
