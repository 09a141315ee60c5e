import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CompareConfig, type CompareConfigInput, parseTrainConfig, type TrainConfigInput } from "../../config/index.ts";
import { parseConfig } from "../../config/internal.ts";
import { gridFile, readGrid } from "./grid.ts";
import { isSameRun, runsOf, shareOf } from "./grid-runs.ts";
import type { GridRun } from "./records.ts";

const gridOf = (input: unknown) => readGrid(parseConfig(CompareConfig, input, { what: "compare" }));
const runs = (input: CompareConfigInput) => runsOf(gridOf(input));
const only = (input: CompareConfigInput): GridRun => {
  const [run, ...others] = runs({ objectives: ["plain"], seeds: [0], ...input });
  expect(others).toEqual([]);
  return run as GridRun;
};
const ids = (input: CompareConfigInput) => runs(input).map(({ id }) => id);

describe("a grid", () => {
  it("is every model with every data set, method and seed, each once, and plain with no distance or weight", () => {
    const some = <T>(items: readonly T[]) => fc.subarray([...items], { minLength: 1 });
    const parts = fc.record({
      models: some(["simple-cnn", "resnet18", "convnextv2_atto"]),
      datasets: some(["mnist", "decoy-mnist", "color-mnist"]),
      objectives: some(["plain", "prototype", "batch-cam", "both"]),
      distances: some(["ssim", "l1", "l2"]),
      lambdas: some([0.1, 0.5, 1, 2]),
      seeds: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(parts, (grid) => {
        const { models, datasets, objectives, distances, lambdas, seeds } = grid;
        const guided = objectives.filter((name) => name !== "plain").length * distances.length * lambdas.length;
        const methods = guided + (objectives.includes("plain") ? 1 : 0);
        const all = runs(grid);
        expect(all).toHaveLength(models.length * datasets.length * methods * seeds);
        expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
        for (const { config, seed, model, dataset } of all) {
          expect({ seed: config.seed, model: config.model, dataset: config.dataset }).toEqual({ seed, model, dataset });
        }
      }),
      { numRuns: 30 },
    );
  });

  it("runs all of the first seed first", () => {
    expect(runs({ models: "simple-cnn,resnet18", seeds: "4,2" }).map(({ seed }) => seed)).toEqual([
      4, 4, 4, 4, 2, 2, 2, 2,
    ]);
  });

  it("lets the method's options win over the data set's, those over the model's, those over base, and the seed over all", () => {
    const row = (lr: number) => ({ lr, epochs: 1 });
    const grid: CompareConfigInput = {
      base: { lr: 0.1, batchSize: 1, epochs: 9, limitTrain: 7 },
      models: [{ name: "simple-cnn", lr: 0.2, batchSize: 2, epochs: 8 }],
      datasets: [{ name: "mnist", lr: 0.3, batchSize: 3 }],
      methods: [{ name: "m", plain: true, ...row(0.4) }],
      seeds: [5],
    };
    const [run] = runs(grid);
    expect(run?.config).toMatchObject({ lr: 0.4, batchSize: 3, epochs: 1, limitTrain: 7, seed: 5, plain: true });
  });

  it("lets plain and the weights of the losses replace each other, row by row", () => {
    const guided = { name: "guided", lambdaPrototype: 1 };
    const plain = { name: "plain", plain: true };
    expect(runs({ base: { lambdaBatch: 2 }, methods: [plain], seeds: 1 })[0]?.config).toMatchObject({
      plain: true,
      lambdaBatch: 0,
    });
    expect(runs({ base: { plain: true }, methods: [guided], seeds: 1 })[0]?.config).toMatchObject({
      plain: false,
      lambdaPrototype: 1,
    });
  });

  it("lets rows have names that differ from what they train", () => {
    const { model, dataset, config } = only({
      models: [{ name: "narrow", model: "resnet18", width: 16 }],
      datasets: [{ name: "few digits", dataset: "mnist", limitTrain: 100 }],
    });
    expect({ model, dataset }).toEqual({ model: "narrow", dataset: "few digits" });
    expect(config).toMatchObject({ model: "resnet18", width: 16, dataset: "mnist", limitTrain: 100 });
  });

  it("uses each distance's default weight if none is given, and for both losses with `both`", () => {
    const methods = runs({ objectives: "prototype,batch-cam,both", distances: "ssim,l1", seeds: 1 });
    const weights = methods.map(({ method, config }) => [
      method,
      config.distance,
      config.lambdaPrototype,
      config.lambdaBatch,
    ]);
    expect(weights).toEqual([
      ["prototype ssim", "ssim", 0.5, 0],
      ["prototype l1", "l1", 2, 0],
      ["batch-cam ssim", "ssim", 0, 0.5],
      ["batch-cam l1", "l1", 0, 2],
      ["both ssim", "ssim", 0.5, 0.5],
      ["both l1", "l1", 2, 2],
    ]);
    expect(runs({ objectives: "prototype", lambdas: ".5,1e1", seeds: 1 }).map(({ method }) => method)).toEqual([
      "prototype ssim 0.5",
      "prototype ssim 10",
    ]);
  });

  it("has a method only with the data sets that its row names", () => {
    const grid: CompareConfigInput = {
      datasets: ["mnist", "color-mnist", { name: "patches", dataset: "decoy-mnist" }],
      methods: [
        { name: "all", plain: true },
        { name: "two", datasets: ["mnist", "patches"] },
        { name: "one", datasets: "patches", baseline: "rrr" },
      ],
      seeds: 1,
    };
    const pairs = runs(grid).map(({ dataset, method }) => `${dataset} ${method}`);
    expect(pairs).toEqual([
      ...["mnist all", "mnist two", "color-mnist all", "patches all", "patches two", "patches one"],
    ]);
    const read = gridOf(grid);
    expect(gridOf(gridFile(read))).toEqual(read);
    expect(only({ objectives: undefined, methods: [{ name: "x", datasets: ["mnist"], plain: true }] }).id).toBe(
      only({}).id,
    );
  });

  it("infers a method's kind from its options, unless it is called a control", () => {
    const kinds = runs({
      datasets: "decoy-mnist",
      methods: [
        { name: "a", plain: true },
        { name: "b" },
        { name: "c", baseline: "saliency-guided" },
        { name: "d", baseline: "rrr" },
        { name: "e", kind: "control", lambdaPrototype: 3 },
        { name: "f", prototypes: "shuffled" },
        { name: "g", kind: "reference", prototypes: "clean" },
      ],
      seeds: 1,
    }).map(({ kind }) => kind);
    expect(kinds).toEqual(["plain", "guided", "baseline", "reference", "control", "control", "reference"]);
  });

  it("is the same after it was written to a file and read again", () => {
    const grid = gridOf({
      name: "study",
      base: { epochs: 2, limitTrain: 500 },
      models: ["simple-cnn", { name: "narrow", model: "resnet18", width: 16 }],
      datasets: "mnist,color-mnist",
      objectives: "plain,prototype",
      distances: "ssim,l2",
      seeds: "3,1",
      explanations: 7,
      report: false,
    });
    const again = gridOf(gridFile(grid));
    expect(again).toEqual(grid);
    expect(runsOf(again)).toEqual(runsOf(grid));
  });
});

describe("the id of a run", () => {
  const base = { epochs: 2, lr: 0.01, augFlip: true };

  it("depends on the options, but not on their order or on names and paths", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(Object.entries(base), { minLength: 3, maxLength: 3 }), (entries) => {
        expect(only({ base: Object.fromEntries(entries) }).id).toBe(only({ base }).id);
      }),
    );
    const named: CompareConfigInput = {
      ...{ name: "other", output: "elsewhere", jobs: 2, threads: 7, keepRuns: true, report: false },
      models: [{ name: "x", model: "simple-cnn" }],
      datasets: [{ name: "y", dataset: "mnist", dataDir: "/data/mnist" }],
      objectives: undefined,
      methods: [{ name: "z", plain: true, checkpointEvery: 3, checkpointSeconds: 5, keepEpochs: 2 }],
    };
    expect(only({ ...named, base }).id).toBe(only({ base }).id);
  });

  it("does not change if a default is written out, or if an option is set in another row", () => {
    expect(only({ base: { batchSize: 128, epochs: 3 } }).id).toBe(only({}).id);
    expect(only({ models: [{ name: "simple-cnn", lr: 0.5 }] }).id).toBe(only({ base: { lr: 0.5 } }).id);
  });

  it("changes with everything that changes a number", () => {
    const changes: CompareConfigInput[] = [
      {},
      ...[{ epochs: 4 }, { lr: 2e-3 }, { limitTest: 100 }, { valImages: 50 }, { maxSteps: 9 }, { patience: 2 }].map(
        (base) => ({ base }),
      ),
      ...[{ amp: "off" }, { augShift: 0.1 }, { maxSeconds: 9 }].map((base) => ({ base })),
      { seeds: [1] },
      { explanations: 10 },
      { datasets: "color-mnist" },
      { models: "resnet18" },
      { objectives: "prototype" },
      { objectives: "prototype", lambdas: 0.7 },
      { datasets: [{ name: "folder", dataDir: "a" }] },
      { datasets: [{ name: "folder", dataDir: "b" }] },
    ];
    expect(new Set(changes.map((change) => only(change).id)).size).toBe(changes.length);
  });

  it("stays the same between versions, because stored results are found by it", () => {
    expect(only({}).id).toBe("dc3b0992fc9a2a6b");
    expect(only({ objectives: "prototype", distances: "l1", base, seeds: [2] }).id).toBe("6f2a09248d29cfb6");
  });
});

