import { describeValue } from "../arguments.ts";
import {
  arena,
  cpuFeatures,
  failureKind,
  type KernelLevel,
  native,
  switchValue,
  usableCores,
} from "../engine/internal.ts";
import { BatchCamError } from "../errors.ts";
import { releaseCaches } from "./tensor-cache.ts";

export interface MemoryStatistics {
  /** The number of tensors of this thread that are not disposed. */
  liveTensors: number;
  /** The bytes of tensor memory in the process, including that of graphs and caches. */
  bytes: number;
  /** The maximum of `bytes` since the start or the last `resetPeakMemory`. */
  peakBytes: number;
  /**
   * Bytes that no tensor uses and that are kept for the next tensors, because a training step allocates the same sizes
   * again and again.
   */
  cachedBytes: number;
}

export function memory(): MemoryStatistics {
  native.memory();
  const [liveTensors = 0, bytes = 0, peakBytes = 0, cachedBytes = 0] = arena;
  return { liveTensors, bytes, peakBytes, cachedBytes };
}

export function resetPeakMemory(): void {
  native.resetPeak();
}

/**
 * Runs `fn`, which must be synchronous, while the tensors of this thread may use at most `bytes` more than they do now. An operator that
 * needs more memory fails with an error for which `isOutOfMemory` holds.
 */
export function withMemoryLimit<T>(bytes: number, fn: () => T): T {
  const before = native.limitMemory(bytes);
  try {
    return fn();
  } finally {
    native.restoreMemoryLimit(before);
  }
}

/** Whether an operator needed more memory than there is, or than `withMemoryLimit` allows. */
export const isOutOfMemory = (error: unknown): boolean => failureKind(error) === "memory";

/**
 * Frees the values that this thread keeps only to save time (interpolation weights, and folded weights of inference), and returns memory
 * that no tensor uses to the system. It is rarely needed: the caches are bounded, and the process never keeps more than 1.5 times the
 * largest amount that its tensors needed, plus 64 MiB.
 */
export function emptyCache(): void {
  releaseCaches();
  native.emptyCache();
}

/** The number of threads that one operator may use. */
export function setNumThreads(count: number): void {
  if (!Number.isInteger(count) || count < 1 || count > 1024) {
    throw new BatchCamError("E_ARGUMENT", `setNumThreads: expected 1 to 1024, got ${describeValue(count)}`);
  }
  native.setThreads(count);
}

export function getNumThreads(): number {
  return native.getThreads();
}

export interface Capabilities {
  /** The version of libtorch. */
  version: string;
  /** The instruction set that libtorch's kernels use: DEFAULT, AVX2 or AVX512. */
  cpuCapability: string;
  /** The level of this package's own kernels: the highest one that the processor supports and `BATCH_CAM_KERNELS` allows. */
  kernels: KernelLevel;
  /** The levels that this processor supports, the lowest first. */
  kernelLevels: readonly KernelLevel[];
  /** The number of physical cores that this process may use. */
  cores: number;
  /** Whether bfloat16 products are faster than float32 ones on this processor. `BATCH_CAM_BFLOAT16` (on, off) overrides the answer. */
  fastBfloat16: boolean;
  /** The value of `BATCH_CAM_BFLOAT16`, which overrides measurements too; null if it is not set or "auto". */
  forcedBfloat16: "on" | "off" | null;
}

/** The hardware and the libraries that the engine uses. */
export function capabilities(): Capabilities {
  const { version, cpuCapability, kernelLevel, kernelLevels } = native.capabilities();
  const kernels = { kernels: kernelLevel, kernelLevels };
  const switched = switchValue("BATCH_CAM_BFLOAT16") ?? "auto";
  const forcedBfloat16 = switched === "auto" ? null : switched;
  const fastBfloat16 = forcedBfloat16 === null ? cpuFeatures().fastBfloat16 : forcedBfloat16 === "on";
  return { version, cpuCapability, ...kernels, cores: usableCores(), fastBfloat16, forcedBfloat16 };
}
