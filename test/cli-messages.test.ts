import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { saveSafetensors } from "../src/io/index.ts";
import { createModel } from "../src/models/index.ts";
import { manualSeed } from "../src/tensor/index.ts";
import { train } from "../src/train.ts";
import { cli } from "./support/cli.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

// The messages for mistakes in flags and files: each must say what was expected, what came, and what to do.

const folder = temporaryFolder("messages");
const before = process.cwd();

beforeAll(async () => {
  process.chdir(folder);
  for (const [label, name] of ["bird", "cat", "dog"].entries()) {
    mkdirSync(join("photos", name), { recursive: true });
    for (let image = 0; image < 6; image++)
      await sharp({
        create: { width: 16, height: 16, channels: 3, background: { r: 80 * label, g: 40 * image, b: 9 } },
      })
        .png()
        .toFile(join("photos", name, `${image}.png`));
  }
  cpSync("photos", "fewer", { recursive: true });
  rmSync(join("fewer", "cat", "0.png"));
  cpSync("photos", "hollow", { recursive: true });
  mkdirSync(join("hollow", "empty"));
  cpSync("photos", "damaged", { recursive: true });
  writeFileSync(join("damaged", "cat", "bad.png"), "no image");
  mkdirSync("nothing");
  writeFileSync("text.txt", "hello\n");
  writeFileSync("two.txt", "a\nb\n");
  writeFileSync("columns.csv", "foo,bar\n1,2\n");
  writeFileSync("broken.npz", "no archive");
  writeFileSync("broken.pth", "no weights");
  writeFileSync("broken.yaml", "a: [1\n");
  writeFileSync("indent.yaml", "lr: 1\n  epochs: 3\n");
  writeFileSync("grid.yaml", "dataset: [mnist]\nepochs: 1\n");
  writeFileSync("typo.yaml", "epoch: 3\n");
  writeFileSync("types.yaml", "batchSize: -1\n");
  await train({
    ...{ dataset: "folder", dataDir: "photos", imageSize: 16, epochs: 1, threads: 1, figures: false },
    ...{ output: "runs", experiment: "one", head: "gap", plain: true },
  });
  await otherRuns();
  manualSeed(1);
  using resnet = createModel("resnet18", { numClasses: 3, width: 16, stem: "small" });
  await saveSafetensors("resnet.safetensors", resnet.stateDict());
}, 120_000);

afterAll(() => {
  process.chdir(before);
});

/** Copies of the run with missing data, with a damaged config, with weights of another network, and without its first epoch. */
async function otherRuns(): Promise<void> {
  for (const name of ["moved", "damaged", "foreign", "begun"])
    cpSync(join("runs", "one"), join("runs", name), { recursive: true });
  for (const file of ["config.json", "data.json"]) {
    const path = join("runs", "moved", file);
    writeFileSync(path, readFileSync(path, "utf8").replaceAll("photos", "elsewhere"));
  }
  writeFileSync(join("runs", "damaged", "config.json"), "{");
  rmSync(join("runs", "begun", "checkpoints"), { recursive: true });
  using other = createModel("simple-cnn", { numClasses: 3, inChannels: 3, head: "gap", norm: "batch" });
  await saveSafetensors(join("runs", "foreign", "checkpoints", "best.safetensors"), other.stateDict());
}

async function answer(line: string): Promise<{ code: number; err: string }> {
  const argv = Array.from(line.matchAll(/'([^']*)'|\S+/g), ([word, quoted]) => quoted ?? word);
  return await cli(...argv);
}

const OWN = "--dataset folder --data-dir photos --image-size 16 --experiment x";

