import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { DOCS, studyTables, tablesOf, withTables } from "../scripts/generate-docs.mjs";
import { explainBy } from "../src/cam/explain.ts";
import { explain } from "../src/cam/index.ts";
import { METHOD_REGISTRY, type NamedMethod } from "../src/cam/methods.ts";
import { defineCommand } from "../src/cli/command.ts";
import { COMMANDS } from "../src/cli/commands.ts";
import { flagsOf, parseFlags } from "../src/cli/flags.ts";
import { formatCommandHelp } from "../src/cli/help.ts";
import { main } from "../src/cli/main.ts";
import { modelTable } from "../src/cli/models/table.ts";
import { explainConfigOf } from "../src/config/explain.ts";
import { FEATURES, type Features } from "../src/config/features.ts";
import { TrainConfig } from "../src/config/index.ts";
import { fieldsOf, parseConfig } from "../src/config/internal.ts";
import { trainConfigOf } from "../src/config/train.ts";
import type { DatasetOptions } from "../src/data/dataset.ts";
import { splitOf } from "../src/data/index.ts";
import { loadDatasetOf, type NamedDataset } from "../src/data/load-dataset.ts";
import { type BaselineInput, baselineLossOf } from "../src/losses/baselines.ts";
import { distanceIn } from "../src/losses/distance.ts";
import { l1 } from "../src/losses/index.ts";
import { createModelOf } from "../src/models/create.ts";
import { FAMILIES } from "../src/models/families.ts";
import type { ModelFamily } from "../src/models/family.ts";
import { Model } from "../src/models/index.ts";
import { nearestArchitecture } from "../src/models/nearest-architecture.ts";
import { recognise } from "../src/models/recognise.ts";
import { Conv2d, GlobalAvgPool2d, Linear } from "../src/nn/index.ts";
import { optimizerNamed, scheduleNamed } from "../src/optim/by-name.ts";
import { constant, SGD } from "../src/optim/index.ts";
import { registryOf } from "../src/registry.ts";
import { rand, type Tensor, tensor, tidy, zeros } from "../src/tensor/index.ts";

/** One convolution, global average pooling and one linear layer. */
class ToyNet extends Model {
  readonly camLayer = "toyconv";
  readonly classifier = "out";
  readonly firstConv = "toyconv";
  readonly numClasses: number;
  readonly toyconv: Conv2d;
  readonly pool = new GlobalAvgPool2d();
  readonly out: Linear;

  constructor({ numClasses = 10, inChannels = 1, toyWidth = 4 }: ToyOptions = {}) {
    super();
    this.numClasses = numClasses;
    this.toyconv = new Conv2d(inChannels, toyWidth, 3, { padding: 1 });
    this.out = new Linear(toyWidth, numClasses);
  }

  override forward(x: Tensor): Tensor {
    return this.out.run(this.pool.run(this.toyconv.run(x)));
  }
}

interface ToyOptions {
  numClasses?: number;
  inChannels?: number;
  toyWidth?: number;
}

const family: ModelFamily<ToyOptions> = {
  name: "toy",
  models: ["toynet"],
  summary: "one convolution",
  source: "this test",
  namesOf: null,
  options: { toyWidth: z.int().positive().optional().describe("channels") },
  takesImageSize: false,
  smallStem: {},
  stemOptions: [],
  misfitAdvice: "choose another model",
  create: (_name, options) => new ToyNet(options),
  recognise: ({ has, shapeOf }) =>
    has(/^toyconv\./)
      ? { name: "toynet", options: { toyWidth: shapeOf("toyconv")[0] as number, numClasses: 10 } }
      : null,
  sign: /^toyconv\./,
  heads: ["out"],
  sketches: () => [["toynet", new ToyNet()]],
  dialects: [],
};

const dataset = {
  name: "toyset",
  summary: "no images",
  own: false,
  options: { toyGrey: z.number().default(0.5).describe("how grey they are") },
  masks: "never",
  cue: null,
} as const;

