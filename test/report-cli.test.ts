import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { findBrowser, lookAt } from "../scripts/look-at-report.mjs";
import type { CompareConfigInput } from "../src/config/index.ts";
import { train } from "../src/train/index.ts";
import { Store } from "../src/workflows/study/store.ts";
import { cli } from "./support/cli.ts";
import { gridOf, gridRuns } from "./support/grid-runs.ts";
import { gridRecords, spuriousOf, textOf } from "./support/report-case.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const folder = temporaryFolder("report");

const report = (...argv: string[]) => cli("report", ...argv);

const GRID = {
  name: "study",
  datasets: "mnist,decoy-mnist",
  methods: [{ name: "plain", plain: true }, { name: "guided" }, { name: "shuffled", prototypes: "shuffled" }],
  seeds: 3,
} satisfies CompareConfigInput;

/** A results folder with a record of every run. */
async function storeNamed(name: string): Promise<string> {
  const store = new Store(join(folder, name));
  await store.prepare();
  await store.writeGrid(gridOf(GRID), 1);
  for (const record of gridRecords(GRID)) {
    const spurious = record.dataset === "mnist" ? null : spuriousOf(0.5 + record.method.length / 20);
    await store.write({ ...record, spurious });
  }
  return store.folder;
}

describe("batch-cam report of a grid", () => {
  it("writes the page, the figures and the tables into the results folder", async () => {
    const path = await storeNamed("study");
    const { code, out, err } = await report(`${path}/`);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toBe(`numbers of every run: ${join(path, "runs.csv")}\nreport: ${join(path, "report.html")}\n`);
    expect(textOf(readFileSync(join(path, "report.html"), "utf8"))).toContain("18 finished runs of 2 combinations");
    expect(readdirSync(join(path, "report", "figures"))).toContain("cue-simple-cnn-decoy-mnist.png");
    expect(readdirSync(join(path, "report", "tables"))).toContain("cue.tex");
  });

  it("names missing and damaged runs, and continues with the others", async () => {
    const path = await storeNamed("gaps");
    const [first, second, third] = gridRuns(GRID);
    const file = (run: typeof first) => join(path, "cells", `${run?.id}.json`);
    rmSync(file(first));
    writeFileSync(file(second), '{"torn": ');
    writeFileSync(file(third), JSON.stringify({ ...JSON.parse(readFileSync(file(third), "utf8")), samples: null }));
    writeFileSync(join(path, "runs.csv"), "of other records");
    const { code, err } = await report(path);
    const warning = "warning: 3 of the grid’s 18 runs have no record, 2 of them damaged\n";
    expect({ code, err }).toEqual({ code: 0, err: warning });
    expect(readFileSync(join(path, "runs.csv"), "utf8").trimEnd().split("\n")).toHaveLength(1 + 15);
    const text = textOf(readFileSync(join(path, "report.html"), "utf8"));
    expect(text).toContain("15 finished runs");
    expect(text).toContain("3 runs of the grid are missing");
    expect(text).toMatch(/mnist, plain, seed 0: to do/);
    expect(text).toMatch(/mnist, guided, seed 0: damaged/);
  });

  it("warns if the images of a data set have changed between its runs", async () => {
    const path = await storeNamed("changed");
    const [record] = gridRecords(GRID) as [ReturnType<typeof gridRecords>[number]];
    await new Store(path).write({ ...record, test: { ...record.test, images: 7 } });
    const { code, err } = await report(path);
    expect(code).toBe(0);
    expect(err).toMatch(/^warning: simple-cnn on mnist: its runs were tested on different images.*another --name\n$/);
    const text = textOf(readFileSync(join(path, "report.html"), "utf8"));
    expect(text).toContain("The runs of simple-cnn on mnist were tested on different images: do not compare them.");
  });

  it("replaces an earlier report, and does not change the records", async () => {
    const path = await storeNamed("twice");
    const records = () =>
      readdirSync(join(path, "cells")).map((name) => readFileSync(join(path, "cells", name), "utf8"));
    const before = records();
    writeFileSync(join(path, "report.html"), "old");
    await report(path);
    const first = readFileSync(join(path, "report.html"), "utf8");
    await report(path);
    expect(readFileSync(join(path, "report.html"), "utf8")).toBe(first);
    expect(first).toContain("Comparison: study");
    expect(records()).toEqual(before);
  });

  it("warns about a file that cannot be written, and writes the page", async () => {
    const path = await storeNamed("blocked");
    mkdirSync(join(path, "report", "tables", "time.csv"), { recursive: true });
    const { code, err } = await report(path);
    expect(code).toBe(0);
    expect(err).toMatch(/^warning: cannot write .*time\.csv/);
    expect(existsSync(join(path, "report.html"))).toBe(true);
    expect(existsSync(join(path, "report", "tables", "time.tex"))).toBe(true);
  });
});

