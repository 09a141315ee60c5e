import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { arch, cpus, hostname, platform, release, totalmem } from "node:os";
import { join } from "node:path";
import { BatchCamError } from "../../errors.ts";
import { readRegularText } from "../../regular-file.ts";
import { capabilities, getNumThreads } from "../../tensor/index.ts";

/** The machine and the versions that a run used, saved as `environment.json`. */
export interface Environment {
  batchCam: string;
  node: string;
  libtorch: string;
  platform: string;
  host: string;
  cpu: string;
  cpuCapability: string;
  /** The instruction-set level of the package's own kernels. */
  kernels: string;
  threads: number;
  memoryGiB: number;
  precision: "float32" | "bfloat16";
  /** The memory layout of activations. */
  layout: "channels last" | "channels first";
  seed: number;
  /** The git commit of the working folder in which the run was started, if it is a git checkout. */
  git: string | null;
  startedAt: string;
}

/** A run's record of its environments: the first one, and the changes with the step from which they apply. */
export type RunEnvironment = Partial<Environment> & { resumed?: readonly ResumedEnvironment[] };

/** The differences from the previous part of the run, found when it was resumed. */
export type ResumedEnvironment = Partial<Environment> & {
  /** The first step taken in that environment, counted from 1. */
  fromStep: number;
};

export function environment({
  seed,
  precision,
  layout,
}: Pick<Environment, "seed" | "precision" | "layout">): Environment {
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
    layout,
    seed,
    git: commit(),
    startedAt: new Date().toISOString(),
  };
}

/**
 * A run's record of the environment that it began in; empty if it has no `environment.json`.
 * @throws E_CHECKPOINT if that is damaged
 */
export async function readEnvironment(runDirectory: string): Promise<RunEnvironment> {
  const path = join(runDirectory, "environment.json");
  try {
    const found: unknown = JSON.parse(await readRegularText(path));
    if (typeof found === "object" && found !== null) return withParts(found);
    throw new Error("it does not contain an object");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return {};
    throw new BatchCamError("E_CHECKPOINT", `cannot read ${path}: ${message}`, { cause });
  }
}

/** Removes entries of the list of later parts that no run could have written. */
function withParts({ resumed, ...first }: { resumed?: unknown }): RunEnvironment {
  if (!Array.isArray(resumed)) return first;
  const parts = resumed.filter((part: Partial<ResumedEnvironment> | null) => Number.isSafeInteger(part?.fromStep));
  return parts.length === 0 ? first : { ...first, resumed: parts };
}

/** The recorded fields that do not affect the numbers. */
const OF_THE_MOMENT: readonly string[] = ["startedAt"] satisfies (keyof Environment)[];

/**
 * The environment record of a run that is resumed, or null if the present one is already right.
 *
 * @param before `environment.json`
 * @param fromStep the first step that will be taken, counted from 1: entries for later steps are void
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

/** Removes parts that took no step, because a complete run may be resumed on any machine. */
export function environmentUntil({ resumed = [], ...first }: RunEnvironment, step: number): RunEnvironment {
  const kept = resumed.filter(({ fromStep }) => fromStep <= step);
  return kept.length === 0 ? first : { ...first, resumed: kept };
}

/** The environment of a run as text, each value with those of later parts, such as "1, and 2 from step 7 on". */
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

/** The fields that affect the last bits of a run's numbers, in addition to its config. */
export const DECISIVE = ["batchCam", "libtorch", "cpu", "cpuCapability", "kernels", "threads", "precision"] as const;

/**
 * Throws if a run that must be deterministic would continue in another environment than the one in which it began.
 *
 * @throws E_CHECKPOINT naming each difference
 */
export function expectSameEnvironment(before: Partial<Environment>, now: Environment): void {
  const changed = DECISIVE.filter((key) => (before[key] ?? null) !== now[key]);
  if (changed.length === 0) return;
  const faults = changed.map((key) => `${key} was ${before[key] ?? "not set"} and is ${now[key] ?? "not set"}`);
  throw new BatchCamError(
    "E_CHECKPOINT",
    `deterministic: the numbers would be different here: ${faults.join("; ")}. Continue in the environment in which the run was started, or without deterministic`,
  );
}

function commit(): string | null {
  try {
    return execFileSync("git", ["rev-parse", "HEAD"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return null;
  }
}
