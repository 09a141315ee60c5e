import { join } from "node:path";
import type { CompareConfig } from "../../config/index.ts";
import { counted, wordFor } from "../../counted.ts";
import { capabilities } from "../../tensor/index.ts";
import {
  type DataDigests,
  dataDigests,
  type Grid,
  type GridRun,
  type GridRunRecord,
  readGrid,
  runGrid,
  runsOf,
  Store,
  shareOf,
  summarise,
  summariseSpurious,
} from "../../workflows/internal.ts";
import type { CommandCall, Outcome } from "../command.ts";
import { warnTo } from "../warn.ts";
import { inGridFile } from "./input.ts";
import { failureLines, listTable, spuriousTable, summaryTable } from "./lines.ts";
import { CompareProgress } from "./progress.ts";

/** A grid whose runs have all ended, whether they succeeded or failed. */
export interface Comparison {
  grid: Grid;
  /** The results folder. */
  folder: string;
  /** The records, named as in the current grid and in its order. */
  records: readonly GridRunRecord[];
}

export interface CompareParts {
  /** Handles a finished comparison if the grid asks for a report. The text that it returns is printed below the table. */
  onFinished: (comparison: Comparison, warn: (message: string) => void) => Promise<string>;
}

type CompareCall = Pick<CommandCall, "stdout" | "stderr" | "env" | "signal"> & { config: CompareConfig };

/** `batch-cam compare`: trains the runs of a grid that have no result yet, and prints a table of all results. */
export async function runCompare({ onFinished }: CompareParts, call: CompareCall): Promise<Outcome> {
  const { config, stdout, stderr, signal } = call;
  const grid = inGridFile(config, () => readGrid(config));
  const planned = inGridFile(config, () => runsOf(grid));
  const store = new Store(join(config.output, grid.name));
  const digests = await digestsOf(planned, store, signal);
  const runs = shareOf(runsOf(grid, digests), config.shard);
  if (config.list) {
    stdout.write(listTable(await Promise.all(runs.map(async (run) => ({ run, state: await store.state(run) })))));
    return "done";
  }
  const old = store.withoutDigest(runs, grid.explanations).length;
  if (old > 0)
    stderr.write(
      `note: ${counted(old, "result")} of an earlier version ${wordFor(old, "does", "do")} not record the images used: ${wordFor(old, "its run is", "their runs are")} repeated\n`,
    );
  const records = await trainGridRuns(runs, { grid, digests, store, call });
  const failures = failureLines(records);
  if (signal.aborted && records.length < runs.length) {
    for (const line of failures) stderr.write(`failed: ${line}\n`);
    stderr.write("to continue: give the same command again\n");
    return "interrupted";
  }
  if (records.length > 0) stdout.write(`\n${summaryTable(summarise(records))}`);
  const leaning = summariseSpurious(records);
  if (leaning.length > 0) stdout.write(`\n${spuriousTable(leaning)}`);
  for (const line of failures) stderr.write(`failed: ${line}\n`);
  if (grid.report) {
    stdout.write(await onFinished({ grid, folder: store.folder, records }, warnTo(stderr)));
  }
  stdout.write(`results: ${store.folder}\n`);
  return failures.length > 0 || records.length < runs.length ? "failed" : "done";
}

/** Digests of the images as they are now. For images that cannot be read, the digests from the last call are used. */
async function digestsOf(runs: readonly GridRun[], store: Store, signal: AbortSignal): Promise<DataDigests> {
  const now = await dataDigests(
    runs.map(({ config }) => config),
    signal,
  );
  return new Map([...(await store.digests()), ...now]);
}

async function trainGridRuns(
  runs: readonly GridRun[],
  { grid, digests, store, call }: { grid: Grid; digests: DataDigests; store: Store; call: CompareCall },
): Promise<GridRunRecord[]> {
  const { jobs, keepFailed, keepRuns } = call.config;
  await store.prepare();
  const { cores } = capabilities();
  const threads = call.config.threads ?? (await store.threads()) ?? Math.max(1, Math.floor(cores / jobs));
  if (jobs * threads > Math.max(cores, jobs))
    call.stderr.write(
      `warning: ${counted(jobs, "job")} of ${counted(threads, "thread")} each share ${counted(cores, "core")} and slow each other down\n`,
    );
  await store.writeGrid(grid, threads);
  await store.writeDigests(digests);
  const progress = new CompareProgress({ ...call, jobs, threads });
  const onEvent = progress.onEvent.bind(progress);
  const { explanations } = grid;
  try {
    return await runGrid(runs, {
      ...{ store, jobs, threads, explanations, keepFailed, keepRuns },
      ...{ signal: call.signal, onEvent },
    });
  } finally {
    progress.stop();
    store.removeEmptyFolders();
  }
}
