import { copyFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { loadSafetensors, saveSafetensors } from "../src/io/index.ts";
import { loadExportedModel } from "../src/models/index.ts";
import { noGrad } from "../src/tensor/index.ts";
import { train } from "../src/train.ts";
import { cli } from "./support/cli.ts";
import { drawClass } from "./support/image-folder.ts";
import { BIN, runNode } from "./support/node-process.ts";
import { changedProgram, type Json } from "./support/program-file.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const FIXTURES = join(import.meta.dirname, "fixtures/exported");
/** Takes 3x20x20 and gives 5 classes. */
const BRANCHES = join(FIXTURES, "own_branches.pt2");
const VIT = join(FIXTURES, "timm_vit.pt2");
/** Takes 3x8x8 and gives 3 classes. */
const THREE = join(FIXTURES, "tiny-2.11.pt2");

let folder: string;
let images: string;
let model: string;
const train3 = (...more: string[]) =>
  cli(
    ...["train", "--model", model, "--dataset", "folder", "--data-dir", images, "--output", join(folder, "runs")],
    ...["--epochs", "2", "--batch-size", "8", "--threads", "1", ...more],
  );

beforeAll(async () => {
  folder = temporaryFolder("exported");
  images = join(folder, "images");
  model = join(folder, "mine.pt2");
  copyFileSync(BRANCHES, model);
  for (const name of ["bird", "cat", "dog"]) await drawClass(images, name, { count: 20 });
});

/** A folder with few images of three classes. */
async function fewImages(): Promise<string> {
  const few = join(folder, "few");
  if (!existsSync(few)) for (const name of ["bird", "cat", "dog"]) await drawClass(few, name, { count: 12 });
  return few;
}

/** A file whose model takes exactly this number of images. */
const forBatchesOf = (count: number): Promise<string> =>
  changedProgram(folder, (json) => {
    const text = JSON.stringify(json.graph_module).replaceAll(
      /\{"as_expr":\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}\}/g,
      `{"as_int":${count}}`,
    );
    json.graph_module = JSON.parse(text);
  });