describe("batch-cam report refuses", () => {
  const made = (name: string, files: Record<string, string> = {}) => {
    mkdirSync(join(folder, name), { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, name, file), text);
    return join(folder, name);
  };

  it.each([
    ["no path", () => [], /report needs GRID\|RUN, which is missing: results folder/],
    ["a missing folder", () => [join(folder, "nowhere")], /report: .*nowhere does not exist/],
    ["a file", () => [join(made("f", { a: "" }), "a")], /is a file: name the results folder/],
    ["an empty folder", () => [made("empty")], /neither a grid's results folder .* nor a run directory/],
    [
      "records without their grid",
      () => [join(made("bare/cells"), "..").replace(/\/cells\/\.\.$/, "")],
      /has records of a grid \(cells\/\) but no grid\.yaml/,
    ],
    [
      "a grid.yaml that is not a grid",
      () => {
        made("wrong/cells");
        return [made("wrong", { "grid.yaml": "models: [nope]\n" })];
      },
      /nope/,
    ],
    [
      "an incomplete grid.yaml",
      () => {
        made("torn/cells");
        return [made("torn", { "grid.yaml": "models: [" })];
      },
      /grid\.yaml: malformed YAML/,
    ],
  ] as const)("%s", async (_, argv, message) => {
    const { code, err, out } = await report(...argv());
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(message);
  });
});

describe("batch-cam report of a run", () => {
  const run = join(folder, "run");
  beforeAll(async () => {
    await train({
      ...{ output: folder, experiment: "run", epochs: 2, limitTrain: 128, valImages: 40, limitTest: 60, batchSize: 32 },
      ...{ lambdaBatch: 0.5, lossBalanceEvery: 2, threads: 1, logEvery: 1 },
    });
  });

  it("tests the best epoch again, and shows curves, epochs and the balance of the losses", async () => {
    const { code, out, err } = await report(run);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toBe(`report: ${join(run, "report.html")}\n`);
    const html = readFileSync(join(run, "report.html"), "utf8");
    const text = textOf(html);
    expect(text).toContain("On 60 test images");
    for (const heading of ["Results", "Training curves", "Epochs", "Balance of the losses", "Configuration"])
      expect(html).toContain(`>${heading}</h2>`);
    expect(text).toMatch(/At step \d+, the last for which it was logged/);
    expect(text).not.toMatch(/NaN|was stopped/);
    expect(text).toContain("Batch-CAM Loss, before λ");
  });

  it("states that the run was stopped before its end", async () => {
    const config = JSON.parse(readFileSync(join(run, "config.json"), "utf8"));
    writeFileSync(join(run, "config.json"), JSON.stringify({ ...config, epochs: 5 }));
    await report(run);
    expect(textOf(readFileSync(join(run, "report.html"), "utf8"))).toMatch(/was stopped at step 8, before its end/);
  });

  it("refuses a run without a checkpoint, naming what is missing", async () => {
    rmSync(join(run, "checkpoints"), { recursive: true });
    const { code, err } = await report(run);
    expect(code).not.toBe(0);
    expect(err).toMatch(/checkpoint/);
  });
});

const browser = findBrowser();
describe.skipIf(browser === undefined)("the page in a browser", () => {
  it("loads no other files, is never wider than the window, and has no serious accessibility fault", async () => {
    const path = await storeNamed("seen");
    await report(path);
    expect(await lookAt(join(path, "report.html"), { browser })).toEqual([]);
  }, 120_000);
});
