import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { CompareConfig, type CompareConfigInput } from "../../config/index.ts";
import { parseConfig } from "../../config/internal.ts";
import { readGrid } from "../../workflows/study/grid.ts";
import { runsOf } from "../../workflows/study/grid-runs.ts";
import { readConfigFile } from "../config-file.ts";
import { gridFileOf, inGridFile, mergeGrid } from "./input.ts";

const merged = (file: CompareConfigInput, flags: CompareConfigInput) => mergeGrid(file, flags);

describe("a grid on the command line", () => {
  it("is named after its file, by a key of the file, or by a flag, which takes precedence", () => {
    expect(merged({}, {})).toEqual({});
    expect(merged({}, { grid: "grids/my study.yaml" }).name).toBe("my study");
    expect(merged({ name: "own" }, { grid: "study.yaml" }).name).toBe("own");
    expect(merged({ name: "own" }, { grid: "study.yaml", name: "flag" }).name).toBe("flag");
    expect(merged({}, { preset: "demo" }).name).toBe("demo");
  });

  it("adds options to the file's base, and replaces those with the same name", () => {
    const set = ["epochs=2", "limit-train=50", "plain=true", "amp=off", "lr=1e-3", "dataDir=a=b c"];
    expect(merged({ base: { epochs: 9, batchSize: 4 } }, { set }).base).toEqual({
      ...{ epochs: 2, batchSize: 4, limitTrain: 50, plain: true, amp: "off", lr: 1e-3, dataDir: "a=b c" },
    });
  });

  it.each<[string, CompareConfigInput, CompareConfigInput, RegExp]>([
    ["a row", { models: [{ name: "resnet18", widht: 8 }] }, {}, /^compare: a\.yaml: models, row 1 .*widht/],
    ["base", { base: { epoch: 2 } }, {}, /^compare: a\.yaml: base: unknown option epoch/],
    ["a row that is not an object", { methods: [3] }, {}, /^compare: a\.yaml: methods, row 1/],
    ["a run", { base: { nesterov: true, opt: "adam" } }, {}, /^compare: a\.yaml: .*nesterov/],
    ["a list that is a flag", {}, { models: "resnet81" }, /^compare: models, row 1/],
    ["an option of --set", { base: { lr: 1 } }, { set: ["epoch=2"] }, /^compare: base: unknown option epoch/],
  ])("names the file in an error about %s, if the file contains it", (_, file, flags, message) => {
    const config = parseConfig(CompareConfig, merged(file, { ...flags, grid: "a.yaml" }), { what: "compare" });
    expect(() => inGridFile(config, () => runsOf(readGrid(config)))).toThrow(message);
  });

  it("replaces the file's methods by objectives", () => {
    const methods = [{ name: "a", plain: true }];
    expect(merged({ methods }, { objectives: "plain" })).toEqual({ objectives: "plain" });
    expect(merged({ methods }, { seeds: 2 })).toEqual({ methods, seeds: 2 });
  });

  it.each<[CompareConfigInput, CompareConfigInput, string]>([
    [{}, { set: ["epochs"] }, '--set must be option=value, got "epochs"'],
    [{}, { set: ["epochs="] }, '--set must be option=value, got "epochs="'],
    [{}, { set: ["=2"] }, '--set must be option=value, got "=2"'],
    [{ set: [] }, {}, "set cannot be set in a grid's file: use base"],
    [{ grid: "b.yaml" }, {}, "grid cannot be set in a grid's file"],
    [{ preset: "demo" }, {}, "preset cannot be set in a grid's file"],
  ])("is refused if %j and %j are given", (file, flags, message) => {
    expect(() => merged(file, flags)).toThrow(
      expect.objectContaining({ code: "E_CONFIG", message: `compare: ${message}` }),
    );
  });

  it("comes from a file or a preset, but not both", () => {
    expect(gridFileOf({})).toBeUndefined();
    expect(gridFileOf({ grid: "a.yaml" })).toBe("a.yaml");
    expect(() => gridFileOf({ grid: "a.yaml", preset: "demo" })).toThrow(
      /--preset must be left out with a grid's file/,
    );
    expect(() => gridFileOf({ preset: "demos" })).toThrow(
      /--preset must be one of .*demo.*, got "demos" \(did you mean "demo"\?\)/,
    );
    expect(() => gridFileOf({ preset: "../package" })).toThrow(/--preset must be one of /);
  });
});

describe("the grids that come with the package", () => {
  const presets = readdirSync(fileURLToPath(new URL("../../../presets", import.meta.url)));

  it.each(presets)("are right: %s", async (file) => {
    const flags = { preset: file.replace(/\.yaml$/, "") };
    const read = await readConfigFile(gridFileOf(flags) as string);
    const grid = readGrid(parseConfig(CompareConfig, mergeGrid(read, flags), { what: "compare" }));
    expect(runsOf(grid).length).toBeGreaterThan(1);
  });
});
