import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as cam from "../src/cam/index.ts";
import * as config from "../src/config/index.ts";
import * as data from "../src/data/index.ts";
import { BatchCamError } from "../src/errors.ts";
import * as losses from "../src/losses/index.ts";
import * as metrics from "../src/metrics/index.ts";
import * as models from "../src/models/index.ts";
import * as nn from "../src/nn/index.ts";
import * as optim from "../src/optim/index.ts";
import * as engine from "../src/tensor/index.ts";
import { ones, Tensor, tensor, tidy, zeros } from "../src/tensor/index.ts";
import * as train from "../src/train.ts";
import { head, program } from "./support/exported-program.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

// Arguments that a program without types may pass. Every public function and method must return a result or throw a BatchCamError. Getters
// and proxies that throw are not included, because their errors belong to their owner.

type Callable = (...args: unknown[]) => unknown;

/** Values that nobody should pass. */
function junk(): unknown[] {
  const gone = zeros([2]);
  gone.dispose();
  return [
    undefined,
    null,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    -1,
    0,
    1.5,
    2 ** 40,
    2 ** 53,
    "",
    "1",
    "\0x",
    "float32",
    "toString",
    true,
    3n,
    Symbol("x"),
    () => 1,
    {},
    [],
    [Number.NaN],
    ["1"],
    [-7],
    [1.5],
    [[1]],
    [undefined],
    [null],
    [3n],
    [Symbol("x")],
    new Date(0),
    new Map(),
    new Map<unknown, unknown>([[Symbol("x"), 3n]]),
    new Set([1]),
    Object.create(null),
    Object.create(Map.prototype),
    Object.create(Tensor.prototype),
    new Float32Array(2),
    new BigInt64Array(2),
    new Proxy(ones([2, 2]), {}),
    new Proxy([2, 2], {}),
    new Proxy({}, {}),
    new Proxy(new Map(), {}),
    gone,
    [gone],
    zeros([0]),
    tensor([5n]),
    tensor([-9n]),
    tensor([true, false]),
    tensor(1.5, { dtype: "float64" }),
    [zeros([2]), zeros([3])],
  ];
}

/** Values that are valid for some arguments, so that calls get past the first check. */
function plausible(): unknown[] {
  const pixels = { images: zeros([4, 1, 8, 8], { dtype: "uint8" }), labels: tensor([0n, 1n, 0n, 1n]) };
  const normalization = { mean: [0.1], std: [0.3] };
  const split = { name: "train", ...pixels, numClasses: 2, classNames: ["a", "b"], normalization };
  const weight = ones([3], { requiresGrad: true });
  return [
    1,
    2,
    [2, 2],
    [1, 8, 8],
    ones([2, 3]),
    ones([4, 8, 8]),
    zeros([2, 1, 4, 4]),
    zeros([2, 8, 8]),
    tensor([0n, 1n]),
    [0, 1],
    Int32Array.from([0, 1]),
    weight,
    [weight],
    [["weight", weight]],
    new Map([["weight", weight]]),
    split,
    { ...split, images: gone() },
    { train: split, test: split },
    { params: [weight] },
    [{ params: 5 }],
    new models.SimpleCNN({ imageSize: 8, numClasses: 2, head: "gap" }),
    new nn.ReLU(),
    new Set([new nn.ReLU()]),
    "simple-cnn",
    "l1",
    { lr: 0.1, steps: 3 },
    { camLayer: "pool2", prototypes: zeros([2, 8, 8]) },
    config.TrainConfig,
    { what: "x" },
  ];
}

function gone(): Tensor {
  const made = zeros([4, 1, 8, 8]);
  made.dispose();
  return made;
}

const OPTIONS =
  "shape size dtype device requiresGrad step keepDims correction descending stride padding dilation groups bias weight mode eps momentum training approximate reduction labelSmoothing lr betas weightDecay nesterov steps minLr warmupSteps pctStart anneal maxLr layerDecay layers decay warmup order createGraph gradOutputs gradient upsample normalize head distance target prototypes window sigma threshold batchSize seed epoch startBatch statistic trim onWarning images indices name numClasses inChannels imageSize norm dropout width stem dims depths dropPath taps strict camLayer signal onEvent labels mean std train test runningMean guidance amp enabled what label enum type anyOf output experiment".split(
    " ",
  );

