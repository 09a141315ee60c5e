import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { arch, cpus, hostname, platform, release, totalmem } from "node:os";
import { join } from "node:path";
import { BatchCamError } from "../../errors.ts";
import { readRegularText } from "../../regular-file.ts";
import { capabilities, getNumThreads } from "../../tensor/index.ts";

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

/** What a run keeps of where it ran: where it began, and what was different from some step on. */
export type RunEnvironment = Partial<Environment> & { resumed?: readonly ResumedEnvironment[] };

/** What was different from the part of the run before, when it was resumed. */
export type ResumedEnvironment = Partial<Environment> & {
  /** The first step that was taken there, counted from 1. */
  fromStep: number;
};

export function environment({ seed, precision }: Pick<Environment, "seed" | "precision">): Environment {
  const { version, cpuCapability, kernels } = capabilities();
  const { version: own } = createRequire(import.meta.url)("../../../package.json") as { version: string };
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
export async function readEnvironment(runDirectory: string): Promise<RunEnvironment> {
  const path = join(runDirectory, "environment.json");
  try {
    const found: unknown = JSON.parse(await readRegularText(path));
    if (typeof found === "object" && found !== null) return withParts(found);
    throw new Error("it holds no object");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return {};
    throw new BatchCamError("E_CHECKPOINT", `cannot read ${path}: ${message}`, { cause });
  }
}

/** Without what no run wrote in place of its later parts. */
function withParts({ resumed, ...first }: { resumed?: unknown }): RunEnvironment {
  if (!Array.isArray(resumed)) return first;
  const parts = resumed.filter((part: Partial<ResumedEnvironment> | null) => Number.isSafeInteger(part?.fromStep));
  return parts.length === 0 ? first : { ...first, resumed: parts };
}

/** What is kept of a part of a run that says nothing of the numbers. */
const OF_THE_MOMENT: readonly string[] = ["startedAt"] satisfies (keyof Environment)[];

/**
 * What a run that goes on keeps of where it ran, or null if that is what it keeps already.
 *
 * @param before `environment.json`
 * @param fromStep the first step that will be taken, counted from 1: what was kept of later ones is void
 */
export function resumedEnvironment(before: RunEnvironment, now: Environment, fromStep: number): RunEnvironment | null {
  const { resumed = [], ...first } = before;
  const kept = resumed.filter((part) => part.fromStep < fromStep);
  const last: Record<string, unknown> = Object.assign({}, first, ...kept);
  const changed = Object.entries(now).filter(([key, value]) => !OF_THE_MOMENT.includes(key) && last[key] !== value);
  if (changed.length === 0 && kept.length === resumed.length) return null;
  const part = { fromStep, startedAt: now.startedAt, ...Object.fromEntries(changed) };
  const parts = changed.length === 0 ? kept : [...kept, part];
  return { ...first, ...(parts.length === 0 ? {} : { resumed: parts }) };
}

/** Without parts that were begun and took no step: a run that is complete may be resumed anywhere. */
export function environmentUntil({ resumed = [], ...first }: RunEnvironment, step: number): RunEnvironment {
  const kept = resumed.filter(({ fromStep }) => fromStep <= step);
  return kept.length === 0 ? first : { ...first, resumed: kept };
}

/** What is known of where a run ran, each value with those of its later parts: "1, and 2 from step 7 on". */
export function environmentInWords({ resumed = [], ...first }: RunEnvironment): Record<string, string | number> {
  const words = Object.entries(first).flatMap(([key, value]) => {
    const later = resumed.flatMap((part) => {
      const changed = OF_THE_MOMENT.includes(key) ? undefined : part[key as keyof Environment];
      return changed === undefined ? [] : [`${changed ?? "unknown"} from step ${part.fromStep} on`];
    });
    if (later.length > 0) return [[key, [value ?? "unknown", ...later].join(", and ")] as const];
    return value === null || value === undefined ? [] : [[key, value] as const];
  });
  return Object.fromEntries(words);
}

/** What a run's numbers depend on beside its config, to the last bit. */
export const DECISIVE = ["batchCam", "libtorch", "cpu", "cpuCapability", "kernels", "threads", "precision"] as const;

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
