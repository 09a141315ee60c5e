import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { TrainConfig } from "../config/index.ts";
import { flagsOf, kebabCase, parseFlags } from "./flags.ts";

const Example = z.strictObject({
  batchSize: z.int().positive().default(8).describe("images").meta({ short: "b" }),
  lr: z.number().optional().describe("rate"),
  distance: z.enum(["ssim", "l1"]).default("ssim").describe("distance"),
  figures: z.boolean().default(true).describe("figures"),
  plain: z.boolean().default(false).describe("plain"),
  output: z.string().default("runs").describe("folder"),
  resume: z.union([z.boolean(), z.string()]).default(false).describe("continue"),
});
const parse = (...argv: string[]) => parseFlags(argv, { flags: flagsOf(Example) }, "example");

describe("flags", () => {
  it("are the schema's fields in kebab case, with its types, defaults and descriptions", () => {
    expect(flagsOf(Example).map(({ name, kind }) => [name, kind])).toEqual([
      ["batch-size", "number"],
      ["lr", "number"],
      ["distance", "string"],
      ["figures", "boolean"],
      ["plain", "boolean"],
      ["output", "string"],
      ["resume", "optional"],
    ]);
    expect(flagsOf(Example)[0]?.field).toMatchObject({ default: 8, description: "images", short: "b" });
  });

  it("cover every key of the train config", () => {
    const flags = flagsOf(TrainConfig);
    expect(flags.map(({ key }) => key)).toEqual(Object.keys(TrainConfig.shape));
    expect(flags.find(({ name }) => name === "resume")?.kind).toBe("optional");
    expect(new Set(flags.map(({ name }) => name)).size).toBe(flags.length);
  });

  it("take values after a space, after an equals sign and after a short name", () => {
    expect(parse("--batch-size", "4", "--lr=1e-3")).toEqual({ batchSize: 4, lr: 1e-3 });
    expect(parse("-b", "16")).toEqual({ batchSize: 16 });
    expect(parse("-b16")).toEqual({ batchSize: 16 });
  });

  it("omit keys that are not given, so that a file or a default applies", () => {
    expect(parse()).toEqual({});
  });

  it("take a list as one text, and collect the values of flags that may be repeated", () => {
    const Lists = z.strictObject({
      names: z.union([z.string(), z.array(z.unknown())]).optional(),
      counts: z.union([z.number(), z.string(), z.array(z.number())]).optional(),
      set: z.array(z.string()).default([]).meta({ repeat: true }),
      words: z.array(z.string()).optional(),
      base: z.record(z.string(), z.unknown()).optional(),
    });
    const flags = flagsOf(Lists);
    expect(flags.map(({ name, kind }) => [name, kind])).toEqual([
      ["names", "string"],
      ["counts", "string"],
      ["set", "repeat"],
    ]);
    const argv = ["--set", "a=1", "--names=x,y", "--set=b=2", "--counts", "0,1"];
    expect(parseFlags(argv, { flags }, "example")).toEqual({ set: ["a=1", "b=2"], names: "x,y", counts: "0,1" });
    expect(() => parseFlags(["--set"], { flags }, "example")).toThrow(/--set needs a value/);
  });

  it("switch on, off and by value", () => {
    expect(parse("--plain", "--no-figures")).toEqual({ plain: true, figures: false });
    expect(parse("--plain=false", "--figures=true")).toEqual({ plain: false, figures: true });
  });

  it("use the last value, as in argparse, in whatever form they are repeated", () => {
    expect(parse("--lr", "1", "--lr", "2")).toEqual({ lr: 2 });
    expect(parse("--batch-size=4", "-b", "6")).toEqual({ batchSize: 6 });
    expect(parse("--figures", "--no-figures")).toEqual({ figures: false });
    expect(parse("--no-figures", "--figures")).toEqual({ figures: true });
    expect(parse("--resume", "runs/a", "--resume")).toEqual({ resume: true });
    expect(() => parse("--lr", "x", "--lr", "2")).toThrow('--lr must be a number, got "x"');
  });

  it("may be used with or without a value if the schema allows both", () => {
    expect(parse("--resume")).toEqual({ resume: true });
    expect(parse("--resume", "--plain")).toEqual({ resume: true, plain: true });
    expect(parse("--resume", "runs/a", "--plain")).toEqual({ resume: "runs/a", plain: true });
    expect(parse("--resume=runs/a")).toEqual({ resume: "runs/a" });
    expect(parse("--no-resume")).toEqual({ resume: false });
  });

  it("take negative numbers, and values with an equals sign or a leading dash inside", () => {
    expect(parse("--lr", "-1")).toEqual({ lr: -1 });
    expect(parse("--output=a=b")).toEqual({ output: "a=b" });
    expect(parse("--output=-x")).toEqual({ output: "-x" });
  });

  it("read every number as JavaScript writes it", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(parse(`--lr=${value}`).lr === value).toBe(true);
      }),
    );
  });

  it.each([
    [
      ["--batchsize", "4"],
      "example: unknown flag --batchsize (did you mean --batch-size?); see `batch-cam example --help`",
    ],
    [["--batch_size=4"], "unknown flag --batch_size (did you mean --batch-size?)"],
    [["--no-figure"], "unknown flag --no-figure (did you mean --no-figures?)"],
    [["--no-lr"], "unknown flag --no-lr"],
    [["--wallpaper"], "unknown flag --wallpaper; see `batch-cam example --help`"],
    [["-z"], "unknown flag -z"],
    [["--__proto__=1"], "unknown flag --__proto__"],
    [["--lr"], "--lr needs a value: a number"],
    [["--lr", "--plain"], '--lr must be a number, got "--plain"'],
    [
      ["--output", "--plain"],
      '--output needs a value: text; "--plain" looks like a flag (write --output=--plain if it is the value)',
    ],
    [["--lr="], '--lr must be a number, got ""'],
    [["--lr", "0x10"], '--lr must be a number, got "0x10"'],
    [["--lr", "1e"], '--lr must be a number, got "1e"'],
    [["--lr", "1,000"], '--lr must be a number, got "1,000"'],
    [["-b", "4k"], '-b must be a whole number, above 0, got "4k"'],
    [["--plain=maybe"], '--plain must be true or false, got "maybe"'],
    [["--no-figures=true"], '--no-figures takes no value, got "true"'],
    [["--plain", "true"], 'unexpected argument "true"'],
    [["mnist"], 'unexpected argument "mnist"'],
    [["--", "--plain"], 'unexpected argument "--plain"'],
    [["--no-resume", "runs/a"], 'unexpected argument "runs/a"'],
  ])("refuse %j in one line", (argv, message) => {
    let caught: unknown;
    try {
      parse(...argv);
    } catch (error) {
      caught = error;
    }
    expect(caught).toMatchObject({ code: "E_CONFIG", message: expect.stringContaining(message) });
    expect((caught as Error).message).not.toContain("\n");
  });

  it("either refuse or parse any command line, without any other error", () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom(
        "--lr",
        "-b",
        "--plain",
        "--no-plain",
        "--resume",
        "--output",
        "--",
        "-",
        "1",
        "=",
        "--=",
        "--lr=",
      ),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (argv) => {
        try {
          parse(...argv);
        } catch (error) {
          expect(error).toMatchObject({ code: "E_CONFIG" });
        }
      }),
    );
  });
});

describe("kebabCase", () => {
  it("converts a key to the name of its flag", () => {
    expect(["lr", "batchSize", "detachBatchMean"].map(kebabCase)).toEqual(["lr", "batch-size", "detach-batch-mean"]);
  });
});