const FEATURES_WITH_TOYS: Features = {
  models: [...FEATURES.models, family],
  datasets: [...FEATURES.datasets, dataset],
  distances: [...FEATURES.distances, { name: "toydistance", summary: "none", lambda: 7 }],
  baselines: [
    ...FEATURES.baselines,
    {
      name: "toybaseline",
      summary: "nothing",
      source: "this test",
      needs: { masks: false, maps: false, inputGradient: false },
    },
  ],
  optimizers: [
    ...FEATURES.optimizers,
    { name: "toyopt", summary: "none", options: { toyDrift: z.number().default(1).describe("drift") } },
  ],
  schedules: [
    ...FEATURES.schedules,
    { name: "toysched", summary: "none", options: {}, ownWarmup: false, needsLength: false },
  ],
  methods: [...FEATURES.methods, { name: "ToyCAM", formula: "A", source: "this test", samples: 3 }],
};

const toyCommand = defineCommand({
  name: "toycommand",
  summary: "Does nothing.",
  config: z.strictObject({ toyFlag: z.boolean().default(false).describe("nothing") }),
  async run({ stdout, config }) {
    stdout.write(`toy ${config.toyFlag}\n`);
    return "done";
  },
});

const schema = trainConfigOf(FEATURES_WITH_TOYS);
const CHOICES = [
  ["model", "toynet", "toynett"],
  ["dataset", "toyset", "toysett"],
  ["distance", "toydistance", "toydistanc"],
  ["baseline", "toybaseline", "toybaselin"],
  ["opt", "toyopt", "toyoptt"],
  ["sched", "toysched", "toyschedd"],
] as const;
const helpOf = (config: z.ZodObject) => formatCommandHelp("x", "", { flags: flagsOf(config), columns: 100 });

async function run(...argv: string[]) {
  const written = { out: "", err: "" };
  const stream = (key: keyof typeof written) => ({
    columns: 80,
    write(text: string) {
      written[key] += text;
      return true;
    },
  });
  const io = { stdout: stream("out"), stderr: stream("err"), env: {} };
  const entries = [...COMMANDS, { name: "toycommand", load: async () => toyCommand }];
  return { code: await main(argv, io as never, entries), ...written };
}

describe("a config made with something new of each kind", () => {
  it.each(CHOICES)("accepts the new %s, and suggests it for a misspelt one", (key, name, misspelt) => {
    expect(parseConfig(schema, { [key]: name }, { what: "train" })[key]).toBe(name);
    expect(() => parseConfig(schema, { [key]: misspelt }, { what: "train" })).toThrow(
      new RegExp(`${key} must be one of .*"${name}".*, got "${misspelt}" \\(did you mean "${name}"\\?\\)`),
    );
  });

  it("has a flag and a line of help for each name and option", () => {
    const help = helpOf(schema).replace(/\s+/g, "");
    for (const [, name] of CHOICES) expect(help).toContain(name);
    for (const text of ["toy:channels", "toyset:howgreytheyare", "toyopt:drift"]) expect(help).toContain(text);
    expect(help).toContain("0.5forssim,2forl1andl2,7fortoydistance");
    const flags = { flags: flagsOf(schema) };
    expect(parseFlags(["--toy-width", "8", "--toy-drift=2"], flags, "train")).toEqual({ toyWidth: 8, toyDrift: 2 });
    expect(() => parseFlags(["--toy-widht", "8"], flags, "train")).toThrow(/did you mean --toy-width\?/);
  });

  it("lists the methods and models in the help of explain", () => {
    const help = helpOf(explainConfigOf(FEATURES_WITH_TOYS)).replace(/\s+/g, " ");
    expect(help).toMatch(/GuidedBackprop, ToyCAM/);
    expect(help).toMatch(/3 for ToyCAM/);
    expect(help.replaceAll(" ", "")).toContain("toynet");
  });

  it("does not change the package's own config", () => {
    expect(helpOf(TrainConfig)).not.toContain("toy");
    expect(Object.keys(fieldsOf(TrainConfig))).toEqual(Object.keys(fieldsOf(trainConfigOf(FEATURES))));
  });
});

