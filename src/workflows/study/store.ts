import { existsSync, mkdirSync } from "node:fs";
import { readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { fileFault, isTemporary, makeFolder, removeIfEmpty, writeFileAtomically } from "../../atomic-file.ts";
import { BatchCamError } from "../../errors.ts";
import { readRegularText } from "../../regular-file.ts";
import { claimFile, holderOf, lastCheckpoint } from "../../train/internal.ts";
import type { DataDigests } from "./data-digests.ts";
import { type Grid, gridFile } from "./grid.ts";
import { gridFault } from "./grid-lists.ts";
import { isSameRun, runId } from "./grid-runs.ts";
import type { DoneRun, GridRun, GridRunRecord } from "./records.ts";

/** The state of a run. `damaged`: its record cannot be read, or belongs to another run; it is moved away when the run is trained again. */
export type RunState = "to do" | "begun" | "running" | "done" | "failed" | "damaged";

/**
 * The results folder of a grid. Its results are the records `cells/<id>.json`, so folders can be merged by copying their records into one.
 * It also contains `grid.yaml`, the grid of the last call; `data.json`, the digests of its images and exported models; `runs/<id>`, the run directories of
 * runs in progress; `claims/<id>.lock`, the locks of runs with the process that is training them; and `damaged/`, records that could not
 * be read. When a grid ends, `runs/` and `claims/` are removed if they are empty.
 */
export class Store {
  readonly folder: string;

  /** @param folder `<output>/<name>`; nothing is written before `prepare` */
  constructor(folder: string) {
    this.folder = folder;
  }

  /**
   * Makes the folder of the records. The folders of runs and claims are made when they are needed.
   * @throws E_CONFIG if the folder contains other files but no store
   */
  async prepare(): Promise<void> {
    const names: string[] = await readdir(this.folder).catch(() => []);
    const others = names.filter((name) => name !== "grid.yaml" && !isTemporary(name));
    if (others.length > 0 && !names.includes("cells")) {
      const held = others.slice(0, 3).join(", ");
      throw gridFault(
        `${this.folder} contains ${held} but no results of a grid (it has no cells/): give another --name or --output`,
      );
    }
    await makeFolder(join(this.folder, "cells"));
  }

  /** Removes the folders that are needed only while a grid runs, unless they contain something, because another process may be running. */
  removeEmptyFolders(): void {
    for (const name of ["runs", "claims"]) removeIfEmpty(join(this.folder, name));
  }

  /** Writes the grid of this call. */
  async writeGrid(grid: Grid, threads: number): Promise<void> {
    const head = "# The grid of the last call: batch-cam compare <this file> continues it.\n";
    await writeFileAtomically(join(this.folder, "grid.yaml"), head + stringify({ ...gridFile(grid), threads }));
  }

  /** The threads of earlier runs, as `grid.yaml` records them, or null if it does not. */
  async threads(): Promise<number | null> {
    const text = await readRegularText(join(this.folder, "grid.yaml")).catch(() => "");
    const [, threads] = text.match(/^threads: (\d{1,4})$/m) ?? [];
    return threads === undefined ? null : Number(threads);
  }

  /** Writes the digests of the grid's own images and exported models, so that reports can be made when those are gone. */
  async writeDigests(digests: DataDigests): Promise<void> {
    if (digests.size === 0) return;
    await writeFileAtomically(join(this.folder, DIGESTS), `${JSON.stringify(Object.fromEntries(digests), null, 2)}\n`);
  }

  /** Empty if the folder was written by a version without digests, or if the file is damaged. */
  async digests(): Promise<Map<string, string>> {
    try {
      const kept = JSON.parse(await readRegularText(join(this.folder, DIGESTS))) as Record<string, unknown>;
      return new Map(Object.entries(kept).filter((entry): entry is [string, string] => typeof entry[1] === "string"));
    } catch {
      return new Map();
    }
  }

  /** Runs of which only an earlier version has a record, without a digest of the images. */
  withoutDigest(runs: readonly GridRun[], explanations: number): GridRun[] {
    return runs.filter(
      ({ id, config, data, file }) =>
        data !== undefined &&
        !existsSync(this.#file(id)) &&
        existsSync(this.#file(runId(config, explanations, { file }))),
    );
  }

  runDirectory(id: string): string {
    return join(this.folder, "runs", id);
  }

  /** A run's record, with the names of the run in the current grid, or null if there is no valid record. */
  async read(run: GridRun): Promise<GridRunRecord | null> {
    const text = await this.#text(run.id);
    const record = text === null ? null : recordIn(text, run);
    if (record === null) return null;
    const { model, dataset, method, kind } = run;
    return { ...record, model, dataset, method, kind };
  }

  async state(run: GridRun): Promise<RunState> {
    const record = await this.read(run);
    if (record?.status === "done") return "done";
    if (this.holder(run.id) !== null) return "running";
    if (record !== null) return "failed";
    if (existsSync(this.#file(run.id))) return "damaged";
    return existsSync(lastCheckpoint(this.runDirectory(run.id))) ? "begun" : "to do";
  }

  /** The time of a run's record, in milliseconds since 1970; 0 if there is none. */
  async recordedAt(id: string): Promise<number> {
    const found = await stat(this.#file(id)).catch(() => null);
    return found?.mtimeMs ?? 0;
  }

  /** Whether a record was written after a time. A record from the future, which a fast clock dated, does not count. */
  async isAfter(id: string, time: number): Promise<boolean> {
    const written = await this.recordedAt(id);
    return written > time && written <= Date.now() + CLOCK_SLACK;
  }

  /** Writes a record. Only the process that has claimed the run may call it. */
  async write(record: GridRunRecord): Promise<void> {
    await this.#moveDamaged(record);
    await writeFileAtomically(this.#file(record.id), `${JSON.stringify(record, null, 2)}\n`);
  }

  /** The live process that is training a run, in words, or null if there is none. */
  holder(id: string): string | null {
    return holderOf(this.claimPath(id), runNamed(id));
  }

  claimPath(id: string): string {
    return join(this.folder, "claims", `${id}.lock`);
  }

  /**
   * Claims a run for this process.
   * @returns a function that releases it, or null if a live process has claimed it
   */
  claim(id: string): (() => void) | null {
    for (let attempts = CLAIM_ATTEMPTS; ; attempts--) {
      try {
        this.#makeClaims();
        return claimFile(this.claimPath(id), runNamed(id));
      } catch (error) {
        if (error instanceof BatchCamError && error.code === "E_CHECKPOINT") return null;
        if (attempts <= 1 || !isMissing(error)) throw error;
      }
    }
  }

  /** Makes the folder before each claim, because a grid that ends removes it if it is empty. */
  #makeClaims(): void {
    try {
      mkdirSync(join(this.folder, "claims"));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST")
        throw fileFault(`cannot make the folder ${join(this.folder, "claims")}`, error);
    }
  }

  /** Deletes temporary files of a run's record that a killed process left. Only the process that has claimed the run may call it. */
  async sweep(id: string): Promise<void> {
    const folder = join(this.folder, "cells");
    for (const name of await readdir(folder).catch(() => []))
      if (isTemporary(name) && name.startsWith(`.${id}.json-`)) await rm(join(folder, name), { force: true });
  }

  /** Moves a file that is in a record's place but is not a valid record into `damaged/`. */
  async #moveDamaged(run: GridRun): Promise<void> {
    const text = await this.#text(run.id);
    if (text === null || recordIn(text, run) !== null) return;
    await makeFolder(join(this.folder, "damaged"));
    await rename(this.#file(run.id), join(this.folder, "damaged", `${run.id}-${Date.now()}.json`));
  }

  async #text(id: string): Promise<string | null> {
    try {
      return await readRegularText(this.#file(id));
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      if (code === "ENOENT") return null;
      throw new BatchCamError("E_IO", `compare: cannot read ${this.#file(id)}: ${message}`, { cause });
    }
  }

  #file(id: string): string {
    return join(this.folder, "cells", `${id}.json`);
  }
}

const DIGESTS = "data.json";

/** Milliseconds by which file times may be ahead of this process's clock. */
const CLOCK_SLACK = 2000;

/** How often another process may remove the folder of the claims between its creation and the claim. */
const CLAIM_ATTEMPTS = 1000;

const isMissing = (error: unknown): boolean =>
  error instanceof BatchCamError && (error.cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT";

const runNamed = (id: string): string => `the run ${id} of a grid`;

/** Parses a run's record, or returns null if the text is incomplete, lacks a required field, or belongs to another run. */
function recordIn(text: string, run: GridRun): GridRunRecord | null {
  try {
    const record = JSON.parse(text) as Partial<GridRunRecord> | null;
    if (record?.schemaVersion !== 1 || record.id !== run.id || !isObject(record.config)) return null;
    if (record.data !== run.data || !isSameRun(record.config, run.config, run.data)) return null;
    if (record.status === "failed") return isObject(record.error) ? (record as GridRunRecord) : null;
    return record.status === "done" && isWhole(record) ? (record as GridRunRecord) : null;
  } catch {
    return null;
  }
}

/** Whether the record of a finished run has the fields that every comparison reads. */
function isWhole({ test, history, samples, environment }: Partial<DoneRun>): boolean {
  const numbers: unknown[] = [test?.accuracy, test?.crossEntropy, test?.images];
  const lists: unknown[] = [history, samples?.labels, samples?.classNames, samples?.images, samples?.maps];
  const epochs = Array.isArray(history) && history.every((epoch) => isObject(epoch) && typeof epoch.epoch === "number");
  return isObject(environment) && epochs && numbers.every(isNumberOrNull) && lists.every(Array.isArray);
}

/** JSON stores values that are not finite as null. */
const isNumberOrNull = (value: unknown): boolean => value === null || typeof value === "number";

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
