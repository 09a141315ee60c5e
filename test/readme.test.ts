import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { BIN, runNode } from "./support/node-process.ts";
import { temporaryFolderInPackage } from "./support/temporary-folder.ts";

const root = join(import.meta.dirname, "..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const page = (name: string) => readFileSync(join(root, "docs", name), "utf8");
const [, example = ""] = readme.match(/```ts\n([\s\S]*?)```/) ?? [];

const folder = temporaryFolderInPackage("readme");

function run(program: string, ...args: string[]) {
  return spawnSync(program, args, { cwd: folder, encoding: "utf8" });
}

describe("the README's library example", () => {
  it("trains", () => {
    const last = example.replace("seed: 0 }", "seed: 0, startBatch: 464 }"); // starts five steps before the end of the epoch
    expect(last).not.toBe(example);
    writeFileSync(
      join(folder, "example.mjs"),
      `${last}\nconsole.log((await import("batch-cam")).memory().liveTensors);\n`,
    );
    const { status, stderr, stdout } = run(process.execPath, "example.mjs");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const printed = stdout.trim().split("\n");
    expect(printed).toHaveLength(6); // one loss for each step, and the number of live tensors
    expect(Number(printed.at(-1))).toBeLessThan(60);
  });
});

describe("the grid in docs/comparing.md", () => {
  it("is accepted by `compare`", async () => {
    const [, grid = ""] = page("comparing.md").match(/```yaml\n([\s\S]*?)```/) ?? [];
    writeFileSync(join(folder, "study.yaml"), grid);
    const { code, out, err } = await runNode([BIN, "compare", "study.yaml", "--list"], { cwd: folder });
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/\n42 runs: 42 to do\n$/);
    for (const kind of ["plain", "guided", "control", "reference"]) expect(out).toContain(` ${kind} `);
  });
});

describe("the table of entries in docs/library.md", () => {
  const rows = [...page("library.md").matchAll(/^\| (`batch-cam.*?) \| (.*) \|$/gm)].map(
    ([, entries = "", holds = ""]) => ({
      entries: [...entries.matchAll(/`(.*?)`/g)].map(([, name]) => name as string),
      names: [...holds.matchAll(/`(.*?)`/g)].map(([, name]) => name as string),
    }),
  );

  it.each(rows)("$entries export $names", ({ entries, names }) => {
    const imports = entries.map((entry) => `...Object.keys(await import("${entry}"))`).join(", ");
    const { stdout, stderr } = run(
      process.execPath,
      "--input-type=module",
      "-e",
      `console.log(JSON.stringify([${imports}]))`,
    );
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual(expect.arrayContaining(names));
  });

  it("names every entry of the package", () => {
    const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const entries = Object.keys(exports).flatMap((path) =>
      /^\.\/[a-z]+$/.test(path) ? [`batch-cam${path.slice(1)}`] : [],
    );
    expect(rows.flatMap((row) => row.entries).sort()).toEqual(entries.sort());
  });
});
