import { availableParallelism, freemem } from "node:os";
import { SetupFailure } from "./failure.mjs";

/** The most memory that the compiler uses for one file with libtorch's headers, plus a reserve. */
const BYTES_PER_JOB = 2 * 1024 ** 3;

/**
 * The number of files that are compiled at the same time: CMAKE_BUILD_PARALLEL_LEVEL, or else as many as cores and memory allow.
 *
 * @param {NodeJS.ProcessEnv} env
 * @param {{ cores?: number, memory?: number }} machine
 */
export function compilerJobs(env, { cores = availableParallelism(), memory = freeMemory() } = {}) {
  const asked = env.CMAKE_BUILD_PARALLEL_LEVEL;
  if (/^[1-9]\d*$/.test(asked ?? "")) return Number(asked);
  if (asked) {
    throw new SetupFailure(
      `CMAKE_BUILD_PARALLEL_LEVEL is "${asked}", but it must be a whole number of at least 1`,
      "set it to the number of files to compile at the same time, or unset it",
    );
  }
  return Math.max(1, Math.min(cores, Math.floor(memory / BYTES_PER_JOB)));
}

/** Free memory of the machine, or of the container if that has less. Node before 20.13 can read only the machine's. */
const freeMemory = () => Math.min(freemem(), process.availableMemory?.() ?? Number.POSITIVE_INFINITY);

/**
 * The progress of a build ("12 of 40") from a line of ninja ("[12/40] Building ...") or make ("[ 30%] Building ...", of `files` files), or
 * null if the line does not contain it.
 *
 * @param {string} line
 * @param {number} files
 */
export function buildProgress(line, files) {
  const [, done, total] = /^\[(\d+)\/(\d+)\]/.exec(line) ?? [];
  if (total) return `${done} of ${total}`;
  const percent = /^\[\s*(\d+)%\]/.exec(line)?.[1];
  return percent && files > 0 ? `${Math.round((Number(percent) / 100) * files)} of ${files}` : null;
}
