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

/**
 * Claims a run directory for this process, so that two never write one run. The claim of a process that is gone, on this
 * machine, is taken over.
 *
 * @returns what gives the claim back
 * @throws E_CHECKPOINT where a live process holds it
 */
export function lockRun(runDirectory: string): () => void {
  const path = join(runDirectory, "run.lock");
  const self: Owner = { host: hostname(), pid: process.pid, began: beginning(process.pid) };
  const owner = readOwner(path);
  if (owner !== null && isAlive(owner)) {
    throw new BatchCamError(
      "E_CHECKPOINT",
      `${runDirectory} is in use by process ${owner.pid} on ${owner.host}: wait for it, or stop it (remove ${path} if that process is gone)`,
    );
  }
  rmSync(path, { force: true });
  try {
    writeFileSync(path, JSON.stringify(self), { flag: "wx" });
  } catch (cause) {
    throw new BatchCamError("E_IO", `cannot claim ${runDirectory}: ${(cause as Error).message}`, { cause });
  }
  return () => rmSync(path, { force: true });
}

function readOwner(path: string): Owner | null {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Owner;
  } catch {
    return null; // none, or torn by a kill
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