describe("a stored config", () => {
  const { config } = only({ base: { epochs: 2 } });

  it("describes the same run if it lacks a newer option, or differs in an option that changes no number", () => {
    const { augFlip: _, ...older } = config;
    expect(isSameRun(older, config)).toBe(true);
    expect(isSameRun({ ...config, threads: 9, output: "elsewhere" }, config)).toBe(true);
  });

  it("describes another run if an option differs, or if a default has changed since it was written", () => {
    expect(isSameRun({ ...config, augFlip: true }, config)).toBe(false);
    expect(isSameRun({ ...config, lr: 0.5 }, config)).toBe(false);
    expect(isSameRun({ ...config, retired: 1 } as typeof config, config)).toBe(false);
  });

  it("of a version that guided every step describes a run of guideEvery 1, and not one of the default", () => {
    const { guideEvery: _, guideShare: __, ...earlier } = only({ objectives: "prototype", distances: "ssim" }).config;
    const now = (options: object) => parseTrainConfig({ ...earlier, ...options } as TrainConfigInput);
    expect(isSameRun(earlier, now({ guideEvery: 1 }))).toBe(true);
    expect(isSameRun(earlier, now({}))).toBe(false);
    expect(isSameRun(earlier, now({ guideEvery: 1, guideShare: 0.5 }))).toBe(false);
  });

  it("describes the same run whatever it says of guidance that the run does not have, or has at every step", () => {
    const plain = parseTrainConfig({ plain: true });
    expect(isSameRun({ ...plain, guideEvery: 4, guideShare: 0.5 }, plain)).toBe(true);
    const baseline = parseTrainConfig({ baseline: "rrr", dataset: "decoy-mnist" });
    const { guideEvery: _, guideShare: __, ...earlier } = baseline;
    expect(isSameRun(earlier, baseline)).toBe(true);
    expect(isSameRun({ ...baseline, guideEvery: 2 }, baseline)).toBe(false);
  });
});

