import { existsSync, mkdirSync } from "node:fs";
import { readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { fileFault, isTemporary, makeFolder, removeIfEmpty, writeFileAtomically } from "../../atomic-file.ts";
import { BatchCamError } from "../../errors.ts";
import { readRegularText } from "../../regular-file.ts";
import { lastCheckpoint } from "../../train/run/checkpoint.ts";
import { claimFile, holderOf } from "../../train/run/run-lock.ts";
import { cellId, isSameRun } from "./cells.ts";
import type { DataDigests } from "./data-digests.ts";
import { type Grid, gridFile } from "./grid.ts";
import { gridFault } from "./grid-lists.ts";
import type { Cell, CellRecord, DoneCell } from "./records.ts";

/** How far a cell is. `damaged`: its record cannot be read, or is of another run; it is moved aside where the cell is run. */
export type CellState = "to do" | "begun" | "running" | "done" | "failed" | "damaged";

/**
 * A grid's results folder: `cells/<id>.json`, a record each, which are all that counts; folders are merged by copying them
 * together. Beside them `grid.yaml` as last run and `data.json`, the digests of its images, `runs/<id>`, the run directories of cells in progress, `claims/<id>.lock`,
 * which name the process at work, and `damaged/`, what could not be read. A grid that ends removes `runs/` and `claims/` if they are empty.
 */
export class Store {
  readonly folder: string;

  /** @param folder `<output>/<name>`; nothing is written before `prepare` */
  constructor(folder: string) {
    this.folder = folder;
  }

  /**
   * Makes the folder of the records; those of runs and claims are made when they are needed.
   * @throws E_CONFIG where the folder holds other things and no store
   */
  async prepare(): Promise<void> {
    const names: string[] = await readdir(this.folder).catch(() => []);
    const others = names.filter((name) => name !== "grid.yaml" && !isTemporary(name));
    if (others.length > 0 && !names.includes("cells")) {
      const held = others.slice(0, 3).join(", ");
      throw gridFault(
        `${this.folder} holds ${held} and no results of a grid (it has no cells/): give another --name or --output`,
      );
    }
    await makeFolder(join(this.folder, "cells"));
  }

  /** Removes the folders that only a grid at work needs, unless something is in them: another process may be at work. */
  removeEmptyFolders(): void {
    for (const name of ["runs", "claims"]) removeIfEmpty(join(this.folder, name));
  }

  /** What the folder's grid was when it was last run. */
  async writeGrid(grid: Grid, threads: number): Promise<void> {
    const head = "# The grid as last run: batch-cam compare <this file> goes on with it.\n";
    await writeFileAtomically(join(this.folder, "grid.yaml"), head + stringify({ ...gridFile(grid), threads }));
  }

  /** Threads of the runs so far, as `grid.yaml` has them; null where it says nothing. */
  async threads(): Promise<number | null> {
    const text = await readRegularText(join(this.folder, "grid.yaml")).catch(() => "");
    const [, threads] = text.match(/^threads: (\d{1,4})$/m) ?? [];
    return threads === undefined ? null : Number(threads);
  }

  /** Which images the grid's data sets of one's own were when it was last run: what reports go by, which have no need of the images. */
  async writeDigests(digests: DataDigests): Promise<void> {
    if (digests.size === 0) return;
    await writeFileAtomically(join(this.folder, DIGESTS), `${JSON.stringify(Object.fromEntries(digests), null, 2)}\n`);
  }

  /** None where the folder is of a version that kept no digests, or the file is damaged. */
  async digests(): Promise<Map<string, string>> {
    try {
      const kept = JSON.parse(await readRegularText(join(this.folder, DIGESTS))) as Record<string, unknown>;
      return new Map(Object.entries(kept).filter((entry): entry is [string, string] => typeof entry[1] === "string"));
    } catch {
      return new Map();
    }
  }

  /** Cells that an earlier version has a record of, which does not say of which images it is. */
  withoutDigest(cells: readonly Cell[], explanations: number): Cell[] {
    return cells.filter(
      ({ id, config, data }) =>
        data !== undefined && !existsSync(this.#file(id)) && existsSync(this.#file(cellId(config, explanations))),
    );
  }

  runDirectory(id: string): string {
    return join(this.folder, "runs", id);
  }

  /** A cell's record, with the names that the cell has in its grid of today; null where there is none that can be trusted. */
  async read(cell: Cell): Promise<CellRecord | null> {
    const text = await this.#text(cell.id);
    const record = text === null ? null : recordIn(text, cell);
    if (record === null) return null;
    const { model, dataset, method, kind } = cell;
    return { ...record, model, dataset, method, kind };
  }

  async state(cell: Cell): Promise<CellState> {
    const record = await this.read(cell);
    if (record?.status === "done") return "done";
    if (this.holder(cell.id) !== null) return "running";
    if (record !== null) return "failed";
    if (existsSync(this.#file(cell.id))) return "damaged";
    return existsSync(lastCheckpoint(this.runDirectory(cell.id))) ? "begun" : "to do";
  }

  /** Whether a record was written at a time (milliseconds) or later; not where a clock that runs ahead dated it. */
  async isSince(id: string, time: number): Promise<boolean> {
    const found = await stat(this.#file(id)).catch(() => null);
    return found !== null && found.mtimeMs >= time && found.mtimeMs <= Date.now() + CLOCK_SLACK;
  }

  /** Only for who holds the cell's claim. */
  async write(record: CellRecord): Promise<void> {
    await this.#moveDamaged(record);
    await writeFileAtomically(this.#file(record.id), `${JSON.stringify(record, null, 2)}\n`);
  }

  /** The live process at work on a cell, in words; null where there is none. */
  holder(id: string): string | null {
    return holderOf(this.claimPath(id), runNamed(id));
  }

  claimPath(id: string): string {
    return join(this.folder, "claims", `${id}.lock`);
  }

  /**
   * Claims a cell for this process.
   * @returns what gives it back; null where a live process holds it
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

  /** Before each claim, since a grid that ends removes the folder if it is empty. */
  #makeClaims(): void {
    try {
      mkdirSync(join(this.folder, "claims"));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST")
        throw fileFault(`cannot make the folder ${join(this.folder, "claims")}`, error);
    }
  }

  /** Temporary files that a killed process left of a cell's record. Only for who holds the cell's claim. */
  async sweep(id: string): Promise<void> {
    const folder = join(this.folder, "cells");
    for (const name of await readdir(folder).catch(() => []))
      if (isTemporary(name) && name.startsWith(`.${id}.json-`)) await rm(join(folder, name), { force: true });
  }

  /** Keeps what stands in a record's place and is none, out of the way. */
  async #moveDamaged(cell: Cell): Promise<void> {
    const text = await this.#text(cell.id);
    if (text === null || recordIn(text, cell) !== null) return;
    await makeFolder(join(this.folder, "damaged"));
    await rename(this.#file(cell.id), join(this.folder, "damaged", `${cell.id}-${Date.now()}.json`));
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

/** In milliseconds: how far file times may be ahead of this process. */
const CLOCK_SLACK = 2000;

/** How often another process may remove the folder of the claims between its making and the claim. */
const CLAIM_ATTEMPTS = 20;

const isMissing = (error: unknown): boolean =>
  error instanceof BatchCamError && (error.cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT";

const runNamed = (id: string): string => `the run ${id} of a grid`;

/** A cell's record in a text; null where it is torn, lacks what every record has, or is of another run. */
function recordIn(text: string, cell: Cell): CellRecord | null {
  try {
    const record = JSON.parse(text) as Partial<CellRecord> | null;
    if (record?.schemaVersion !== 1 || record.id !== cell.id || !isObject(record.config)) return null;
    if (record.data !== cell.data || !isSameRun(record.config, cell.config, cell.data)) return null;
    if (record.status === "failed") return isObject(record.error) ? (record as CellRecord) : null;
    return record.status === "done" && isWhole(record) ? (record as CellRecord) : null;
  } catch {
    return null;
  }
}

/** Whether a finished run's record has the parts that every comparison reads. */
function isWhole({ test, history, samples, environment }: Partial<DoneCell>): boolean {
  const numbers: unknown[] = [test?.accuracy, test?.crossEntropy, test?.images];
  const lists: unknown[] = [history, samples?.labels, samples?.classNames, samples?.images, samples?.maps];
  const epochs = Array.isArray(history) && history.every((epoch) => isObject(epoch) && typeof epoch.epoch === "number");
  return isObject(environment) && epochs && numbers.every(isNumberOrNull) && lists.every(Array.isArray);
}

/** JSON has null for what is not finite. */
const isNumberOrNull = (value: unknown): boolean => value === null || typeof value === "number";

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
