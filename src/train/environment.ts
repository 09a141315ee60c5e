import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { arch, cpus, hostname, platform, release, totalmem } from "node:os";
import { capabilities, getNumThreads } from "../tensor/index.ts";

/** What a run ran on; kept as `environment.json`. */
export interface Environment {
  batchCam: string;
  node: string;
  libtorch: string;
  platform: string;
  host: string;
  cpu: string;
  cpuCapability: string;
  threads: number;
  memoryGiB: number;
  precision: "float32" | "bfloat16";
  seed: number;
  /** Commit of the folder the run was started in, where that is a git checkout. */
  git: string | null;
  startedAt: string;
}

export function environment({ seed, precision }: Pick<Environment, "seed" | "precision">): Environment {
  const { version, cpuCapability } = capabilities();
  const { version: own } = createRequire(import.meta.url)("../../package.json") as { version: string };
  return {
    batchCam: own,
    node: process.version,
    libtorch: version,
    platform: `${platform()} ${release()} ${arch()}`,
    host: hostname(),
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cpuCapability,
    threads: getNumThreads(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    precision,
    seed,
    git: commit(),
    startedAt: new Date().toISOString(),
  };
}

function commit(): string | null {
  try {
    return execFileSync("git", ["rev-parse", "HEAD"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return null;
  }
}