describe("shares of a grid", () => {
  it("contain every run once, in similar numbers, whatever the order of the rows", () => {
    const grid = { models: "simple-cnn,resnet18", datasets: "mnist,color-mnist", seeds: 3 };
    const turned = { models: "resnet18,simple-cnn", datasets: "color-mnist,mnist", seeds: "2,0,1" };
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), (of) => {
        const shares = Array.from({ length: of }, (_, i) => shareOf(runs(grid), `${i + 1}/${of}`));
        const sizes = shares.map((share) => share.length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        expect(shares.flatMap((share) => share.map(({ id }) => id)).sort()).toEqual(ids(grid).sort());
        const again = shareOf(runs(turned), `1/${of}`).map(({ id }) => id);
        expect(again.sort()).toEqual(shares[0]?.map(({ id }) => id).sort());
      }),
      { numRuns: 10 },
    );
  });

  it.each(["0/3", "4/3", "a/b", "1", "1/0", "-1/3", "1/3/2", "", "1.5/3"])("are not named by %j", (shard) => {
    expect(() => gridOf({ shard })).toThrow(/shard must be a share i\/n with i from 1 to n, such as "2\/3", got/);
  });
});

describe("a grid with a mistake", () => {
  it.each<[unknown, string]>([
    [{ model: "simple-cnn" }, 'unknown option model (did you mean "models"?)'],
    [{ models: [] }, "models must have at least one item, got an empty list"],
    [{ models: 3 }, "models must be text or a list, got 3"],
    [{ models: "" }, 'models, row 1 (""): name must be a name of at most 80 characters on one line, got ""'],
    [{ models: ["simple-cnn", "resnet81"] }, 'models, row 2: its name must be a model, one of "simple-cnn", '],
    [{ models: "resnet81" }, '(did you mean "resnet18"?)'],
    [{ models: [{ model: "resnet18" }] }, "models, row 1: name must be text, got nothing"],
    [{ models: [{ name: "a", model: "resnet" }] }, 'models, row 1 ("a"): model must be one of "simple-cnn", '],
    [{ models: [null] }, "models, row 1 must be train options with a name, got null"],
    [{ models: [["a"]] }, 'models, row 1 must be train options with a name, got ["a"]'],
    [{ models: ["resnet18", { name: "resnet18" }] }, 'models contains "resnet18" twice'],
    [
      { models: [{ name: "resnet18", widht: 16 }] },
      'models, row 1 ("resnet18"): unknown option widht (did you mean "width"?)',
    ],
    [
      { models: [{ name: "resnet18", width: -1 }] },
      'models, row 1 ("resnet18"): width must be a whole number, above 0 and at most 4096, got -1',
    ],
    [{ models: [{ name: "resnet18", kind: "plain" }] }, 'models, row 1 ("resnet18"): unknown option kind'],
    [{ models: [{ name: "a\nb", model: "resnet18" }] }, "name must be a name of at most 80 characters on one line"],
    [{ datasets: "cifar10" }, 'datasets, row 1: its name must be a dataset, one of "mnist", '],
    [
      { datasets: [{ name: "mnist", model: "resnet18" }] },
      'datasets, row 1 ("mnist"): model cannot be set there: it belongs to models',
    ],
    [{ base: { dataset: "mnist" } }, "base: dataset cannot be set there: it belongs to datasets"],
    [{ base: { seed: 1 } }, "base: seed cannot be set there: it comes from the grid's seeds"],
    [
      { base: { threads: 1 } },
      "base: threads cannot be set there: it is the same for the whole grid: set threads at the top level, next to models",
    ],
    [{ base: { fastDevRun: true } }, "base: fastDevRun cannot be set there: to try a grid out, use small limits"],
    [{ base: { epoch: 1 } }, 'base: unknown option epoch (did you mean "epochs"?)'],
    [{ base: [1] }, "base must be options, got a list"],
    [{ methods: [] }, "methods must have at least one item, got an empty list"],
    [{ methods: "plain" }, "methods must be a list, got"],
    [{ methods: ["plain"] }, 'methods, row 1 must be train options with a name, got "plain"'],
    [
      { methods: [{ name: "a", resume: true }] },
      'methods, row 1 ("a"): resume cannot be set there: a grid always continues where it stopped',
    ],
    [{ methods: [{ name: "a", kind: "best" }] }, 'methods, row 1 ("a"): kind must be one of "plain", "guided"'],
    [{ methods: [{ name: "a", datasets: [] }] }, "methods, row 1: datasets must have at least one item"],
    [
      { methods: [{ name: "a", datasets: "mnits" }] },
      'row 1: datasets must be one of "mnist", got "mnits" (did you mean "mnist"?)',
    ],
    [{ methods: [{ name: "a" }], distances: "l1" }, "distances must be left out with methods"],
    [{ objectives: "guided" }, 'objectives must be one of "plain", "prototype", "batch-cam", "both", got "guided"'],
    [{ objectives: "prototypes" }, '(did you mean "prototype"?)'],
    [{ objectives: "plain,plain" }, 'objectives contains "plain" twice'],
    [{ distances: ["ssim", "l3"] }, 'distances must be one of "ssim", "l1", "l2", got "l3" (did you mean "l1"?)'],
    [{ lambdas: 0 }, "lambdas must be numbers above 0, got 0"],
    [{ lambdas: ".5,x" }, 'lambdas must be numbers above 0, got "x"'],
    [{ lambdas: [0.5, 0.5] }, "lambdas contains 0.5 twice"],
    [{ lambdas: [Number.NaN] }, "lambdas must be numbers above 0, got NaN"],
    [{ seeds: 0 }, "seeds must be a number of seeds from 1 to 1000, or a list of seeds, got 0"],
    [{ seeds: 1e9 }, "got 1000000000"],
    [{ seeds: [1.5] }, "seeds must be whole numbers from 0, got 1.5"],
    [{ seeds: "0,-1" }, 'seeds must be whole numbers from 0, got "-1"'],
    [{ seeds: "5," }, 'seeds must be whole numbers from 0, got ""'],
    [{ seeds: [1, 1] }, "seeds contains 1 twice"],
    [{ explanations: -1 }, "explanations must be a whole number, at least 0, got -1"],
    [{ jobs: 0 }, "jobs must be a whole number, above 0, got 0"],
    [{ name: "a/b" }, 'name must be a folder name of letters, digits and ". _ + = @ -", got "a/b"'],
  ])("(%j) is refused: %s", (input, message) => {
    expect(() => gridOf(input)).toThrow(
      expect.objectContaining({ code: "E_CONFIG", message: expect.stringContaining(message) }),
    );
    expect(() => gridOf(input)).toThrow(/^compare: /);
  });

  it.each<[CompareConfigInput, string]>([
    [
      { methods: [{ name: "a", plain: true, lambdaPrototype: 1 }] },
      'compare: model "simple-cnn", data set "mnist", method "a": lambdaPrototype must be 0 or left out with plain, got 1',
    ],
    [
      { base: { opt: "adam" }, methods: [{ name: "fast", nesterov: true }] },
      'method "fast": nesterov must be false with opt "adam"',
    ],
    [
      { methods: [{ name: "a", kind: "plain" }] },
      'method "a": kind must be "guided" or "control", got "plain": its maps are guided',
    ],
    [{ methods: [{ name: "a", kind: "guided", plain: true }] }, 'kind must be "plain" or "control", got "guided"'],
    [
      { methods: [{ name: "a", kind: "baseline", baseline: "hint" }], datasets: "decoy-mnist" },
      "it trains with hint, which uses masks",
    ],
    [
      { methods: [{ name: "a", baseline: "rrr" }], datasets: "decoy-mnist,mnist" },
      'data set "mnist", method "a": baseline rrr needs masks, and mnist has none: name the data sets of that method in its row',
    ],
    [
      { methods: [{ name: "a", kind: "guided", prototypes: "global" }] },
      'kind must be "control" or "reference", got "guided": its prototypes are global',
    ],
    [
      {
        methods: [
          { name: "a", lr: 0.1 },
          { name: "b", lr: 1e-1 },
        ],
      },
      'model "simple-cnn", data set "mnist", method "a" and model "simple-cnn", data set "mnist", method "b" are the same run',
    ],
    [
      {
        seeds: 1000,
        models: "simple-cnn,resnet18",
        datasets: "mnist,color-mnist",
        objectives: "plain,both",
        distances: "l1,l2",
      },
      "the grid has 12000 runs",
    ],
  ])("in rows that contradict each other (%j) is refused: %s", (input, message) => {
    expect(() => runs({ seeds: 1, ...input })).toThrow(
      expect.objectContaining({ code: "E_CONFIG", message: expect.stringContaining(message) }),
    );
  });
});