/** mulberry32, so that every run makes the same calls. */
function randomSource(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A source of arguments. The values are made again from time to time, because calls change them. */
function argumentsFrom(seed: number): () => unknown[] {
  const random = randomSource(seed);
  let [bad, good] = [junk(), plausible()];
  let calls = 0;
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const options = () => Object.fromEntries(Array.from({ length: 1 + 2 * random() }, () => [pick(OPTIONS), value(0.3)]));
  const value = (share: number): unknown => {
    const chance = random();
    if (chance < share) return pick(good);
    return chance < share + 0.15 ? options() : pick(bad);
  };
  return () => {
    if (++calls % 200 === 0) [bad, good] = [junk(), plausible()];
    return Array.from({ length: Math.floor(random() * 5) }, () => value(0.5));
  };
}

/** The error text of a call, or undefined for a result or a BatchCamError. The result of a call is used too. */
async function foreignError(call: () => unknown): Promise<string | undefined> {
  try {
    let result: unknown;
    tidy(() => {
      result = call();
      if (typeof result === "function") for (const value of [2, undefined, Symbol("x"), 3n]) result(value);
      if (typeof (result as Iterator<unknown> | undefined)?.next === "function") (result as Iterator<unknown>).next();
    });
    await result;
  } catch (error) {
    if (!(error instanceof BatchCamError)) return error instanceof Error ? `${error.stack}` : String(error);
    if (error.message.length > 4000) return `a message of ${error.message.length} characters`;
  }
  return undefined;
}

function show(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  if (value !== null && typeof value === "object") {
    const plain = Object.getPrototypeOf(value) === Object.prototype;
    if (plain) return `{ ${Object.entries(value).map(([key, item]) => `${key}: ${show(item)}`)} }`;
    return Object.prototype.toString.call(value) + (value.constructor?.name ?? "");
  }
  return typeof value === "bigint" ? `${value}n` : typeof value === "string" ? JSON.stringify(value) : String(value);
}

/** The first of many random calls that throws a wrong error, with its arguments. */
async function firstFailure(make: (args: unknown[]) => () => unknown, seed: number, count: number): Promise<string> {
  const next = argumentsFrom(seed);
  for (let i = 0; i < count; i++) {
    const args = next();
    const failure = await foreignError(make(args));
    if (failure !== undefined) return `(${args.map(show).join(", ")}): ${failure}`;
  }
  return "";
}

/** Whether a config is valid: an argument that reads as an empty config would train for an hour. */
const untrainable = (first: unknown) =>
  typeof first === "object" || first === undefined
    ? { output: "/dev/null/nowhere", dataDir: "/dev/null/nowhere" }
    : first;

// To look for rarer faults, use more calls or another seed: JUNK_CALLS=5000 JUNK_SEED=1 npx vitest run test/junk.test.ts
const CALLS = countFrom("JUNK_CALLS", 250);
const SEED = countFrom("JUNK_SEED", 7);

/** Reads a number from the environment. An invalid one throws, because the test would make no call and pass. */
function countFrom(name: string, usual: number): number {
  const given = process.env[name] || String(usual);
  if (!/^\d+$/.test(given)) throw new Error(`environment variable ${name}: expected a whole number, got "${given}"`);
  return Number(given);
}

const SPECIAL: Record<string, Callable> = {
  train: (first, ...rest) => train.train(untrainable(first) as never, ...(rest as never[])),
  findLearningRate: (first, ...rest) => train.findLearningRate(untrainable(first) as never, ...(rest as never[])),
};

const entries = { engine, nn, optim, cam, losses, metrics, data, models, config, train };
const exported = Object.entries(entries).flatMap(([entry, names]) =>
  Object.entries(names).map(([name, value]) => ({ path: `${entry}.${name}`, name, value: value as unknown })),
);
const callable = exported.filter(({ value }) => typeof value === "function");
const isClass = (value: unknown) => /^class\b/.test(Function.prototype.toString.call(value));
// Tensor is left out: its constructor takes the engine's handles, which are plain numbers.
const classes = callable.filter(({ value }) => isClass(value) && value !== Tensor);
const functions = callable.filter(({ value }) => !isClass(value));
const seedOf = (text: string) => [...text].reduce((seed, letter) => Math.imul(seed, 31) + letter.charCodeAt(0), SEED);

const instances: Record<string, () => object> = {
  Tensor: () => ones([2, 2]),
  ReLU: () => new nn.ReLU(),
  GELU: () => new nn.GELU(),
  BatchNorm2d: () => new nn.BatchNorm2d(1),
  Conv2d: () => new nn.Conv2d(1, 1, 1),
  DropPath: () => new nn.DropPath(0.5),
  Dropout: () => new nn.Dropout(0.5),
  GRN: () => new nn.GRN(1),
  LayerNorm: () => new nn.LayerNorm(4),
  LayerNorm2d: () => new nn.LayerNorm2d(1),
  Linear: () => new nn.Linear(3, 2),
  AdaptiveAvgPool2d: () => new nn.AdaptiveAvgPool2d(1),
  AvgPool2d: () => new nn.AvgPool2d(1),
  MaxPool2d: () => new nn.MaxPool2d(1),
  GlobalAvgPool2d: () => new nn.GlobalAvgPool2d(),
  Flatten: () => new nn.Flatten(),
  Identity: () => new nn.Identity(),
  Sequential: () => new nn.Sequential(new nn.ReLU()),
  SGD: () => new optim.SGD([ones([3], { requiresGrad: true })], { lr: 0.1, momentum: 0.9 }),
  Adam: () => new optim.Adam([ones([3], { requiresGrad: true })]),
  AdamW: () => new optim.AdamW([["weight", ones([3], { requiresGrad: true })]]),
  WeightEma: () => new optim.WeightEma(new Map([["weight", ones([3])]])),
  CamEma: () => new losses.CamEma(2, [8, 8]),
  Coherence: () => new metrics.Coherence(2),
  EnergyInMask: () => new metrics.EnergyInMask(),
  WrongReason: () => new metrics.WrongReason(),
  SimpleCNN: () => new models.SimpleCNN({ imageSize: 8 }),
  ResNet: () => new models.ResNet("resnet18", { width: 1 }),
  ExportedModel: () => {
    const { nodes, weights } = head("x", 3);
    return new models.ExportedModel(program({ nodes, weights }), "junk.pt2");
  },
  ConvNextV2: () => new models.ConvNextV2("convnextv2_atto", { dims: [1, 1, 1, 1], depths: [1, 1, 1, 1] }),
};

/** Protected methods, which only subclasses define and the base class calls. */
const PROTECTED = ["constructor", "update", "fusedStep", "stateNames"];

/** Every public method and every setter of an object and its prototypes. */
function membersOf(object: object): { name: string; setter: boolean }[] {
  const hidden = object instanceof optim.Optimizer ? PROTECTED : ["constructor"];
  const found = new Map<string, boolean>();
  for (let at = Object.getPrototypeOf(object); at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, { value, set }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (!hidden.includes(name) && (typeof value === "function" || set)) found.set(name, typeof value !== "function");
    }
  }
  return Array.from(found, ([name, setter]) => ({ name, setter }));
}

