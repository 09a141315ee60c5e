import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { runCommand } from "../src/cli/main.ts";
import { createTrainCommand } from "../src/cli/train/command.ts";
import type { Train } from "../src/cli/train/training.ts";
import { TrainConfig, type TrainConfigInput } from "../src/config/index.ts";
import type { TrainResult } from "../src/train/run/events.ts";
import { cli } from "./support/cli.ts";
import { fakeIo } from "./support/fake-terminal.ts";
import { BIN, runNode } from "./support/node-process.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const folder = temporaryFolder("cli");

const RESULT: TrainResult = {
  runDirectory: join(folder, "runs", "a"),
  interrupted: false,
  endedBy: "epochs",
  step: 3,
  history: [],
  test: null,
  bestEpoch: 1,
  checkpoint: "runs/a/checkpoints/last.safetensors",
  best: null,
  seconds: 1,
};

const renderReport = async (results: readonly TrainResult[]) => `<html>${results.map(({ step }) => step)}</html>`;

/** Runs `batch-cam train` with the given trainer. */
async function trainCli(argv: string[], train: Train, options: { env?: Record<string, string> } = {}) {
  const fake = fakeIo(options);
  const command = createTrainCommand(async () => ({ train, renderReport }));
  const failure: unknown[] = [];
  const code = await runCommand(command, argv, fake.io).catch((error) => failure.push(error) && undefined);
  return { ...fake, code, failure: failure[0] };
}

async function configGiven(...argv: string[]): Promise<TrainConfigInput> {
  const given: TrainConfigInput[] = [];
  const { failure } = await trainCli(argv, async (config) => {
    given.push(config);
    return RESULT;
  });
  if (failure) throw failure;
  return given[0] as TrainConfigInput;
}

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