describe("training an exported model on a folder of images", () => {
  it("takes the size and channels of the images from the file, and replaces the last layer for the data's classes", async () => {
    const { code, err } = await train3("--experiment", "guided");
    expect(code, err).toBe(0);
    expect(err).toContain("mine has 5 classes, and the data have 3: fc was replaced by a new layer");
    expect(err).toMatch(/^note: normalization: .*ImageNet's/m);
    expect(err).toMatch(/^note: model: mine has 5 classes/m);
    const config = JSON.parse(readFileSync(join(folder, "runs/guided/config.json"), "utf8"));
    expect(config).toMatchObject({ model, imageSize: 20, imageChannels: 3 });
    const record = JSON.parse(readFileSync(join(folder, "runs/guided/model.json"), "utf8"));
    expect(record).toMatchObject({ file: model, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(readFileSync(join(folder, "runs/guided/model.pt2"))).toEqual(readFileSync(model));
  });

  it.each<[string, (path: string) => void, RegExp]>([
    ["is replaced", (path) => copyFileSync(VIT, path), /brief\.pt2 has changed since it was read: start the run again/],
    ["is removed", (path) => rmSync(path), /brief\.pt2 cannot be read any more \(.*since it was read: start/],
  ])("refuses to begin if the file %s while the run is set up", async (_, change, message) => {
    const brief = join(folder, "brief.pt2");
    copyFileSync(BRANCHES, brief);
    let done = false;
    const onEvent = () => {
      if (!done) change(brief);
      done = true;
    };
    const given = { model: brief as `${string}.pt2`, dataset: "folder", dataDir: images, output: folder } as const;
    const options = { experiment: "brief", plain: true, epochs: 1, overwrite: true } as const;
    await expect(train({ ...given, ...options }, { onEvent })).rejects.toMatchObject({
      code: "E_IO",
      message: expect.stringMatching(message),
    });
  });

  it("refuses a file for a fixed number of images before the run begins", async () => {
    const fixed = await forBatchesOf(2);
    const { code, err } = await cli(
      "train",
      "--model",
      fixed,
      "--dataset",
      "folder",
      "--data-dir",
      images,
      "--experiment",
      "fixed",
      "--output",
      folder,
    );
    expect(err).toMatch(
      /train: --model: .* was exported for exactly 2 images at a time, .* batch-cam export-recipe prints how/,
    );
    expect(code).toBe(2);
    expect(existsSync(join(folder, "fixed/config.json"))).toBe(false);
  });

  it.each(["64", "32"])("refuses an image size of %s that was given, also where it is the default", async (size) => {
    const data = ["--dataset", "folder", "--data-dir", images, "--image-size", size, "--threads", "1"];
    for (const command of [["train", "--output", join(folder, "sized")], ["evaluate"]]) {
      const { code, err } = await cli(...command, "--model", model, ...data);
      expect(err).toContain("was exported for 3x20x20 (channels x height x width), and the data set gives");
      expect(err).toContain(`gives 3x${size}x${size}: leave --image-size and --image-channels out`);
      expect(code).toBe(2);
    }
  });

  it("refuses a model for images that are not square, to which a folder's images are not resized", async () => {
    const wide = await changedProgram(folder, (json) => {
      const { tensor_values: values } = json.graph_module.graph;
      for (const { sizes } of Object.values<Json>(values))
        if (sizes.length === 4 && sizes[3].as_int === 8) sizes[3].as_int = 16;
    });
    const data = ["--model", wide, "--dataset", "folder", "--data-dir", images, "--threads", "1"];
    for (const command of [["train", "--output", join(folder, "wide")], ["evaluate"], ["find-lr"]]) {
      const { code, err } = await cli(...command, ...data);
      expect(err).toMatch(
        /--model: .*changed\.pt2 was exported for images of 8x16 .* are made square: export the model/,
      );
      expect(code).toBe(2);
    }
    const { code, err } = await cli(
      "explain",
      join(images, "dog/1.png"),
      "--model",
      wide,
      "--output",
      join(folder, "w"),
    );
    expect(code, err).toBe(0);
  });

  it("refuses weights that are not finite by their name, and leaves no folder behind", async () => {
    const ill = join(folder, "ill.safetensors");
    const loaded = await loadExportedModel(model);
    const state = loaded.stateDict();
    const key = [...state.keys()].find((name) => name.endsWith("running_var")) as string;
    noGrad(() => state.get(key)?.fill_(Number.NaN));
    await saveSafetensors(ill, state);
    loaded.dispose();
    for (const kind of [[], ["--plain"]]) {
      const { code, err } = await train3("--experiment", "ill", "--weights", ill, ...kind);
      expect(err).toContain(`ill.safetensors: ${key} has values that are NaN or infinite`);
      expect(err).not.toMatch(/--lr|--lambda-warmup/);
      expect(code).toBe(2);
    }
    expect(existsSync(join(folder, "runs/ill"))).toBe(false);
  });

  it("names the file and the folder of images in the title of the report, without their paths", () => {
    const page = readFileSync(join(folder, "runs/guided/report.html"), "utf8");
    expect(page).toContain("Batch-CAM: mine on images, guided");
  });

  it("names the run by the file, and trains without guidance too", async () => {
    const { code, err } = await train3("--plain");
    expect(code, err).toBe(0);
    expect(existsSync(join(folder, "runs/mine-images-plain-seed0/checkpoints/best.safetensors"))).toBe(true);
  });

  it("writes checkpoints under PyTorch's names, with every entry of the state dict", async () => {
    const saved = await loadSafetensors(join(folder, "runs/guided/checkpoints/best.safetensors"));
    using own = await loadExportedModel(model);
    expect([...saved.keys()].sort()).toEqual([...own.stateDict().keys()].sort());
    expect(saved.get("fc.weight")?.sizes[0]).toBe(3);
  });

  it("resumes, evaluates and explains a run that was moved, without the original file", async () => {
    const moved = join(folder, "elsewhere");
    renameSync(join(folder, "runs/guided"), moved);
    renameSync(model, `${model}.away`);
    const resumed = await cli("train", "--resume", moved, "--epochs", "3");
    expect(resumed.code, resumed.err).toBe(0);
    const judged = await cli("evaluate", moved, "--limit", "6", "--steps", "2", "--no-randomise");
    expect(judged.code, judged.err).toBe(0);
    const picture = join(images, "cat/1.png");
    const explained = await cli("explain", "--run", moved, picture, "--output", join(folder, "maps"));
    expect(explained.code, explained.err).toBe(0);
    renameSync(`${model}.away`, model);
  });

  it("refuses a run whose copy of the file was changed or removed", async () => {
    const copy = join(folder, "elsewhere/model.pt2");
    copyFileSync(VIT, copy);
    const changed = await cli("evaluate", join(folder, "elsewhere"));
    expect(changed.code).not.toBe(0);
    expect(changed.err).toContain("is not the file that the run began with");
    rmSync(copy);
    const missing = await cli("train", "--resume", join(folder, "elsewhere"), "--epochs", "4");
    expect(missing.err).toContain("model.pt2 cannot be read");
    copyFileSync(BRANCHES, copy);
    writeFileSync(join(folder, "elsewhere/model.json"), "{");
    expect((await cli("evaluate", join(folder, "elsewhere"))).err).toContain("model.json");
  });

  it("begins again with the run's own copy, which is neither lost nor looked for elsewhere", async () => {
    const own = join(folder, "runs/again/model.pt2");
    expect((await train3("--experiment", "again", "--epochs", "1")).code).toBe(0);
    const replaced = await train3("--model", own, "--experiment", "again", "--epochs", "1", "--overwrite");
    expect(replaced.code, replaced.err).toBe(0);
    expect(readFileSync(own)).toEqual(readFileSync(model));

    rmSync(join(folder, "runs/again/checkpoints"), { recursive: true });
    const config = join(folder, "runs/again/config.json");
    writeFileSync(config, readFileSync(config, "utf8").replace(JSON.stringify(own), '"moved-away.pt2"'));
    const resumed = await cli("train", "--resume", join(folder, "runs/again"));
    expect(resumed.code, resumed.err).toBe(0);
    expect(resumed.err).toContain("starts from the beginning");
    expect(readFileSync(own)).toEqual(readFileSync(model));
  });

  it("trains, resumes and explains a model of float64 in float32", async () => {
    const double = ["--model", join(FIXTURES, "double-2.11.pt2"), "--amp", "on"];
    const { code, err } = await train3(...double, "--experiment", "double", "--epochs", "1");
    expect(code, err).toBe(0);
    const saved = await loadSafetensors(join(folder, "runs/double/checkpoints/best.safetensors"));
    expect(saved.get("0.weight")?.dtype).toBe("float32");
    const resumed = await cli("train", "--resume", join(folder, "runs/double"), "--epochs", "2");
    expect(resumed.code, resumed.err).toBe(0);
    const picture = join(images, "cat/1.png");
    const explained = await cli("explain", ...double.slice(0, 2), picture, "--output", join(folder, "double-maps"));
    expect(explained.code, explained.err).toBe(0);
  });

  it("guides the tokens of a ViT", async () => {
    const config = {
      ...({ model: VIT as `${string}.pt2`, dataset: "folder", dataDir: images, output: join(folder, "vit") } as const),
      ...({ epochs: 1, batchSize: 8, threads: 1, lambdaPrototype: 1 } as const),
    };
    const { history } = await train(config);
    expect(history.at(-1)?.train.prototypeLoss).toBeGreaterThan(0);
  });

  it.each([
    ["images of another number of channels", ["--image-channels", "1"], /was exported for 3x20x20 .* gives 1x20x20/],
    ["another size that was asked for", ["--image-size", "32"], /was exported for 3x20x20 .* gives 3x32x32/],
    ["an option of another model", ["--stem", "small"], /--stem is for resnet18/],
    ["a layer that it does not have", ["--cam-layer", "mixx"], /mix/],
  ])("refuses %s", async (_, flags, message) => {
    const { code, err } = await train3("--experiment", "bad", ...flags);
    expect(code).not.toBe(0);
    expect(err).toMatch(message);
  });

  it("says which file does not exist", async () => {
    const { code, err } = await cli(
      "train",
      "--model",
      join(folder, "none.pt2"),
      "--dataset",
      "folder",
      "--data-dir",
      images,
    );
    expect(code).not.toBe(0);
    expect(err).toMatch(/none\.pt2: no such file/);
  });
});

describe("an exported model without a run", () => {
  const explain = (...flags: string[]) =>
    cli("explain", ...flags, join(images, "dog/1.png"), "--output", join(folder, `maps-${flags.join("").length}`));

  it("is explained with its own weights, and says which layer gives the maps", async () => {
    const { code, out, err } = await explain("--model", VIT, "--method", "GradCAM,LayerCAM");
    expect(code, err).toBe(0);
    expect(out).toMatch(/^1\.png: class \d+ \d+\.\d%$/m);
    expect(out + err).toContain("tokens (N, 1 + 4 x 4, C)");
  });

  it("is explained with weights that were trained here, whatever their number of classes", async () => {
    const weights = join(folder, "elsewhere/checkpoints/best.safetensors");
    const { code, err } = await explain("--model", model, "--weights", weights);
    expect(code, err).toBe(0);
  });

  it("refuses weights of another model, and another size of the images", async () => {
    const weights = join(folder, "elsewhere/checkpoints/best.safetensors");
    const other = await explain("--model", VIT, "--weights", weights);
    expect(other.err).toContain(`${weights} has the weights of another model than ${VIT} (`);
    expect(other.err).not.toMatch(/strict|\{|\}/);
    expect((await explain("--model", VIT, "--image-size", "64")).err).toContain("was exported for images of 32x32");
  });

  it("is evaluated on a data set with its classes, and keeps the record where it is asked to", async () => {
    const weights = join(folder, "three.pt2");
    copyFileSync(THREE, weights);
    const data = ["--dataset", "folder", "--data-dir", images, "--limit", "6", "--steps", "2", "--no-randomise"];
    const out = join(folder, "judged");
    const { code, out: text, err } = await cli("evaluate", "--model", weights, ...data, "--output", out);
    expect(code, err).toBe(0);
    expect(text).toContain("by class: ");
    expect(JSON.parse(readFileSync(join(out, "evaluation.json"), "utf8"))).toMatchObject({ checkpoint: weights });
  });

  it.each([
    [
      "other classes than the data's",
      () => ["--model", BRANCHES, "--dataset", "folder", "--data-dir", images],
      /has 5 classes, and the data have 3/,
    ],
    ["a run beside it", () => [join(folder, "elsewhere"), "--model", BRANCHES], /either a run or --model/],
    ["a data set for a run", () => [join(folder, "elsewhere"), "--dataset", "folder"], /--dataset is only for --model/],
    ["nothing", () => [], /needs RUN, which is missing: .* an exported model with --model/],
  ])("is not evaluated with %s", async (_, flags, message) => {
    const { code, err } = await cli("evaluate", ...flags());
    expect(code).not.toBe(0);
    expect(err).toMatch(message);
  });

  it("is shown as a tree of its maps", async () => {
    const { code, out } = await cli("models", "--model", BRANCHES);
    expect(code).toBe(0);
    expect(out).toContain("logits of 5 classes, by fc");
    expect(out).toMatch(/^mix \* +\[N, 16, 20, 20\]/m);
    expect(out).toMatch(/^ {2}mix\.0 +\[N, 16, 20, 20\]/m);
    expect((await cli("models", BRANCHES)).out).toBe(out);
  });

  it("without maps is explained by methods that need no layer, and every command says why it takes no other", async () => {
    const flat = await changedProgram(folder, (json) => {
      // Only the last linear layer remains a module; the operators before it belong to the model itself.
      const { nodes } = json.graph_module.graph;
      for (const { metadata } of nodes.slice(0, -1)) delete metadata.nn_module_stack;
    });
    const shown = await cli("models", flat);
    expect([shown.code, shown.err]).toEqual([0, ""]);
    expect(shown.out).toMatch(/\ntarget layer: none, as no module gives maps of more than one cell; .*Saliency.*\n$/);
    const methods = "Saliency,IntegratedGradients,SmoothGrad";
    const { code, out, err } = await explain("--model", flat, "--method", methods);
    expect(code, err).toBe(0);
    expect(out).toContain(`changed from ${flat}: Saliency, IntegratedGradients, SmoothGrad\n`);
    const refused = await explain("--model", flat, "--method", "Saliency,LayerCAM");
    expect(refused.err).toMatch(
      /--method LayerCAM needs a layer with maps of more than one cell, and changed has none/,
    );
    const data = ["--model", flat, "--dataset", "folder", "--data-dir", images, "--threads", "1"];
    for (const command of [["train", "--plain", "--output", join(folder, "flat")], ["evaluate"]]) {
      const { code, err } = await cli(...command, ...data);
      expect(err).toMatch(/has no module with maps of more than one cell, which training and evaluating need/);
      expect(code).toBe(2);
    }
    expect(existsSync(join(folder, "flat/changed-images-plain-seed0"))).toBe(false);
  });

  it("for one image at a time explains several images one by one", async () => {
    const { code, out, err } = await explain("--model", await forBatchesOf(1), join(images, "cat"), "--limit", "3");
    expect(code, err).toBe(0);
    expect(out.match(/^\d+\.png: class/gm)).toHaveLength(3);
  });

  const rowsOf = (out: string) => [...out.matchAll(/^ *([\w.]+)(?: \*)? +\[N, /gm)].map(([, path]) => path as string);

  it("is shown in the order in which its modules run, each before those inside it", async () => {
    const { out } = await cli("models", join(FIXTURES, "timm_resnet_bottleneck.pt2"));
    const paths = rowsOf(out);
    const inOrder = (...names: string[]) => expect(paths.filter((path) => names.includes(path))).toEqual(names);
    inOrder(
      "conv1",
      "bn1",
      "act1",
      "maxpool",
      "layer1",
      "layer1.0",
      "layer1.0.conv1",
      "layer1.0.bn1",
      "layer2",
      "layer4",
    );
    expect(new Set(paths).size).toBe(paths.length);
    expect(out).toMatch(/^module that gives maps +output +class$/m);
    expect(out).toMatch(/^conv1 .* Conv2d$/m);
    expect(out).not.toMatch(/\] +maps/);
  });

  it("is shown with the kind of each output if it has tokens", async () => {
    const { out } = await cli("models", VIT);
    expect(out).toMatch(/^module that gives maps +output +kind +class$/m);
    expect(out).toMatch(/^ {2}blocks\.0 .* tokens: 1 \+ 4 x 4 +Block$/m);
    expect(rowsOf(out).indexOf("patch_embed")).toBeLessThan(rowsOf(out).indexOf("blocks"));
  });

  it.each(["train", "find-lr", "evaluate", "explain"])(
    "given to %s as a word, is named as a model",
    async (command) => {
      const { code, err } = await cli(command, "my.pt2");
      expect(code).toBe(2);
      expect(err).toContain(`${command}: "my.pt2" is an exported model: write --model my.pt2\n`);
    },
  );

  it("is evaluated with warnings about the judged split alone, which name flags of the command", async () => {
    const about = async (...split: string[]) => {
      const given = ["--model", THREE, "--dataset", "folder", "--data-dir", await fewImages()];
      return (await cli("evaluate", ...given, "--limit", "2", "--steps", "2", "--no-randomise", ...split)).err;
    };
    const warningsIn = (err: string) => err.split("\n").filter((line) => line.startsWith("warning: "));
    expect(warningsIn(await about())).toEqual([
      expect.stringMatching(/^warning: test has fewer than 5 images of classes .*\(--test-fraction\)/),
    ]);
    const [first, ...others] = warningsIn(await about("--split", "val"));
    expect(first).toMatch(/^warning: val has /);
    expect([first, ...others].join()).not.toMatch(/test|train|val-?images/i);
  });
});

describe("a grid with an exported model", () => {
  it("compares it with and without guidance", async () => {
    const settings = [`dataDir=${images}`, "epochs=1", "batchSize=16"].flatMap((text) => ["--set", text]);
    const grid = ["--models", BRANCHES, "--datasets", "folder", "--objectives", "plain,prototype", "--seeds", "1"];
    const { code, out, err } = await runNode([BIN, "compare", ...grid, ...settings, "--output", join(folder, "grid")]);
    expect(code, err).toBe(0);
    expect(out).toContain("own_branches");
  }, 60_000);
});