describe("arbitrary arguments", () => {
  const folder = temporaryFolder("junk");
  const [before, threads] = [process.cwd(), engine.getNumThreads()];
  beforeAll(() => process.chdir(folder)); // calls may use a plain word as a path and write files there
  afterAll(() => {
    process.chdir(before);
    engine.setNumThreads(threads);
  });

  it.each(functions)("ends in a BatchCamError or a result ($path)", async ({ name, value }) => {
    const call = SPECIAL[name] ?? (value as Callable);
    expect(await firstFailure((args) => () => call(...args), seedOf(name), CALLS)).toBe("");
    expect(engine.isGradEnabled()).toBe(true);
  });

  it.each(classes)("ends in a BatchCamError or an object (new $path)", async ({ name, value }) => {
    const Class = value as new (...args: unknown[]) => object;
    expect(await firstFailure((args) => () => new Class(...args), seedOf(name), CALLS)).toBe("");
  });

  it.each(Object.keys(instances))("ends in a BatchCamError or a result (methods of %s)", async (name) => {
    const make = instances[name] as () => object;
    for (const { name: member, setter } of membersOf(make())) {
      const self = make() as Record<string, unknown>;
      const use = (args: unknown[]) => () => {
        if (setter) self[member] = args[0];
        else return (self[member] as Callable)(...args);
      };
      expect(await firstFailure(use, seedOf(member), name === "Tensor" ? CALLS : CALLS / 5), member).toBe("");
    }
  });

  it("includes a proxy of a tensor, which every method refuses because it is not a tensor", async () => {
    for (const { name, setter } of membersOf(ones([2]))) {
      if (setter) continue;
      const self = new Proxy(ones([2, 2]), {}) as unknown as Record<string, Callable>;
      expect(await foreignError(() => self[name]?.(ones([2, 2]))), name).toBeUndefined();
    }
  });

  it("includes an instance of each class that can be constructed", () => {
    const made = classes.map(({ name }) => name).filter((name) => !["Module", "Model", "Optimizer"].includes(name));
    expect(made.filter((name) => instances[name] === undefined)).toEqual([]);
  });

  it("leaves the engine usable", () => {
    expect(tensor([[1, 2]]).matmul(tensor([[3], [4]]))).toBeAllclose([[11]]);
    expect(engine.conv2d(ones([1, 1, 3, 3]), ones([1, 1, 3, 3])).dtype).toBe("float32");
  });
});

