import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { Command } from "../src/cli/command.ts";
import { inFlagsOf } from "../src/cli/flag-names.ts";
import { BatchCamError } from "../src/errors.ts";
import { allCommands, flagNames } from "./support/commands.ts";

const SOURCES = join(import.meta.dirname, "..", "src");

let commands: Map<string, Command>;
beforeAll(async () => {
  commands = await allCommands();
});

interface Line {
  place: string;
  text: string;
}

/** The lines of the sources that are not comments. */
const codeLines = (): Line[] =>
  readdirSync(SOURCES, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .flatMap((file) =>
      readFileSync(join(SOURCES, file), "utf8")
        .split("\n")
        .map((text, i) => ({ place: `${file}:${i + 1}`, text: text.replace(/^\s*(?:\/\/|\/\*|\*).*$/, "") })),
    );

/** Custom properties of style sheets look like flags: they are set as "--name:" and read as "var(--name)". */
const flagsIn = ({ text }: Line): string[] =>
  Array.from(
    text
      .replace(/var\(--[\w-]*/g, "")
      .replace(/(?<=[{;`"\s])--[\w${}-]+:/g, "")
      .matchAll(/(?<![\w-])--([a-z][a-z-]*[a-z])\b(?!-?\$)/g),
    ([, name]) => name as string,
  );

describe("advice in the sources", () => {
  it("names only flags that a command has", () => {
    const known = new Set([...commands.values()].flatMap(flagNames));
    const unknown = codeLines().flatMap((line) =>
      flagsIn(line)
        .filter((name) => !known.has(name))
        .map((name) => `${line.place} --${name}`),
    );
    expect(unknown).toEqual([]);
  });

  it("names only commands that exist, with flags that they have", () => {
    const wrong = codeLines().flatMap((line) =>
      Array.from(line.text.matchAll(/npx batch-cam ([a-z][\w-]*)([^`"]*)/g)).flatMap(([, name = "", rest = ""]) => {
        const command = commands.get(name);
        if (command === undefined) return [`${line.place} ${name}`];
        const known = flagNames(command);
        return flagsIn({ ...line, text: rest }).flatMap((flag) =>
          known.includes(flag) ? [] : [`${line.place} ${name} --${flag}`],
        );
      }),
    );
    expect(wrong).toEqual([]);
  });

  it("is found by the patterns of this test", () => {
    const text = 'fail("see --epochs and --batch-size=3 (--no-grid)"); style("--ink: red; color: var(--ink)")';
    expect(flagsIn({ place: "", text })).toEqual(["epochs", "batch-size", "no-grid"]);
    expect([...commands.keys()]).toEqual(
      expect.arrayContaining(["train", "find-lr", "explain", "evaluate", "compare"]),
    );
  });
});

