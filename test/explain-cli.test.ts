import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { PNG } from "pngjs";
import sharp from "sharp";
import { beforeAll, describe, expect, it } from "vitest";
import { explain } from "../src/cam/index.ts";
import { main } from "../src/cli/main.ts";
import { loadSafetensors, saveSafetensors } from "../src/io/index.ts";
import { createModel } from "../src/models/index.ts";
import { manualSeed, noGrad, tensor, tidy } from "../src/tensor/index.ts";
import { train } from "../src/train.ts";
import { cli } from "./support/cli.ts";
import { fakeIo } from "./support/fake-terminal.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const folder = temporaryFolder("explain");
const at = (...parts: string[]) => join(folder, ...parts);

const manifestOf = (output: string) => JSON.parse(readFileSync(join(output, "manifest.json"), "utf8"));

beforeAll(async () => {
  await train({
    ...{ limitTrain: 512, limitTest: 60, valImages: 60, epochs: 1, figures: false, threads: 1 },
    ...{ output: folder, experiment: "run" },
  });
  manualSeed(1);
  using resnet = createModel("resnet18", { numClasses: 3, width: 8 });
  await saveSafetensors(at("resnet.safetensors"), resnet.stateDict());
  mkdirSync(at("photos", "more"), { recursive: true });
  const photo = (width: number, height: number) =>
    sharp({ create: { width, height, channels: 3, background: { r: 200, g: 80, b: 20 } } });
  await photo(300, 200).jpeg().withMetadata({ orientation: 6 }).toFile(at("photos", "turned.jpg"));
  await photo(40, 90)
    .png()
    .toFile(at("photos", "more", "tall picture.png"));
  writeFileSync(at("photos", "notes.txt"), "no image");
  writeFileSync(at("broken.png"), "no image either");
}, 120_000);