describe("batch-cam", () => {
  it.each([[[]], [["help"]], [["--help"]], [["-h"]]])("lists its commands for %j", async (argv) => {
    const { code, out, err } = await cli(...argv);
    expect(code).toBe(0);
    expect(err).toBe("");
    for (const name of ["train", "demo", "models", "doctor"]) expect(out).toMatch(new RegExp(`^  ${name} +\\w`, "m"));
  });

  it("prints its version", async () => {
    expect(await cli("--version")).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });

  it.each([
    ["trian", "train"],
    ["demo2", "demo"],
  ])("refuses the unknown command %s and names %s", async (name, nearest) => {
    const { code, out, err } = await cli(name);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toBe(
      `batch-cam: unknown command "${name}" (did you mean "${nearest}"?); the commands are train, find-lr, explain, data, compare, report, evaluate, demo, models, export-recipe, setup, doctor\n`,
    );
  });

  it("does not accept the name of an inherited property as a command", async () => {
    expect(await cli("constructor")).toMatchObject({
      code: 2,
      err: expect.stringContaining('unknown command "constructor"'),
    });
  });

  it("lists every flag of train with its default, choices and description", async () => {
    for (const argv of [
      ["train", "--help"],
      ["help", "train"],
      ["train", "--lr", "1", "-h"],
    ]) {
      const { code, out } = await cli(...argv);
      expect(code).toBe(0);
      expect(out).toMatch(/-b, --batch-size <n> +images per batch \(default: 128\)/);
      expect(out).toMatch(/--distance <ssim\|l1\|l2>/);
      expect(out).toMatch(/--\[no-\]figures/);
      expect(out).toMatch(/-c, --config <text>/);
      for (const key of Object.keys(TrainConfig.shape))
        expect(out).toContain(key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`));
      expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
    }
  });

  it.each([
    [["train", "--epoch", "2"], "unknown flag --epoch (did you mean --epochs?)"],
    [["train", "--lr", "-1"], "--lr must be a number, above 0, got -1"],
    [
      ["train", "--epochs", "0.5", "--model", "resnet"],
      'or a path that ends with .pt2, got "resnet" (did you mean "resnet18"?); --epochs must be a whole number, above 0, got 0.5',
    ],
    [["train", "--opt", "adamm"], '--opt must be one of "adam", "adamw", "sgd", got "adamm" (did you mean "adam"?)'],
    [["train", "--plain", "--lambda-batch", "1"], "--lambda-batch must be 0 or left out with --plain, got 1"],
    [["train", "--resume", "--overwrite"], "--overwrite must be false with --resume"],
    [["train", "mnist"], 'unexpected argument "mnist"'],
    [["train", "--config", "none.yaml"], 'cannot read "none.yaml": no such file'],
    [["demo", "--config", "a.yaml"], "unknown flag --config"],
    [["demo", "--epochs", "two"], '--epochs must be a whole number, above 0, got "two"'],
    [["compare", "no.yaml"], 'compare: cannot read "no.yaml": no such file'],
    [["compare", "grid.txt"], 'compare: "grid.txt" must end in .yaml, .yml or .json'],
    [["compare", "--config", "a.yaml"], "unknown flag --config"],
    [["compare", "--preset", "dem"], '(did you mean "demo"?)'],
    [["compare", "--jobs", "0"], "--jobs must be a whole number, above 0, got 0"],
    [["compare", "--shard", "4/3"], '--shard must be a share i/n with i from 1 to n, such as "2/3", got "4/3"'],
    [["compare", "--models", "resnet81"], '(did you mean "resnet18"?)'],
    [["compare", "--set", "epoch=2"], 'base: unknown option epoch (did you mean "epochs"?)'],
    [["compare", "--set", "nesterov=true"], 'method "plain": nesterov must be false with opt "adam"'],
    [["doctor", "--jsn"], "unknown flag --jsn (did you mean --json?)"],
    [
      ["train", "--device", "cuda"],
      '--device must be one of "auto", "cpu", got "cuda": this version computes on the CPU only',
    ],
    [["explain", "--device", "mps"], "this version computes on the CPU only"],
    [
      ["evaluate"],
      "evaluate needs RUN, which is missing: run directory, or a checkpoint in it. Write `batch-cam evaluate RUN`",
    ],
    [["report"], "report needs GRID|RUN, which is missing: results folder of a grid, or a run directory."],
  ])("answers %j with one line and 2", async (argv, message) => {
    const { code, out, err } = await cli(...argv);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(`${message}`);
    expect(err).toMatch(/^batch-cam: [^\n]+\n$/);
  });
});

describe("batch-cam compare", () => {
  it.each([
    ["models:\n  - simple-cnn\n - x\n", /malformed YAML at line 3/],
    ["- a\n- b\n", /expected options as "key: value", got a list/],
    ["modles: simple-cnn\n", /unknown option modles in .*bad.yaml \(did you mean "models"\?\)/],
    ["jobs: many\n", /jobs in .*bad.yaml must be a whole number, above 0, got "many"/],
    ["set: [epochs=2]\n", /set cannot be set in a grid's file/],
    [
      "datasets: [mnist, { name: a, dataset: mnits }]\n",
      /datasets, row 2 \("a"\): dataset must be one of .*did you mean "mnist"/,
    ],
  ])("refuses the file %j, and writes nothing", async (text, message) => {
    const output = join(folder, "nothing");
    const { code, out, err } = await cli("compare", file("bad.yaml", text), "--output", output);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(message);
    expect(existsSync(output)).toBe(false);
  });

  it.each([[[]], [["--jobs", "2"]]])("prints its help if no grid is given, for %j", async (argv) => {
    const { code, out, err } = await cli("compare", ...argv);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain("Usage: batch-cam compare GRID [flags]");
  });

  it("lists the runs of a share, with flags overriding the file's options, and writes nothing", async () => {
    const path = file("few.yaml", "base: { epochs: 1 }\nmethods: [{ name: none, plain: true }]\nseeds: 5\n");
    const output = join(folder, "nothing");
    const argv = ["compare", path, "--list", "--output", output, "--seeds", "0,7", "--models", "resnet18"];
    const { code, out } = await cli(...argv);
    expect(code).toBe(0);
    expect(out).toMatch(/resnet18 +mnist +none +plain +0 +to do\n/);
    expect(out).toMatch(/resnet18 +mnist +none +plain +7 +to do\n\n2 runs: 2 to do\n$/);
    expect((await cli(...argv, "--shard", "2/2")).out).toMatch(/\n1 run: 1 to do\n$/);
    expect(existsSync(output)).toBe(false);
  });
});

describe("batch-cam train", () => {
  it("passes only the given options to the trainer", async () => {
    expect(await configGiven("-b", "64", "--no-figures", "--lambda-prototype=1")).toEqual({
      batchSize: 64,
      figures: false,
      lambdaPrototype: 1,
    });
    expect(await configGiven("--resume", "runs/a")).toEqual({ resume: "runs/a" });
  });

  it("lets flags override a file, in YAML and in JSON", async () => {
    const yaml = file("a.yaml", "lr: 0.01\nepochs: 2\nfigures: false\n");
    expect(await configGiven("-c", yaml, "--lr", "0.5")).toEqual({ lr: 0.5, epochs: 2, figures: false });
    const json = file("a.json", '{ "lr": 0.01 }');
    expect(await configGiven(`--config=${json}`, "--figures")).toEqual({ lr: 0.01, figures: true });
  });

  it("trains without guidance with --plain, whatever weights the file sets", async () => {
    const yaml = file("guided.yaml", "lambdaPrototype: 1\nlambdaBatch: 0.5\nlr: 0.1\n");
    expect(await configGiven("-c", yaml, "--plain")).toEqual({ lr: 0.1, plain: true });
  });

  it.each([
    [
      "batch_size: 3\nlamda: 1\n",
      /unknown option batch_size in .*typo.yaml \(did you mean "batchSize"\?\); unknown option lamda in .*typo.yaml/,
    ],
    ["lr: fast\n", /lr in .*typo.yaml must be a number, above 0, got "fast"/],
    ["config: other.yaml\n", /unknown option config in .*typo.yaml/],
    ["model:\n  name: simple-cnn\n", /model in .*typo.yaml must be one of "simple-cnn", .*, got an object/],
  ])("names the file of a wrong key (%j)", async (text, message) => {
    const { failure } = await trainCli(["--config", file("typo.yaml", text)], async () => RESULT);
    expect(failure).toMatchObject({ code: "E_CONFIG", message: expect.stringMatching(message) });
  });

  it("names the flag and not the file if the flag's value is wrong", async () => {
    const { failure } = await trainCli(["-c", file("right.yaml", "lr: 1\n"), "--lr", "-2"], async () => RESULT);
    expect(failure).toMatchObject({ message: "train: --lr must be a number, above 0, got -2" });
  });

  it("returns 0 and prints the run's events", async () => {
    const { code, text } = await trainCli([], async (_, { onEvent }) => {
      onEvent?.({ type: "warning", message: "small maps" });
      onEvent?.({ type: "end", result: RESULT });
      return RESULT;
    });
    expect(code).toBe(0);
    expect(text.err).toBe("warning: small maps\n");
    expect(text.out).toContain("done in 1 s");
  });

  it("writes the run's report", async () => {
    const report = join(RESULT.runDirectory, "report.html");
    const { text } = await trainCli([], async () => RESULT);
    expect(text.out).toBe(`report: ${report}\n`);
    expect(readFileSync(report, "utf8")).toBe("<html>3</html>");
  });

  it("writes no report with --no-figures", async () => {
    const runDirectory = join(folder, "bare");
    const { code, text } = await trainCli(["--no-figures"], async () => ({ ...RESULT, runDirectory }));
    expect({ code, out: text.out }).toEqual({ code: 0, out: "" });
    expect(existsSync(runDirectory)).toBe(false);
  });
});

describe("bin/batch-cam.mjs", () => {
  const run = (path: string, ...argv: string[]) => runNode([path, ...argv]);

  it("prints how to build it if it is not built", async () => {
    mkdirSync(join(folder, "bin"));
    copyFileSync(BIN, join(folder, "bin", "batch-cam.mjs"));
    const answer = await run(join(folder, "bin", "batch-cam.mjs"), "train");
    expect(answer).toEqual({ code: 1, out: "", err: "batch-cam: it is not built yet: run `npm run setup`\n" });
  });

  it("prints help and runs doctor if only the native addon is missing", async () => {
    const [root, copy] = [dirname(dirname(BIN)), join(folder, "without-addon")];
    for (const name of ["bin", "dist", "scripts", "package.json"])
      cpSync(join(root, name), join(copy, name), { recursive: true });
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
    const bin = join(copy, "bin", "batch-cam.mjs");
    expect(await run(bin, "--help")).toMatchObject({ code: 0, out: expect.stringMatching(/^ {2}demo /m), err: "" });
    expect(await run(bin, "train", "--help")).toMatchObject({
      code: 0,
      out: expect.stringContaining("--epochs"),
      err: "",
    });
    expect((await run(bin, "doctor")).out).toMatch(/not built/);
  });

  it("prints what to do if a package is missing", async () => {
    mkdirSync(join(folder, "dist", "cli"), { recursive: true });
    writeFileSync(join(folder, "dist", "cli", "main.js"), 'import "no-such-package-of-ours";\n');
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    const answer = await run(join(folder, "bin", "batch-cam.mjs"), "train");
    expect(answer).toMatchObject({
      code: 1,
      err: expect.stringMatching(/run `npm run setup` .*no-such-package-of-ours/),
    });
  });

  it("exits with the command's code", async () => {
    expect(await run(BIN, "--version")).toMatchObject({ code: 0, err: "" });
    expect(await run(BIN, "train", "--epoch", "3")).toMatchObject({
      code: 2,
      out: "",
      err: expect.stringContaining("--epochs"),
    });
  });
});
