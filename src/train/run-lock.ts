import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { BatchCamError } from "../errors.ts";

interface Owner {
  host: string;
  pid: number;
  /** When the process began, as the kernel counts: tells a process from a later one with its number. */
  began: string;
}

export const RUN_LOCK = "run.lock";

/**
 * Claims a run directory for this process, so that two never write one run. The claim of a process that is gone, on this
 * machine, is taken over.
 *
 * @returns what gives the claim back
 * @throws E_CHECKPOINT where a live process holds it
 */
export function lockRun(runDirectory: string): () => void {
  const path = join(runDirectory, RUN_LOCK);
  try {
    if (!create(path)) takeOver(path, runDirectory);
  } catch (cause) {
    if (cause instanceof BatchCamError) throw cause;
    throw new BatchCamError("E_IO", `cannot claim ${runDirectory}: ${(cause as Error).message}`, { cause });
  }
  return () => {
    if (readFileOr(path, "") === claim()) rmSync(path, { force: true });
  };
}

/** Takes the place of a process that is gone. Only who holds the second lock may remove the first, so that one succeeds. */
function takeOver(path: string, runDirectory: string): void {
  const guard = `${path}.takeover`;
  refuseLive(path, runDirectory);
  if (!create(guard)) {
    refuseLive(guard, runDirectory);
    rmSync(guard, { force: true });
    if (!create(guard)) throw inUse(runDirectory, guard);
  }
  try {
    refuseLive(path, runDirectory);
    rmSync(path, { force: true });
    if (!create(path)) throw inUse(runDirectory, path);
  } finally {
    rmSync(guard, { force: true });
  }
}

function refuseLive(path: string, runDirectory: string): void {
  const owner = readOwner(path);
  if (owner !== null && isAlive(owner)) throw inUse(runDirectory, path, owner);
}

function inUse(runDirectory: string, path: string, owner: Owner | null = readOwner(path)): BatchCamError {
  const who = owner === null ? "another process" : `process ${owner.pid} on ${owner.host}`;
  return new BatchCamError(
    "E_CHECKPOINT",
    `${runDirectory} is in use by ${who}: wait for it, or stop it (remove ${path} if that process is gone)`,
  );
}

function claim(): string {
  const self: Owner = { host: hostname(), pid: process.pid, began: beginning(process.pid) };
  return JSON.stringify(self);
}

/** False where the file is there already. */
function create(path: string): boolean {
  try {
    writeFileSync(path, claim(), { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function readFileOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return otherwise;
  }
}

function readOwner(path: string): Owner | null {
  try {
    return JSON.parse(readFileOr(path, "null")) as Owner | null;
  } catch {
    return null; // torn by a kill
  }
}

function isAlive({ host, pid, began }: Owner): boolean {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  return beginning(pid) === began;
}

function beginning(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return ""; // no /proc here: the number alone must do
  }
}