describe("batch-cam explain", () => {
  it("explains images of a run's split, with pictures, a grid, raw maps and a manifest", async () => {
    const output = at("split");
    const { code, out, err } = await cli(
      ...["explain", "--run", at("run"), "--split", "test", "--limit", "5", "--batch-size", "2"],
      ...["--method", "GradCAM,hires-cam", "--target", "label", "--output", output],
    );
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(/simple-cnn from .*best\.safetensors, layer pool2: GradCAM, HiResCAM/);
    expect(readdirSync(output).sort()).toEqual([
      ".batch-cam-explanation",
      "grid.png",
      "manifest.json",
      "maps.safetensors",
      "overlays",
    ]);
    const { images, methods, layers, model, schemaVersion } = manifestOf(output);
    expect([schemaVersion, methods, layers, model.name]).toEqual([1, ["GradCAM", "HiResCAM"], ["pool2"], "simple-cnn"]);
    expect(images).toHaveLength(5);
    expect(images[0]).toMatchObject({ name: "test 0", file: null, index: 0 });
    expect(images[0].maps.map((map: { target: string }) => map.target)).toEqual([images[0].label, images[0].label]);
    for (const { maps } of images)
      for (const { picture } of maps) expect(PNG.sync.read(readFileSync(join(output, picture))).width).toBe(224);
    const raw = await loadSafetensors(join(output, "maps.safetensors"));
    expect(raw.get("GradCAM")?.shape).toEqual([5, 28, 28]);
    expect(raw.get("HiResCAM")?.max().item()).toBeLessThanOrEqual(1);
  });

  it("explains files and folders with torchvision's weights, upright and at the files' resolution", async () => {
    const output = at("photos-explained");
    writeFileSync(at("names.txt"), "cat\ndog\nowl\n");
    const { code, err } = await cli(
      ...[
        "explain",
        at("photos"),
        "--weights",
        at("resnet.safetensors"),
        "--image-size",
        "64",
        "--class-names",
        at("names.txt"),
      ],
      ...["--method", "LayerCAM", "--raw", "npy", "--target", "owl", "--output", output],
    );
    expect([code, err]).toEqual([0, ""]);
    const { images, model } = manifestOf(output);
    expect(model).toMatchObject({
      name: "resnet18",
      channels: 3,
      imageSize: [64, 64],
      classNames: ["cat", "dog", "owl"],
    });
    expect(images.map(({ name }: { name: string }) => name)).toEqual(["tall picture.png", "turned.jpg"]);
    expect(images[1].notes).toEqual(["turned upright (EXIF orientation 6)"]);
    expect(images[0].maps[0]).toMatchObject({ method: "LayerCAM", target: "owl" });
    const sizes = images.map(({ maps }: { maps: { picture: string }[] }) => {
      const { width } = PNG.sync.read(readFileSync(join(output, maps[0]?.picture as string)));
      return width;
    });
    expect(sizes).toEqual([200, 200]); // 40x90 is cropped to 40x40 and enlarged five times; 300x200 is rotated and cropped to 200x200
    expect(readFileSync(join(output, "LayerCAM.npy")).subarray(1, 6).toString()).toBe("NUMPY");
  });

  it("gives the same maps as `explain` for the same pixels", async () => {
    const output = at("same");
    await cli(
      "explain",
      at("photos", "more"),
      "--weights",
      at("resnet.safetensors"),
      "--image-size",
      "32",
      "--output",
      output,
    );
    const raw = await loadSafetensors(join(output, "maps.safetensors"));
    const weights = await loadSafetensors(at("resnet.safetensors"));
    tidy(() => {
      using model = createModel("resnet18", { numClasses: 3, width: 8 });
      model.loadStateDict(weights);
      const mean = [0.485, 0.456, 0.406];
      const std = [0.229, 0.224, 0.225];
      const pixels = [200, 80, 20].map((value, c) => (value / 255 - (mean[c] as number)) / (std[c] as number));
      const x = tensor(pixels, { shape: [1, 3, 1, 1] })
        .expand([1, 3, 32, 32])
        .contiguous();
      expect(raw.get("GradCAM") as never).toBeAllclose(explain(model, x).maps, { rtol: 0, atol: 1e-4 });
    });
  });

  it("accepts every class, ranks and numbers, and writes only the requested files", async () => {
    const output = at("all");
    const base = ["explain", "--run", at("run"), "--split", "val", "--limit", "2", "--no-overlays", "--output", output];
    expect((await cli(...base, "--target", "all")).code).toBe(0);
    expect(readdirSync(output).sort()).toEqual([
      ".batch-cam-explanation",
      "grid.png",
      "manifest.json",
      "maps.safetensors",
    ]);
    const raw = await loadSafetensors(join(output, "maps.safetensors"));
    expect([...raw.keys()].sort()).toEqual(Array.from({ length: 10 }, (_, c) => `GradCAM.${c}`));
    for (const target of ["kth:2", "7"]) {
      expect((await cli(...base, "--overwrite", "--no-grid", "--raw", "none", "--target", target)).code).toBe(0);
      expect(readdirSync(output).sort()).toEqual([".batch-cam-explanation", "manifest.json"]);
    }
    expect(manifestOf(output).images[0].maps[0].target).toBe("7");
  });

  it("skips unreadable files only if asked to, and names them", async () => {
    const base = [
      "explain",
      at("broken.png"),
      at("photos"),
      "--weights",
      at("resnet.safetensors"),
      "--image-size",
      "32",
    ];
    const stopped = await cli(...base, "--output", at("stopped"));
    expect(stopped.code).toBe(2);
    expect(stopped.err).toMatch(/broken\.png: is not an image that can be read/);
    const { code, err } = await cli(...base, "--bad-images", "skip", "--output", at("skipped"));
    expect(code).toBe(0);
    expect(err).toMatch(/^warning: left out: .*broken\.png/);
    const { images, skipped } = manifestOf(at("skipped"));
    expect([images.length, skipped.length]).toEqual([2, 1]);
    const one = await cli(...base, "--bad-images", "skip", "--limit", "1", "--output", at("one"));
    expect([one.code, manifestOf(at("one")).images.length]).toEqual([0, 1]); // a skipped file does not count towards --limit
  });

  it("lists all unreadable files at once, with the flag that leaves them out", async () => {
    mkdirSync(at("several"));
    cpSync(at("photos"), at("several/good"), { recursive: true });
    writeFileSync(at("several/a.png"), "no image");
    writeFileSync(at("several/z.jpg"), "");
    const weights = ["--weights", at("resnet.safetensors"), "--image-size", "32", "--output", at("listed")];
    const stopped = await cli("explain", at("several"), "--batch-size", "1", ...weights);
    expect([stopped.code, stopped.err]).toEqual([
      2,
      expect.stringMatching(
        /^batch-cam: explain: 2 files cannot be read: .*several\/a\.png: is not an image .*; .*several\/z\.jpg: is empty \(0 bytes\); repair them, or leave them out with --bad-images skip$/m,
      ),
    ]);
    expect(existsSync(at("listed"))).toBe(false);
    const none = await cli("explain", at("several/a.png"), at("several/z.jpg"), "--bad-images", "skip", ...weights);
    expect([none.code, none.err]).toEqual([
      2,
      expect.stringMatching(/none of the files can be read: .*a\.png: is not .*; .*z\.jpg: is empty \(0 bytes\)$/m),
    ]);
  });

  it("writes nothing if it fails, and fails if no file can be read", async () => {
    const base = ["explain", "--run", at("run"), "--split", "test", "--limit", "1", "--output", at("failed")];
    expect((await cli(...base, "--target", "10")).code).toBe(2);
    expect(existsSync(at("failed"))).toBe(false);
    const weights = ["--weights", at("resnet.safetensors"), "--image-size", "32", "--output", at("unread")];
    const { code, err } = await cli("explain", at("broken.png"), "--bad-images", "skip", ...weights);
    expect([code, err]).toEqual([2, expect.stringMatching(/none of the files can be read: .*broken\.png/)]);
    expect(existsSync(at("unread"))).toBe(false);
  });

  it("prints the predictions, and draws pictures with or without a caption, for pixel methods as separate maps", async () => {
    const output = at("pixels");
    const base = ["explain", "--run", at("run"), "--split", "test", "--limit", "1", "--output", output, "--overwrite"];
    const { out } = await cli(...base, "--method", "Saliency,GradCAM");
    expect(out).toMatch(/^test 0: \d \d+\.\d%/m);
    const heightOf = () => {
      const [{ maps }] = manifestOf(output).images;
      return PNG.sync.read(readFileSync(join(output, maps[0].picture))).height;
    };
    const captioned = heightOf();
    await cli(...base, "--no-caption");
    expect([captioned > 224, heightOf()]).toEqual([true, 224]);
  });

  it("refuses to draw a picture for each of very many classes", async () => {
    manualSeed(2);
    using wide = createModel("resnet18", { numClasses: 60, width: 4 });
    await saveSafetensors(at("wide.safetensors"), wide.stateDict());
    const base = [
      "explain",
      at("photos", "more"),
      "--weights",
      at("wide.safetensors"),
      "--image-size",
      "32",
      "--target",
      "all",
    ];
    const { code, err } = await cli(...base, "--output", at("wide"));
    expect([code, err]).toEqual([
      2,
      expect.stringMatching(/would draw 60 pictures of each image: name a class, or add --no-overlays/),
    ]);
    expect((await cli(...base, "--output", at("wide"), "--no-overlays", "--no-grid")).code).toBe(0);
    expect((await loadSafetensors(at("wide", "maps.safetensors"))).size).toBe(60);
  });

  it("does not replace an explanation without --overwrite, nor anything else ever", async () => {
    const base = ["explain", at("photos"), "--weights", at("resnet.safetensors"), "--image-size", "32"];
    expect((await cli(...base, "--output", at("kept"))).code).toBe(0);
    const again = await cli(...base, "--output", at("kept"));
    expect([again.code, again.err]).toEqual([
      2,
      expect.stringMatching(/contains an explanation: choose another --output, or add --overwrite to replace it/),
    ]);
    expect((await cli(...base, "--output", at("kept"), "--overwrite")).code).toBe(0);
    const inside = await cli(...base, "--output", at("photos"), "--overwrite");
    expect([inside.code, inside.err]).toEqual([2, expect.stringMatching(/contains a file that the explanation reads/)]);
    const other = await cli(...base, "--output", at("run"), "--overwrite");
    expect([other.code, other.err]).toEqual([
      2,
      expect.stringMatching(/run contains something that is not an explanation \(\w/),
    ]);
  });

  it("numbers the default folders, and makes none if layer or method is wrong", async () => {
    const base = [
      "explain",
      at("photos"),
      "--weights",
      at("resnet.safetensors"),
      "--image-size",
      "32",
      "--no-overlays",
    ];
    const before = process.cwd();
    mkdirSync(at("numbered"));
    process.chdir(at("numbered"));
    try {
      expect((await cli(...base, "--layer", "layer9")).code).toBe(2);
      expect((await cli(...base, "--method", "grad")).code).toBe(2);
      expect(readdirSync(".")).toEqual([]);
      mkdirSync("explanations-2");
      writeFileSync(join("explanations-2", "notes.txt"), "mine");
      for (const folder of ["explanations", "explanations-3", "explanations-4"]) {
        const { code, out } = await cli(...base);
        expect(code).toBe(0);
        expect(out).toContain(join(folder, "manifest.json"));
      }
      expect((await cli(...base, "--overwrite")).out).toContain(join("explanations", "manifest.json"));
      expect(readdirSync(".").sort()).toEqual(["explanations", "explanations-2", "explanations-3", "explanations-4"]);
      expect(readdirSync("explanations-2")).toEqual(["notes.txt"]);
    } finally {
      process.chdir(before);
    }
  });

  it.each([
    ["no model", ["x.png"], /name the model: give either --run/],
    ["two models", ["x.png", "--run", "a", "--weights", "b"], /give either --run with a run directory, --weights/],
    ["no images", ["--run", "a"], /name the images/],
    ["files and a split", ["x.png", "--run", "a", "--split", "test"], /give either files or folders, or --split/],
    ["a split without a run", ["--weights", "a", "--split", "test"], /--split needs --run/],
    ["an unknown method", ["x.png", "--run", "a", "--method", "gradcan"], /did you mean GradCAM\?/],
    ["the label of files", ["x.png", "--run", "a", "--target", "label"], /--target label needs --split/],
    ["a missing file", [at("nowhere.png"), "--run", at("run")], /nowhere\.png: cannot be read/],
    ["a folder without images", [at("run", "checkpoints"), "--run", at("run")], /contains no images: looked for/],
    ["a missing run", [at("broken.png"), "--run", at("nowhere")], /is not a finished run/],
    [
      "an unknown layer",
      ["--run", at("run"), "--split", "test", "--layer", "pool3", "--output", at("x1")],
      /no layer "pool3"; the nearest/,
    ],
    [
      "a layer that is not spatial",
      ["--run", at("run"), "--split", "test", "--layer", "fc1", "--output", at("x2")],
      /which is not a map/,
    ],
    ["an unknown target", ["--run", at("run"), "--split", "test", "--target", "lable"], /did you mean "?label/],
    [
      "a class that the model does not have",
      ["--run", at("run"), "--split", "test", "--target", "10", "--output", at("x3")],
      /from 0 to 9, got 10/,
    ],
    [
      "a rank that it does not have",
      ["--run", at("run"), "--split", "test", "--target", "kth:11", "--output", at("x4")],
      /from 1 to 10/,
    ],
  ])("refuses %s", async (_, argv, message) => {
    const { code, err } = await cli("explain", ...argv);
    expect(err).toMatch(message);
    expect([code, err.trim().split("\n").length]).toEqual([2, 1]);
  });

  it("deletes only files that an explanation wrote, whatever their names", async () => {
    const output = at("precious");
    const base = ["explain", at("photos"), "--weights", at("resnet.safetensors"), "--image-size", "32", "--overwrite"];
    mkdirSync(join(output, "overlays"), { recursive: true });
    const names = ["labels.npy", "grid.png", "maps.safetensors", "manifest.json", join("overlays", "0001-photo.png")];
    for (const file of names) {
      writeFileSync(join(output, file), "precious");
      const { code, err } = await cli(...base, "--output", output);
      expect([code, err]).toEqual([2, expect.stringMatching(/precious contains something that is not an explanation/)]);
      expect(readFileSync(join(output, file), "utf8")).toBe("precious");
      rmSync(join(output, file));
    }
    rmSync(join(output, "overlays"), { recursive: true });
    writeFileSync(join(output, ".manifest.json-0123456789ab.tmp"), "left by a kill");
    expect((await cli(...base, "--output", output, "--raw", "npy")).code).toBe(0);
    expect((await cli(...base, "--output", output)).code).toBe(0);
    expect(readdirSync(output).sort()).toEqual([
      ".batch-cam-explanation",
      "grid.png",
      "manifest.json",
      "maps.safetensors",
      "overlays",
    ]);
    // If a kill happens between writing the raw maps and the manifest, the next call may replace the folder.
    rmSync(join(output, "manifest.json"));
    writeFileSync(join(output, "GradCAM++.3.npy"), "half an explanation");
    expect((await cli(...base, "--output", output)).code).toBe(0);
    writeFileSync(join(output, "labels.npy"), "precious");
    expect((await cli(...base, "--output", output)).err).toMatch(
      /contains something that is not an explanation \(labels\.npy\)/,
    );
    rmSync(join(output, "labels.npy"));
    copyFileSync(at("resnet.safetensors"), join(output, "weights.safetensors"));
    symlinkSync(output, at("link-to-precious"));
    const own = ["explain", at("photos"), "--image-size", "32", "--output", output, "--overwrite"];
    const weights = await cli(...own, "--weights", join(at("link-to-precious"), "weights.safetensors"));
    expect([weights.code, weights.err]).toEqual([
      2,
      expect.stringMatching(/contains a file that the explanation reads/),
    ]);
    rmSync(join(output, "weights.safetensors"));
    const bad = await cli(...base, "--output", output, "--layer", "nope");
    expect([bad.code, existsSync(join(output, "manifest.json"))]).toEqual([2, true]);
    writeFileSync(at("a-file"), "");
    const file = await cli(...base, "--output", at("a-file"));
    expect([file.code, file.err]).toEqual([2, expect.stringMatching(/a-file is not a folder/)]);
  });

  it("lets only one process at a time write to a folder", async () => {
    const output = at("shared");
    const argv = [
      "explain",
      "--run",
      at("run"),
      "--split",
      "test",
      "--limit",
      "8",
      "--batch-size",
      "1",
      "--output",
      output,
    ];
    const ends = await Promise.all([cli(...argv), cli(...argv)]);
    expect(ends.map(({ code }) => code).sort()).toEqual([0, 2]);
    expect(ends.map(({ err }) => err).join("")).toMatch(/is in use by process|contains an explanation/);
    for (const { maps } of manifestOf(output).images) expect(existsSync(join(output, maps[0].picture))).toBe(true);
  });

  it("refuses weights that are not finite and names that are not files, and shortens long names", async () => {
    using model = createModel("resnet18", { numClasses: 3, width: 4 });
    noGrad(() => model.namedParameters().get("layer2.0.conv1.weight")?.fill_(Number.NaN));
    await saveSafetensors(at("nan.safetensors"), model.stateDict());
    const base = ["explain", at("photos", "more"), "--image-size", "32"];
    const nan = await cli(...base, "--weights", at("nan.safetensors"), "--output", at("nan"));
    expect([nan.code, nan.err]).toEqual([2, expect.stringMatching(/logits for tall picture\.png are not finite/)]);
    expect(existsSync(at("nan"))).toBe(false);
    const weights = ["--weights", at("resnet.safetensors")];
    for (const names of ["/dev/zero", at("nowhere.txt")]) {
      const { code, err } = await cli(...base, ...weights, "--class-names", names);
      expect([code, err]).toEqual([2, expect.stringMatching(/--class-names.*name a text file/)]);
    }
    mkdirSync(at("long"));
    copyFileSync(at("photos", "more", "tall picture.png"), at("long", `${"x".repeat(240)}.png`));
    expect((await cli("explain", at("long"), ...weights, "--image-size", "32", "--output", at("longest"))).code).toBe(
      0,
    );
  });

  it("stops at Ctrl-C without a manifest, and can then be repeated", async () => {
    const output = at("interrupted");
    const argv = [
      "explain",
      "--run",
      at("run"),
      "--split",
      "test",
      "--limit",
      "40",
      "--batch-size",
      "1",
      "--output",
      output,
    ];
    const { io, text, signals } = fakeIo();
    const running = main(argv, io);
    while (!existsSync(join(output, "overlays")) || readdirSync(join(output, "overlays")).length === 0)
      await new Promise((resolve) => setTimeout(resolve, 5));
    signals.emit("SIGINT", "SIGINT");
    expect(await running).toBe(130);
    expect(text.err).toBe("stopping after this image (press Ctrl-C again to stop at once)\n");
    expect(existsSync(join(output, "manifest.json"))).toBe(false);
    const again = argv.map((word) => (word === "40" ? "2" : word));
    expect((await cli(...again)).code).toBe(0);
    expect(manifestOf(output).images).toHaveLength(2);
  });

  it("does not follow links out of a folder", async () => {
    mkdirSync(at("linked"));
    symlinkSync(at("photos", "turned.jpg"), at("linked", "out.jpg"));
    const { code, err } = await cli("explain", at("linked"), "--weights", at("resnet.safetensors"));
    expect([code, err]).toEqual([2, expect.stringMatching(/contains no images/)]);
  });
});