describe("the tables of docs/", () => {
  const commands = Promise.all(COMMANDS.map(({ load }) => load()));

  it("agree with the descriptions, and with the results of the studies", async () => {
    const tables = { ...tablesOf(FEATURES, fieldsOf(TrainConfig), await commands), ...studyTables() };
    const pages = readdirSync(DOCS).filter((name) => name.endsWith(".md"));
    const found = new Set<string>();
    for (const name of pages) {
      const text = readFileSync(`${DOCS}${name}`, "utf8");
      for (const [, table = ""] of text.matchAll(/<!-- table: (\w+) -->/g)) found.add(table);
      expect(withTables(text, tables), `${name}: run \`npm run generate\``).toBe(text);
    }
    expect([...found].sort()).toEqual(Object.keys(tables).sort());
  });

  it("have a row for something new of each kind", async () => {
    const tables = tablesOf(FEATURES_WITH_TOYS, fieldsOf(schema), [...(await commands), toyCommand]);
    const rows: Record<string, RegExp> = {
      ...{
        commands: /^\| `toycommand` \| Does nothing\. \|$/m,
        models: /^\| `toynet` \| one convolution \|.*`toyWidth`/m,
      },
      ...{ datasets: /^\| `toyset` \| no images \| `toyGrey` \|/m, distances: /^\| `toydistance` \| none \| 7 \|$/m },
      ...{ baselines: /^\| `toybaseline` \| nothing \|/m, optimizers: /^\| `toyopt` \| none \| `toyDrift` \|$/m },
      ...{ schedules: /^\| `toysched` \|/m, methods: /^\| ToyCAM \| A \| this test \|$/m },
      options: /^\| `toyWidth` \| toy: channels \|/m,
    };
    expect(Object.keys(rows).sort()).toEqual(Object.keys(tables).sort());
    for (const [name, row] of Object.entries(rows)) expect(tables[name]).toMatch(row);
  });

  it("must have a known name", () => {
    expect(() => withTables("<!-- table: toys -->\n<!-- end of table -->", {})).toThrow(/no table "toys"/);
  });
});

describe("a new command", () => {
  it("runs, is in the help, and is suggested for a misspelt one", async () => {
    expect(await run("toycommand", "--toy-flag")).toEqual({ code: 0, out: "toy true\n", err: "" });
    expect((await run("--help")).out).toMatch(/^ {2}toycommand +Does nothing\.$/m);
    expect((await run("help", "toycommand")).out).toContain("--toy-flag");
    const { code, err } = await run("toycomand");
    expect(code).toBe(2);
    expect(err).toMatch(/unknown command "toycomand" \(did you mean "toycommand"\?\)/);
  });
});

describe("a new model family", () => {
  const families = [...FAMILIES, family as ModelFamily];

  it("makes its models, and is suggested for a misspelt one", () =>
    tidy(() => {
      using model = createModelOf(families, "toynet", { toyWidth: 6 });
      expect(model.forward(rand([2, 1, 8, 8])).sizes).toEqual([2, 10]);
      expect(() => createModelOf(families, "toynat")).toThrow(/unknown model "toynat" \(did you mean "toynet"\?\)/);
    }));

  it("recognises its weights, and is suggested for similar weights", () =>
    tidy(() => {
      using model = createModelOf(families, "toynet", { toyWidth: 6 });
      const weights = model.stateDict();
      expect(recognise(weights, families)).toMatchObject({ name: "toynet", options: { toyWidth: 6 } });
      const others = new Map([...weights].map(([name, value]) => [name.replace("out.", "exit."), value]));
      expect(nearestArchitecture(others, families)).toMatch(
        /the known architectures are simple-cnn; .*; toynet; the nearest is toynet: 2 of its 4 names occur/,
      );
    }));

  it("has a row in the table of models", () => {
    const images = { imageSize: 28, inChannels: 1, numClasses: 10 };
    expect(modelTable(["toynet"], images, families)).toMatch(/toynet +0\.09 k +\d.* 28x28 +toyconv/);
  });
});

