import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { arch, cpus, hostname, platform, release, totalmem } from "node:os";
import { join } from "node:path";
import { BatchCamError } from "../errors.ts";
import { readRegularText } from "../regular-file.ts";
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
  /** Level of the package's own kernels that ran. */
  kernels: string;
  threads: number;
  memoryGiB: number;
  precision: "float32" | "bfloat16";
  seed: number;
  /** Commit of the folder the run was started in, where that is a git checkout. */
  git: string | null;
  startedAt: string;
}

export function environment({ seed, precision }: Pick<Environment, "seed" | "precision">): Environment {
  const { version, cpuCapability, kernels } = capabilities();
  const { version: own } = createRequire(import.meta.url)("../../package.json") as { version: string };
  return {
    batchCam: own,
    node: process.version,
    libtorch: version,
    platform: `${platform()} ${release()} ${arch()}`,
    host: hostname(),
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cpuCapability,
    kernels,
    threads: getNumThreads(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    precision,
    seed,
    git: commit(),
    startedAt: new Date().toISOString(),
  };
}

/**
 * What a run says of where it began; nothing where it has no `environment.json`.
 * @throws E_CHECKPOINT where that is damaged
 */
export async function readEnvironment(runDirectory: string): Promise<Partial<Environment>> {
  const path = join(runDirectory, "environment.json");
  try {
    const found: unknown = JSON.parse(await readRegularText(path));
    if (typeof found === "object" && found !== null) return found;
    throw new Error("it holds no object");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return {};
    throw new BatchCamError("E_CHECKPOINT", `cannot read ${path}: ${message}`, { cause });
  }
}

/** What a run's numbers depend on beside its config, to the last bit. */
const DECISIVE = ["batchCam", "libtorch", "cpu", "cpuCapability", "kernels", "threads", "precision"] as const;

/**
 * Fails where a run that must be deterministic would go on in other surroundings than it began in.
 *
 * @throws E_CHECKPOINT naming each difference
 */
export function expectSameEnvironment(before: Partial<Environment>, now: Environment): void {
  const changed = DECISIVE.filter((key) => (before[key] ?? null) !== now[key]);
  if (changed.length === 0) return;
  const faults = changed.map((key) => `${key} was ${before[key] ?? "not set"} and is ${now[key] ?? "not set"}`);
  throw new BatchCamError(
    "E_CHECKPOINT",
    `deterministic: the numbers would come out otherwise here: ${faults.join("; ")}. Go on where the run began, or without deterministic`,
  );
}

function commit(): string | null {
  try {
    return execFileSync("git", ["rev-parse", "HEAD"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return null;
  }
}