describe("options", () => {
  const x = ones([2, 1, 4, 4]);
  const cases: [string, () => unknown][] = [
    ["sum", () => x.sum([0], null as never)],
    ["arange", () => engine.arange(0, 3, null as never)],
    ["gelu", () => engine.gelu(x, 5 as never)],
    ["autocast", () => engine.autocast(null as never, () => 1)],
    ["LayerNorm", () => new nn.LayerNorm(3, "eps" as never)],
    ["Adam", () => new optim.Adam([x.clone()], null as never)],
    ["cosine", () => optim.cosine(undefined as never)],
    ["ssim", () => losses.ssim(x, x, null as never)],
  ];

  it.each(cases)("that are not an object are refused with the operation's name (%s)", (operation, call) => {
    expect(call).toThrow(`${operation}: options must be an object, got`);
  });
});

describe("lists whose reading runs operators", () => {
  it("are read before anything is written for the engine", () => {
    const x = ones([2, 3], { requiresGrad: true });
    const sizes = [2, 0];
    Object.defineProperty(sizes, 1, { get: () => ones([3]).numel });
    expect(zeros(sizes).shape).toEqual([2, 3]);
    expect(x.reshape(sizes).shape).toEqual([2, 3]);
    const hostile = new Proxy([x], {
      get(list, key) {
        ones([1]);
        return Reflect.get(list, key);
      },
    });
    expect(engine.grad(x.sum(), hostile)[0]).toBeAllclose(ones([2, 3]));
    expect(engine.cat(hostile)).toBeAllclose(x);
  });
});

describe("tidy", () => {
  it("keeps the tensors of a result that contains itself", () => {
    const kept = tidy(() => {
      let result: unknown = ones([1]);
      for (let depth = 0; depth < 1e5; depth++) result = [result];
      return result as unknown[];
    });
    let inner: unknown = kept;
    while (Array.isArray(inner)) inner = inner[0];
    expect((inner as Tensor).item()).toBe(1);
  });
});

describe("setNumThreads", () => {
  it("takes only a positive integer", () => {
    const before = engine.getNumThreads();
    engine.setNumThreads(1);
    expect(engine.getNumThreads()).toBe(1);
    engine.setNumThreads(before);
    for (const value of [0, -1, 1.5, Number.NaN, "2", null, undefined, 3n, 1e9, {}, Symbol("2")]) {
      expect(() => engine.setNumThreads(value as never)).toThrow(BatchCamError);
    }
    expect(engine.getNumThreads()).toBe(before);
  });
});