describe("a new feature", () => {
  it("may be a data set with its own options", async () => {
    const seen: object[] = [];
    const split = splitOf(zeros([4, 1, 8, 8], { dtype: "uint8" }), tensor([0n, 1n, 0n, 1n]));
    const load = async (options: object) => {
      seen.push(options);
      return { ...split, name: "toyset" as never, train: split, test: split };
    };
    const sets = registryOf<NamedDataset>([...(FEATURES.datasets as never), { ...dataset, load }]);
    const options = { toyGrey: 1 } as DatasetOptions;
    expect((await loadDatasetOf(sets, "toyset", options)).train.numClasses).toBe(2);
    expect(seen).toEqual([options]);
    await expect(loadDatasetOf(sets, "toyset", { imageSize: 8 })).rejects.toThrow(/imageSize is for .* folder and csv/);
    await expect(loadDatasetOf(sets, "mnist", options)).rejects.toThrow(
      /toyGrey is for the data sets toyset, and mnist/,
    );
    await expect(loadDatasetOf(sets, "toyzet")).rejects.toThrow(/, "toyset", got "toyzet" \(did you mean "toyset"\?\)/);
  });

  it("may be a distance", () => {
    const known = registryOf([{ name: "toydistance", distance: l1 }]);
    expect(distanceIn(known, "toydistance", "f")).toBe(l1);
    expect(() => distanceIn(known, "toydistence", "f")).toThrow(/f: distance must be "toydistance" or .*did you mean/);
  });

  it("may be a baseline", () => {
    const [description] = FEATURES_WITH_TOYS.baselines.slice(-1);
    if (description === undefined) throw new Error("there is no baseline");
    const known = registryOf([{ ...description, term: () => tensor(3) }]);
    expect(baselineLossOf(known, "toybaseline", {} as BaselineInput).item()).toBe(3);
    expect(() => baselineLossOf(known, "toybasline", {} as BaselineInput)).toThrow(/did you mean "toybaseline"\?/);
  });

  it("may be an optimizer or a schedule", () => {
    const weight = rand([2]).requiresGrad_();
    const create = () => new SGD([weight], { lr: 1 });
    const optimizers = registryOf([{ name: "toyopt", create }]);
    expect(optimizerNamed("toyopt", optimizers).create([], {} as never)).toBeInstanceOf(SGD);
    expect(() => optimizerNamed("toyop", optimizers)).toThrow(/unknown optimizer "toyop" \(did you mean "toyopt"\?\)/);
    const schedules = registryOf([{ name: "toysched", create: () => constant(5) }]);
    expect(scheduleNamed("toysched", schedules).create({ lr: 1, minLr: 0, steps: 1 })(0)).toBe(5);
    expect(() => scheduleNamed("toyshed", schedules)).toThrow(
      /unknown schedule "toyshed" \(did you mean "toysched"\?\)/,
    );
  });

  it("may be a CAM method, in any spelling", () =>
    tidy(() => {
      const toy: NamedMethod = {
        name: "ToyCAM",
        kind: "layer",
        needsGradients: false,
        terms: ({ activations }) => ({ summands: activations }),
      };
      const known = registryOf<NamedMethod>([...METHOD_REGISTRY.items, toy]);
      using model = new ToyNet();
      const images = rand([2, 1, 8, 8]);
      const { maps } = explainBy(known, model, images, { method: ["toy-cam", "GradCAM"] });
      expect(Object.keys(maps)).toEqual(["ToyCAM", "GradCAM"]);
      expect(() => explainBy(known, model, images, { method: "ToyCAN" })).toThrow(/did you mean ToyCAM\?/);
      expect(() => explain(model, images, { method: "ToyCAM" })).toThrow(/unknown explanation method "ToyCAM"/);
    }));
});

describe("explain", () => {
  it("has the maps of several methods under the requested names, also in its type", () =>
    tidy(() => {
      using model = new ToyNet();
      const { maps } = explain(model, rand([2, 1, 8, 8]), { method: ["GradCAM", "EigenCAM"] });
      expectTypeOf(maps).toEqualTypeOf<Record<"GradCAM" | "EigenCAM", Tensor>>();
      expect(maps.EigenCAM.sizes).toEqual([2, 8, 8]);
      const { maps: spelt } = explain(model, rand([2, 1, 8, 8]), { method: ["grad-cam"] });
      expectTypeOf(spelt.GradCAM).toEqualTypeOf<Tensor | undefined>();
      expect(spelt.GradCAM?.sizes).toEqual([2, 8, 8]);
      // @ts-expect-error ScoreCAM was not asked for
      expect(maps.ScoreCAM).toBeUndefined();
    }));
});
