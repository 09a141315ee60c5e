import { basename, dirname, join } from "node:path";
import { writeFileAtomically } from "../atomic-file.ts";
import { CompareConfig, parseConfig } from "../config/index.ts";
import { METRIC_DEFINITIONS } from "../evaluate/explanation-metrics.ts";
import { SPURIOUS_DEFINITIONS } from "../evaluate/spurious.ts";
import { analyse } from "../experiments/analysis.ts";
import { cellsOf } from "../experiments/cells.ts";
import { type Grid, readGrid } from "../experiments/grid.ts";
import type { CellRecord } from "../experiments/records.ts";
import { Store } from "../experiments/store.ts";
import type { GridReportInput } from "../report/grid/input.ts";
import { gridReport } from "../report/grid/report.ts";
import { readConfigFile } from "./config-file.ts";
import { quoted } from "./training.ts";

type Warn = (message: string) => void;

/** Writes the report of a results folder by its own `grid.yaml`. */
export async function reportStore(folder: string, warn: Warn): Promise<string> {
  const path = join(folder, "grid.yaml");
  const file = await readConfigFile(path, "report");
  return writeGridReport({ grid: readGrid(parseConfig(CompareConfig, file, { what: path })), folder }, warn);
}

/**
 * Writes `report.html` and `report/` with its figures and tables into a results folder, of all the grid's records that are there.
 * @returns the path of the page
 */
export async function writeGridReport({ grid, folder }: { grid: Grid; folder: string }, warn: Warn): Promise<string> {
  const { html, files, warnings } = await gridReport(await readInput(grid, folder));
  for (const message of warnings) warn(message);
  for (const { path, contents } of files) {
    const target = join(folder, "report", path);
    await writeFileAtomically(target, contents).catch((error: Error) => warn(error.message));
  }
  const page = join(folder, "report.html");
  await writeFileAtomically(page, html);
  return page;
}

async function readInput(grid: Grid, folder: string): Promise<GridReportInput> {
  const store = new Store(folder);
  const records: CellRecord[] = [];
  const missing = [];
  for (const cell of cellsOf(grid)) {
    const record = await store.read(cell);
    if (record === null) missing.push({ ...cell, state: await store.state(cell) });
    else records.push(record);
  }
  return {
    ...{ name: grid.name, command: commands(grid, folder), groups: analyse(records) },
    seeds: grid.seeds.filter((seed) => records.some((record) => record.status === "done" && record.seed === seed)),
    failed: records.filter((record) => record.status === "failed"),
    ...{ missing, metricDefinitions: METRIC_DEFINITIONS, cueDefinitions: SPURIOUS_DEFINITIONS },
  };
}

/** `--name` only where the folder is not called as its grid. */
function commands(grid: Grid, folder: string): string {
  const name = basename(folder) === grid.name ? "" : ` --name ${quoted(basename(folder))}`;
  const file = quoted(join(folder, "grid.yaml"));
  return [
    `npx batch-cam compare ${file} --output ${quoted(dirname(folder))}${name}`,
    `npx batch-cam report ${quoted(folder)}`,
  ].join("\n");
}