/** A command line, and a pattern that its message must match. */
const TABLE: readonly (readonly [string, RegExp])[] = [
  [
    "train --data-dir photos",
    /photos: has neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz.*photos contains images: .*--dataset folder$/,
  ],
  ["train --data-dir columns.csv", /columns\.csv is a CSV file: .*--dataset csv$/],
  ["train --data-dir nowhere", /nowhere: the folder does not exist; .*--data-dir/],
  ["find-lr --data-dir photos", /^batch-cam: find-lr: .*give --dataset folder$/],
  ["train --dataset folder", /--data-dir is missing; give the folder/],
  [
    "train --dataset folder --data-dir nowhere",
    /train: folder: nowhere: cannot be read \(no such file or directory\); give a/,
  ],
  ["train --dataset folder --data-dir text.txt", /text\.txt: cannot be read \(not a directory\)/],
  ["train --dataset folder --data-dir nothing", /nothing: needs a subfolder for each of two classes or more, got no/],
  [
    "train --dataset folder --data-dir hollow",
    /hollow\/empty: contains no images: .*found no file; put images .*or remove/,
  ],
  [
    "train --dataset folder --data-dir damaged",
    /cat\/bad\.png: is not an image .*leave them out with --bad-images skip$/,
  ],
  ["train --dataset csv --data-dir columns.csv", /columns\.csv: lacks the column path and label; its header is/],
  ["train --dataset csv --data-dir photos", /photos: expected a regular file, got a folder; give a CSV file/],
  ["train --dataset npz --data-dir broken.npz", /broken\.npz: expected a zip archive/],
  ["train --dataset npz --data-dir photos", /photos: expected an \.npz file, got a folder; name a file in it$/],
  ["train --dataset foldr", /--dataset must be one of .*got "foldr" \(did you mean "folder"\?\)/],
  [
    "train photos",
    /unexpected argument "photos": it contains images, which --dataset folder --data-dir photos would use$/,
  ],
  ["train folder", /unexpected argument "folder": use --dataset folder to choose a data set$/],
  ["train --data photos", /unknown flag --data \(did you mean --dataset or --data-dir or --data-seed\?\)/],
  [`train ${OWN} --cam-layer nope`, /train: --cam-layer: the model has no layer "nope"; the nearest are/],
  [`find-lr ${OWN.replace(" --experiment x", "")} --cam-layer nope`, /find-lr: --cam-layer: the model has no layer/],
  [`train ${OWN} --head gap --cam-layer fc`, /train: --cam-layer: fc gives \[1, 3\], which is not a map/],
  [`train ${OWN} --freeze nope`, /train: --freeze: the model has no layer "nope"/],
  [
    `train ${OWN} --width 8`,
    /train: --width is for resnet18 and resnet34, and simple-cnn does not have it: leave it out$/,
  ],
  [`train ${OWN} --weights nowhere.pth`, /--weights: cannot read nowhere\.pth: no such file or directory$/],
  [`train ${OWN} --weights broken.pth`, /--weights: broken\.pth: expected weights as safetensors or of torch\.save/],
  [`train ${OWN} --weights photos`, /--weights: photos is a folder without weights: expected/],
  [
    `train ${OWN} --weights resnet.safetensors`,
    /resnet\.safetensors: the weights are those of another network: give --model resnet18 --width 16 --stem small to train that one\. The mismatch: /,
  ],
  [
    `train ${OWN} --model resnet18 --weights resnet.safetensors`,
    /resnet\.safetensors: the weights are those of another network: give --width 16 to train that one\. The mismatch: /,
  ],
  [
    `train ${OWN} --model resnet18 --width 16 --stem imagenet --weights resnet.safetensors`,
    /: give --stem small to train that one\. The mismatch: .*conv1\.weight is /,
  ],
  [`train ${OWN} --mean 0.1,0.2 --std 1,1`, /train: --mean: 2 numbers were given for images of 3 channels: give one/],
  [`train ${OWN} --mean 0.1`, /--std must be given together with --mean, got nothing$/],
  [`train ${OWN} --val-images 100`, /--val-images is 100, but there are only \d+ training images: hold out fewer/],
  [`train ${OWN} --baseline rrr`, /--baseline: rrr needs masks, and folder has none: /],
  ["train --plain --lambda-batch 1", /--lambda-batch must be 0 or left out with --plain, got 1$/],
  ["train --min-lr 1", /--min-lr must be at most --lr \(0\.001\), got 1$/],
  ["train --nesterov", /--nesterov must be false with --opt "adam"/],
  ["find-lr --lr-from 1 --lr-to 0.1", /--lr-to must be above --lr-from \(1\), got 0\.1$/],
  [
    `train ${OWN.replace(/x$/, "one")}`,
    /runs\/one already contains a run: give --resume .* --overwrite .* --experiment NAME/,
  ],
  [`train ${OWN} --output text.txt`, /cannot make the folder text\.txt\/x: file already exists; choose a path/],
  ["train --resume nowhere", /--resume: there is no run in nowhere \(it has no config\.json\); name a run directory$/],
  [
    "train --resume runs/damaged",
    /--resume: cannot read runs\/damaged\/config\.json: .*; restore it, or start a new run$/,
  ],
  [
    "train --resume runs/moved",
    /--resume: the data of the run .* are not at .*elsewhere.*give their present path with --data-dir$/,
  ],
  ["train --resume runs/one --data-dir fewer", /1 image gone \(cat\/0\.png\)\. .*--data-dir, .*--accept-new-data$/],
  ["train --resume runs/one --lr 0.1", /but these differ: --lr \(the run has 0\.001, got 0\.1\)/],
  ["train --config broken.yaml", /train: broken\.yaml: malformed YAML at line 2/],
  ["train --config typo.yaml", /unknown option epoch in typo\.yaml \(did you mean "epochs"\?\)/],
  ["train --config types.yaml", /batchSize in types\.yaml must be a whole number, above 0, got -1$/],
  ["train --config photos", /--config: "photos" must end in \.yaml, \.yml or \.json$/],

  ["evaluate nope", /nope is not a finished run: there is no such folder; name a run directory/],
  ["evaluate runs/on", /runs\/on is not a finished run: there is no such folder \(did you mean runs\/one\?\)/],
  ["evaluate runs", /runs is not a finished run: .*it contains the runs .*runs\/one/],
  ["evaluate text.txt", /text\.txt is not a run: it is a file; name a run directory/],
  ["evaluate resnet.safetensors", /resnet\.safetensors is not in a run directory \(there is no config\.json\)/],
  ["evaluate runs/one/checkpoints", /it is a folder inside the run runs\/one$/],
  [
    "evaluate runs/one/checkpoints/bset.safetensors",
    /no such file \(did you mean runs\/one\/checkpoints\/best\.safetensors\?\)/,
  ],
  ["evaluate runs/begun", /it has no runs\/begun\/checkpoints\/best\.safetensors, .* train --resume runs\/begun`$/],
  ["evaluate runs/damaged", /runs\/damaged\/config\.json cannot be read .*: restore it, or name another run$/],
  [
    "evaluate runs/foreign",
    /foreign\/checkpoints\/best\.safetensors does not belong to its run: .*missing.*; restore the file/,
  ],
  ["evaluate runs/moved", /are not at .*elsewhere.*; give their present path with --data-dir$/],
  ["evaluate runs/one --data-dir nowhere", /nowhere: cannot be read \(no such file or directory\)/],
  [
    "evaluate runs/one --method gradcm",
    /evaluate: --method: unknown explanation method "gradcm"; did you mean GradCAM\?/,
  ],
  ["report nope", /report: nope does not exist: name the results folder of a grid, or a run directory$/],
  [
    "report text.txt/run",
    /report: text\.txt\/run does not exist: name the results folder of a grid, or a run directory$/,
  ],
  ["train --data-dir text.txt/photos", /text\.txt\/photos: the folder does not exist; .*--data-dir/],
  ["evaluate text.txt/run", /text\.txt\/run is not a finished run: there is no such folder/],
  ["report runs", /is neither a grid's results folder .*; it contains the runs .*runs\/one/],
  ["report runs/moved", /^batch-cam: report: the data of the run runs\/moved .*--data-dir$/],
  ["report runs/one --data-dir fewer", /^batch-cam: report: the images of fewer .*with --accept-new-data$/],

  [
    "explain nowhere.png --run runs/one",
    /explain: nowhere\.png: cannot be read \(no such file or directory\); name an image/,
  ],
  [
    "explain nothing --run runs/one",
    /explain: nothing: contains no images: .*name an image file, or a folder that contains images$/,
  ],
  ["explain text.txt --run runs/one", /explain: text\.txt: is not an image that can be read, but text/],
  ["explain text.txt --run runs/one --bad-images skip", /none of the files can be read: text\.txt: is not an image/],
  ["explain photos --run nope", /nope is not a finished run: there is no such folder/],
  ["explain photos --run runs/one --layer nope", /explain: --layer: the model has no layer "nope"; the nearest/],
  [
    "explain photos --run runs/one --layer fc",
    /explain: --layer fc gives .*which is not a map.*: choose a layer before the head$/,
  ],
  [
    "explain photos --run runs/one --target dg",
    /--target must be .*got "dg" \(did you mean "dog"\?\); the classes are bird, cat, dog$/,
  ],
  ["explain photos --run runs/one --target wolf", /got "wolf"; the classes are bird, cat, dog$/],
  ["explain photos --run runs/one --target 7", /--target must be a class from 0 to 2, got 7$/],
  ["explain photos --run runs/one --target kth:9", /--target kth:K must have a K from 1 to 3, .*got "kth:9"$/],
  [
    "explain photos --run runs/one --class-names nowhere.txt",
    /--class-names: nowhere\.txt: cannot be read \(no such file/,
  ],
  [
    "explain photos --run runs/one --class-names two.txt",
    /--class-names: two\.txt contains 2 names, but the model has 3 classes/,
  ],
  ["explain photos --run runs/one --class-names photos/cat/0.png", /--class-names: photos\/cat\/0\.png: is not text/],
  ["explain photos --weights resnet.safetensors --class-names two.txt", /--class-names: two\.txt contains 2 names/],
  [
    "explain photos --weights resnet.safetensors --model simple-cnn",
    /of resnet18, not of simple-cnn: .*give --model resnet18$/,
  ],
  [
    "explain photos --weights resnet.safetensors --mean 1,2 --std 1,1",
    /--mean must have a number for each channel, got 2/,
  ],
  ["explain photos --weights resnet.safetensors --mean 1", /--std must be given together with --mean$/],
  ["explain photos --weights runs/one/prototypes.safetensors", /prototypes\.safetensors: no model for these weights: /],
  ["explain photos --weights broken.pth", /explain: --weights: broken\.pth: expected weights/],
  [
    "explain photos --run runs/one --max-pixels 10",
    /more than --max-pixels 10; .*make large ones smaller or allow more with --max-pixels, or leave them out with --bad-images skip$/,
  ],
  ["explain photos --run runs/one --method Saliency --eigen-smooth", /Saliency does not support --eigen-smooth/],

  ["data photos", /NAME "photos" contains images .*: write `batch-cam data folder --data-dir photos`$/],
  ["data ./columns.csv", /write `batch-cam data csv --data-dir \.\/columns\.csv`$/],
  ["data ./nowhere", /there is no file or folder at that path: write `batch-cam data folder --data-dir FOLDER`/],
  ["data foldr", /NAME must be one of .*got "foldr" \(did you mean "folder"\?\)$/],
  ["data mnist --data-dir photos", /photos contains images: to load that, give folder for NAME$/],
  ["data folder --data-dir photos --picture photos", /cannot write photos: illegal operation on a directory; choose/],
  [
    "compare grid.yaml",
    /compare: grid\.yaml: dataset \(did you mean "datasets"\?\) is a train option: .*; epochs is a train/,
  ],
  ["compare types.yaml", /batchSize is a train option: put it under base$/],
  ["compare --datasets folder --list", /datasets, "folder": dataDir is missing: .*--set data-dir=PATH/],
  ["demo --output text.txt", /cannot read text\.txt\/demo\.json: not a directory$/],
  ["models --model resnet81", /\(did you mean "resnet18"\?\)$/],
  ["doctor extra", /unexpected argument "extra"; see --help$/],
  ["setup --foo", /unknown flag --foo; see `batch-cam setup --help`$/],
  [
    "find-lr --epochs 1",
    /unknown flag --epochs of find-lr \(it is a flag of train\).*; see `batch-cam find-lr --help`$/,
  ],
  ["evaluate runs/one --limit-test 8", /unknown flag --limit-test of evaluate \(it is a flag of train\b/],
  ["data --output dd", /unknown flag --output of data \(it is a flag of train\).*; see `batch-cam data --help`$/],
  ["compare --preset nope", /--preset must be one of "ablation", .*, got "nope"$/],
  ["compare --objectives nope", /--objectives must be one of "plain", "prototype", "batch-cam", "both", got "nope"$/],
  ["demo --output /proc/x", /no such file or directory; the folder \/proc\/x cannot be created: choose another$/],
  ["train --config indent.yaml", /the indentation or a colon is wrong near line 2 \(Nested mappings/],
];

describe("the message for a mistake", () => {
  it.each(TABLE)("%s", async (line, message) => {
    const { code, err } = await answer(line);
    const [command = ""] = line.split(" ");
    const said = err.split("\n").filter((text) => text !== "" && !text.startsWith("warning: "));
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(message);
    expect(said[0]?.startsWith(`batch-cam: ${command}: `)).toBe(true);
    // The message must not name functions or options of the library, such as loadDataset or camLayer. Only keys of a config file look like that.
    if (!/^compare|--config/.test(line)) expect(said[0]).not.toMatch(/(?<![\w/."`-])[a-z]+[A-Z]\w*(?=[\s:,.]|$)/);
    expect(code).toBe(2);
  });

  it("lists only the most similar of many class names", async () => {
    const many = Array.from({ length: 200 }, (_, label) => `class ${label}`);
    const { targetOf } = await import("../src/cli/explain/plan.ts");
    expect(() => targetOf("clas 150", many)).toThrow(
      /did you mean "class 150"\?\); the classes are class 150, .* and 188 more$/,
    );
  });
});