describe("an error of the library", () => {
  const said = (message: string, command = "train", options: readonly string[] = []) =>
    (inFlagsOf(new BatchCamError("E_CONFIG", message, { options }), commands.get(command) as Command) as Error).message;

  it("names a command's options by its flags", () => {
    expect(said("batchSize: use batchSize 2 or more (limitTrain).")).toBe(
      "train: --batch-size: use --batch-size 2 or more (--limit-train).",
    );
    expect(said("choose it by weightsKey", "explain")).toBe("explain: choose it by --weights-key");
  });

  it("names the command instead of the function that failed, and keeps the function's subject", () => {
    expect(said("loadDataset: photos: contains no images")).toBe("train: photos: contains no images");
    expect(said("SGD.loadState: the state lacks step")).toBe("train: the state lacks step");
    expect(said("evaluate: the run has no data", "report")).toBe("report: the run has no data");
    expect(said("explain: target must be a class, got 7", "explain")).toBe("explain: --target must be a class, got 7");
    expect(said("openRun: run must be a path", "evaluate")).toBe("evaluate: RUN must be a path");
    expect(said("photos/a.png: is damaged")).toBe("train: photos/a.png: is damaged");
    expect(said("train: it is too late")).toBe("train: it is too late");
  });

  it("names options of one word if the error lists them", () => {
    const message = "resume: these differ: lr (0.1), model (resnet18); the model lr.png";
    expect(said(message, "train", ["lr"])).toBe(
      "train: --resume: these differ: --lr (0.1), model (resnet18); the model lr.png",
    );
  });

  it("names them at the head, in lists and brackets, after with and without, and after the word option", () => {
    expect(said("lr is 0", "train", ["lr"])).toBe("train: --lr is 0");
    expect(said("a value was given without std.", "train", ["std"])).toBe("train: a value was given without --std.");
    expect(said("lower the option lr, or leave sched out (sched cosine)", "train", ["sched"])).toBe(
      "train: lower the option --lr, or leave --sched out (--sched cosine)",
    );
    expect(said("a run with epochs 9: epochs (the run has 2)", "train", ["epochs"])).toBe(
      "train: a run with --epochs 9: --epochs (the run has 2)",
    );
    expect(said("give the option dataset", "data")).toBe("data: give the option NAME");
  });

  it("does not change an option's word that is an ordinary word", () => {
    for (const [name, { config }] of commands) {
      const words = Object.keys(config.shape).filter((key) => !/[A-Z]/.test(key));
      const sentences = words.map(
        (key) =>
          `over the run's 2 ${key} and a ${key}, with ${key} of its own: the ${key} (a ${key}); one ${key} in a.yaml.`,
      );
      expect(said(sentences.join(" "), name, words)).toBe(`${name}: ${sentences.join(" ")}`);
    }
  });

  it("rewrites options that a program passes as flags", () => {
    expect(said('weights: a.pth: give { model: "resnet18", width: 16, camLayer: "a b" }')).toBe(
      "train: --weights: a.pth: give --model resnet18 --width 16 --cam-layer 'a b'",
    );
    expect(said("give { overwrite: true } or { figures: false }")).toBe("train: give --overwrite or --no-figures");
    expect(said("pass { strict: false } to load what fits")).toBe("train: pass { strict: false } to load what fits");
    expect(said('give { dataset: "folder" }', "data")).toBe("data: give folder for NAME");
  });

  it("shortens a system error to its description", () => {
    const failed = "cannot be read (ENOENT: no such file or directory, stat 'a/b.png'); name a file";
    expect(said(failed)).toBe("train: cannot be read (no such file or directory); name a file");
    const renamed = "cannot write b: EISDIR: illegal operation on a directory, rename '.b.tmp' -> 'b'; choose a path";
    expect(said(renamed)).toBe("train: cannot write b: illegal operation on a directory; choose a path");
  });

  it("does not change words without a flag, keys in files, and paths", () => {
    for (const text of ["batchSize in run.yaml is 0", "/data/batchSize/a.png", "batchSize.png"])
      expect(said(text)).toBe(`train: ${text}`);
    expect(said("lambdaPrototype is 3", "explain")).toBe("explain: lambdaPrototype is 3");
    const other = new TypeError("batchSize");
    expect(inFlagsOf(other, commands.get("train") as Command)).toBe(other);
  });
});

describe("BatchCamError", () => {
  it.each([
    ["loadDataset: name must be one of these", "loadDataset", "name must be one of these"],
    ["SGD.loadState: the state lacks step", "SGD.loadState", "the state lacks step"],
    ["Conv2d: groups must divide 3", "Conv2d", "groups must divide 3"],
    ["photos/a.png: is damaged", undefined, "photos/a.png: is damaged"],
    ["a.yaml: malformed YAML", undefined, "a.yaml: malformed YAML"],
    ["step 3: the loss is NaN", undefined, "step 3: the loss is NaN"],
  ])("knows the operation of %s", (message, operation, detail) => {
    expect(new BatchCamError("E_DATA", message)).toMatchObject({ message, operation, detail, options: [] });
  });
});
