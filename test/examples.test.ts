import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { saveSafetensors } from "../src/io/index.ts";
import { createModel } from "../src/models/index.ts";
import { drawClass } from "./support/image-folder.ts";
import { ROOT, textOf } from "./support/markdown.ts";
import { runNode } from "./support/node-process.ts";
import { temporaryFolderInPackage } from "./support/temporary-folder.ts";

const EXAMPLES = readdirSync(join(ROOT, "examples"));
const folder = temporaryFolderInPackage("examples");

/** For each example, arguments that make it quick, and a pattern for its output. */
const CALLS: Record<string, { args: string[]; prints: RegExp }> = {
  "train-on-a-folder": {
    args: ["photos", "1"],
    prints: /^epoch 1: validation accuracy [\d.]+\ntest accuracy [\d.]+; the weights are in runs\/my-images\//,
  },
  "train-your-model": {
    args: ["1"],
    prints: /^epoch 1: \d\.\d+ right, modestLogits \d\.\d+\ntest accuracy \d\.\d+; runs\/bars\/report\.html\n$/,
  },
  "guide-by-prototypes": {
    args: ["320"],
    prints: /^plain: accuracy .*\nguided: .*\nguided by wrong prototypes: .*\n$/,
  },
  "explain-one-image": {
    args: ["photos/cat/0.png", "weights.safetensors", "map.png"],
    prints: /^class [0-2]; map\.png shows where\n$/,
  },
  "explain-your-model": {
    args: [],
    prints: /^accuracy (9\d(\.5)?|100) %, maps of act2\n(\w+: \d+ % of the map.*\n){3}$/,
  },
  "evaluate-maps": {
    args: ["10", "8"],
    prints: /^3 of \d+ methods, 8 images\n((GradCAM|LayerCAM|ScoreCAM|noise): deletion \d\.\d+ .*\n){4}$/,
  },
  "custom-distance": { args: ["4"], prints: /^step 4: distance [01]\.\d+\n$/ },
  "custom-model": { args: [], prints: /^5475 parameters, maps of 4x8x8, \|gradient\| [\d.e-]+\n$/ },
  "own-training-loop": {
    args: ["own.safetensors", "2", "320"],
    prints: /^(epoch \d: validation accuracy \d\.\d+\n){2}best \d\.\d+; its weights are in own\.safetensors\n$/,
  },
};

beforeAll(async () => {
  for (const name of EXAMPLES) writeFileSync(join(folder, name.replace(".ts", ".mts")), textOf(`examples/${name}`));
  const compilerOptions = { module: "nodenext", target: "es2023", noCheck: true, skipLibCheck: true };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
  expect(await runNode([compiler, "-p", "."], { cwd: folder })).toMatchObject({ code: 0, out: "" });
  for (const name of ["bird", "cat", "dog"]) await drawClass(join(folder, "photos"), name, { count: 12 });
  using model = createModel("resnet18", { numClasses: 3 });
  await saveSafetensors(join(folder, "weights.safetensors"), model.stateDict());
});

describe("the examples", () => {
  it.each(EXAMPLES)("%s runs with the command of its first lines", async (file) => {
    const name = file.replace(".ts", "");
    const { args, prints } = CALLS[name] ?? { args: [], prints: /a call of it is missing in this test/ };
    const env = { BATCH_CAM_CACHE: join(folder, "cache") };
    const { code, out, err } = await runNode([`${name}.mjs`, ...args], { cwd: folder, env });
    expect({ code, failed: /Error/.test(err) }, err).toEqual({ code: 0, failed: false });
    expect(out).toMatch(prints);
    expect(readFileSync(join(ROOT, "examples", file), "utf8")).toContain(`//   node examples/${file}`);
  });

  it("write the files that they announce", () => {
    for (const file of [
      "map.png",
      "own.safetensors",
      "runs/my-images/checkpoints/best.safetensors",
      "runs/bars/report.html",
    ])
      expect(existsSync(join(folder, file)), file).toBe(true);
  });

  it("are all listed in docs/library.md", () => {
    const page = textOf("docs/library.md");
    for (const file of EXAMPLES) expect(page).toContain(`(../examples/${file})`);
  });
});
