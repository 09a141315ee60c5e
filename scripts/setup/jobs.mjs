import { availableParallelism, freemem } from "node:os";
import { SetupFailure } from "./failure.mjs";

/** What the compiler takes at its peak for one file, with libtorch's headers in it, and some room. */
const BYTES_PER_JOB = 2 * 1024 ** 3;

/**
 * How many files are compiled at once: CMAKE_BUILD_PARALLEL_LEVEL, else as many as there are cores and memory for.
 *
 * @param {NodeJS.ProcessEnv} env
 * @param {{ cores?: number, memory?: number }} machine
 */
export function compilerJobs(env, { cores = availableParallelism(), memory = freeMemory() } = {}) {
  const asked = env.CMAKE_BUILD_PARALLEL_LEVEL;
  if (/^[1-9]\d*$/.test(asked ?? "")) return Number(asked);
  if (asked) {
    throw new SetupFailure(
      `CMAKE_BUILD_PARALLEL_LEVEL is "${asked}", and it must be a whole number from 1 on`,
      "set it to how many files may be compiled at once, or unset it",
    );
  }
  return Math.max(1, Math.min(cores, Math.floor(memory / BYTES_PER_JOB)));
}

/** Free memory of the machine, or of the container if that has less. Node before 20.13 knows only the machine's. */
const freeMemory = () => Math.min(freemem(), process.availableMemory?.() ?? Number.POSITIVE_INFINITY);

/**
 * How far a build is ("12 of 40") by a line of ninja's ("[12/40] Building ...") or make's ("[ 30%] Building ...", of as many
 * files as `files` says); null if the line does not tell.
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
