import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { Command } from "../src/cli/command.ts";
import { inFlagsOf } from "../src/cli/flag-names.ts";
import { flagsOf } from "../src/cli/flags.ts";
import { BatchCamError } from "../src/errors.ts";

const SOURCES = join(import.meta.dirname, "..", "src");
const COMMANDS = join(SOURCES, "cli", "commands");

/** Flags of every command. */
const GENERAL = ["help", "version", "config"];

let commands: Map<string, Command>;
beforeAll(async () => {
  commands = new Map();
  for (const file of readdirSync(COMMANDS).filter((name) => /^[\w-]+\.ts$/.test(name) && !name.includes(".test."))) {
    const exported = Object.values((await import(join(COMMANDS, file))) as Record<string, unknown>);
    for (const value of exported) if (isCommand(value)) commands.set(value.name, value);
  }
});

const isCommand = (value: unknown): value is Command =>
  typeof value === "object" && value !== null && "summary" in value && "config" in value;

/** Names of a command's flags, negated ones too. */
function flagNames({ config }: Command): string[] {
  const flags = flagsOf(config);
  return [...flags.map(({ name }) => name), ...flags.map(({ name }) => `no-${name}`), ...GENERAL];
}

interface Line {
  place: string;
  text: string;
}

/** The lines of the sources that are no comments. */
const codeLines = (): Line[] =>
  readdirSync(SOURCES, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .flatMap((file) =>
      readFileSync(join(SOURCES, file), "utf8")
        .split("\n")
        .map((text, i) => ({ place: `${file}:${i + 1}`, text: text.replace(/^\s*(?:\/\/|\/\*|\*).*$/, "") })),
    );

/** Custom properties of style sheets look like flags: they are set by "--name:" and read by "var(--name)". */
const flagsIn = ({ text }: Line): string[] =>
  Array.from(
    text
      .replace(/var\(--[\w-]*/g, "")
      .replace(/(?<=[{;`"\s])--[\w${}-]+:/g, "")
      .matchAll(/(?<![\w-])--([a-z][a-z-]*[a-z])\b(?!-?\$)/g),
    ([, name]) => name as string,
  );

describe("what the sources advise", () => {
  it("names no flag that no command has", () => {
    const known = new Set([...commands.values()].flatMap(flagNames));
    const unknown = codeLines().flatMap((line) =>
      flagsIn(line)
        .filter((name) => !known.has(name))
        .map((name) => `${line.place} --${name}`),
    );
    expect(unknown).toEqual([]);
  });

  it("names no command that there is not, and gives none a flag that it lacks", () => {
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

  it("finds what it looks for", () => {
    const text = 'fail("see --epochs and --batch-size=3 (--no-grid)"); style("--ink: red; color: var(--ink)")';
    expect(flagsIn({ place: "", text })).toEqual(["epochs", "batch-size", "no-grid"]);
    expect([...commands.keys()]).toEqual(
      expect.arrayContaining(["train", "find-lr", "explain", "evaluate", "compare"]),
    );
  });
});

describe("an error of the library", () => {
  const said = (message: string, command = "train") =>
    (inFlagsOf(new BatchCamError("E_CONFIG", message), commands.get(command) as Command) as Error).message;

  it("names a command's options by its flags", () => {
    expect(said("batchSize: use batchSize 2 or more (limitTrain).")).toBe(
      "--batch-size: use --batch-size 2 or more (--limit-train).",
    );
    expect(said("choose it by weightsKey", "explain")).toBe("choose it by --weights-key");
  });

  it("leaves alone what the command has no flag for, keys in files, and paths", () => {
    for (const text of ["batchSize in run.yaml is 0", "/data/batchSize/a.png", "batchSize.png", "epochs: 3"])
      expect(said(text)).toBe(text);
    expect(said("lambdaPrototype is 3", "explain")).toBe("lambdaPrototype is 3");
    const other = new TypeError("batchSize");
    expect(inFlagsOf(other, commands.get("train") as Command)).toBe(other);
  });
});
