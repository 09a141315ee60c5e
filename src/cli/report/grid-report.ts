import { basename, dirname, join } from "node:path";
import { writeFileAtomically } from "../../atomic-file.ts";
import { CompareConfig } from "../../config/index.ts";
import { parseConfig } from "../../config/internal.ts";
import { counted, wordFor } from "../../counted.ts";
import { gridReport } from "../../report/index.ts";
import { type GridReportInput, groupName, runsTable } from "../../report/internal.ts";
import {
  analyse,
  type Grid,
  type GridRunRecord,
  hasMixedData,
  readGrid,
  runsOf,
  Store,
  settingsOf,
} from "../../workflows/internal.ts";
import { inGridFile } from "../compare/input.ts";
import { readConfigFile } from "../config-file.ts";
import { quoted } from "../shell-word.ts";

type Warn = (message: string) => void;

/** Writes the report of a results folder from its `grid.yaml`. */
export async function reportStore(folder: string, warn: Warn): Promise<string> {
  const path = join(folder, "grid.yaml");
  const file = await readConfigFile(path, "report");
  const config = parseConfig(CompareConfig, file, { what: path });
  return writeGridReport({ grid: inGridFile({ grid: path }, () => readGrid(config)), folder }, warn);
}

/**
 * Writes `runs.csv`, `report.html` and `report/` with its figures and tables into a results folder, from all records that exist.
 * @returns lines that name the files
 */
export async function writeGridReport({ grid, folder }: { grid: Grid; folder: string }, warn: Warn): Promise<string> {
  const { records, missing } = await readRecords(grid, folder);
  const runs = join(folder, "runs.csv");
  await writeFileAtomically(runs, runsTable(records));
  const input = inputOf({ grid, folder, records, missing });
  for (const message of faultsOf(input)) warn(message);
  const { html, files, warnings } = await gridReport(input);
  for (const message of warnings) warn(message);
  for (const { path, contents } of files) {
    const target = join(folder, "report", path);
    await writeFileAtomically(target, contents).catch((error: Error) => warn(error.message));
  }
  const page = join(folder, "report.html");
  await writeFileAtomically(page, html);
  return `numbers of every run: ${runs}\nreport: ${page}\n`;
}

/** Warnings that a reader of the report should know first. */
function faultsOf({ missing, failed, mixed, groups }: GridReportInput): string[] {
  const done = groups.flatMap(({ methods }) => methods.flatMap((method) => method.done)).length;
  const all = done + failed.length + missing.length;
  const damaged = missing.filter(({ state }) => state === "damaged").length;
  const [isDamaged, hasFailed] = [damaged === 0 ? "" : `, ${damaged} of them damaged`, failed.length];
  return [
    ...(missing.length > 0
      ? [
          `${missing.length} of the grid’s ${counted(all, "run")} ${wordFor(missing.length, "has", "have")} no record${isDamaged}`,
        ]
      : []),
    ...(hasFailed > 0 ? [`${hasFailed} of the grid’s ${counted(all, "run")} failed`] : []),
    ...mixed.map(
      (group) =>
        `${groupName(group)}: its runs were tested on different images; if the images have changed, start again with another --name`,
    ),
  ];
}

interface Records {
  records: GridRunRecord[];
  missing: GridReportInput["missing"];
}

async function readRecords(grid: Grid, folder: string): Promise<Records> {
  const store = new Store(folder);
  const records: GridRunRecord[] = [];
  const missing = [];
  for (const run of runsOf(grid, await store.digests())) {
    const record = await store.read(run);
    if (record === null) missing.push({ ...run, state: await store.state(run) });
    else records.push(record);
  }
  return { records, missing };
}

function inputOf({ grid, folder, records, missing }: Records & { grid: Grid; folder: string }): GridReportInput {
  const groups = analyse(records);
  return {
    ...{ name: grid.name, command: commands(grid, folder), groups, mixed: groups.filter(hasMixedData) },
    settings: settingsOf(records.filter(({ status }) => status === "done")),
    seeds: grid.seeds.filter((seed) => records.some((record) => record.status === "done" && record.seed === seed)),
    failed: records.filter((record) => record.status === "failed"),
    missing,
  };
}

/** The commands that repeat the grid and its report. `--name` is needed only if the folder and the grid have different names. */
function commands(grid: Grid, folder: string): string {
  const name = basename(folder) === grid.name ? "" : ` --name ${quoted(basename(folder))}`;
  const file = quoted(join(folder, "grid.yaml"));
  return [
    `npx batch-cam compare ${file} --output ${quoted(dirname(folder))}${name}`,
    `npx batch-cam report ${quoted(folder)}`,
  ].join("\n");
}
