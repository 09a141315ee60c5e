import { describeValue } from "../arguments.ts";
import { native } from "../engine/addon.ts";
import { cpuFeatures, usableCores } from "../engine/capability.ts";
import { arena } from "../engine/dispatch.ts";
import { type KernelLevel, switchValue } from "../engine/switches.ts";
import { BatchCamError } from "../errors.ts";
import { releaseCaches } from "./tensor-cache.ts";

export interface MemoryStatistics {
  /** Tensors of this thread that are not yet disposed. */
  liveTensors: number;
  /** Bytes of tensor memory in the process, whatever holds it: tensors, graphs, caches. */
  bytes: number;
  /** The most that `bytes` has been, since the start or the last `resetPeakMemory`. */
  peakBytes: number;
  /** Bytes that no tensor holds, kept for the next ones: a training step asks for the same blocks again and again. */
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
 * Frees what this thread keeps only to save time (weights of resizings, weights that inference has folded), and gives the
 * memory that no tensor holds back to the system. Rarely needed: the first is bounded, and of the second the process never
 * holds more than 1.5 times what its tensors once needed together, and 64 MiB.
 */
export function emptyCache(): void {
  releaseCaches();
  native.emptyCache();
}

/** How many threads one operator may use. */
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
  /** libtorch's version. */
  version: string;
  /** The instruction set that libtorch's kernels chose: DEFAULT, AVX2, AVX512. */
  cpuCapability: string;
  /** The level of this package's own kernels that runs: the highest that the processor has and `BATCH_CAM_KERNELS` allows. */
  kernels: KernelLevel;
  /** The levels that this processor has, the lowest first. */
  kernelLevels: readonly KernelLevel[];
  /** Physical cores that this process may use. */
  cores: number;
  /**
   * Whether bfloat16 products are faster than float32 ones here; `BATCH_CAM_BFLOAT16` (on, off) answers instead of the
   * processor.
   */
  fastBfloat16: boolean;
}

/** The hardware and the libraries that the engine uses. */
export function capabilities(): Capabilities {
  const { version, cpuCapability, kernelLevel, kernelLevels } = native.capabilities();
  const kernels = { kernels: kernelLevel, kernelLevels };
  return { version, cpuCapability, ...kernels, cores: usableCores(), fastBfloat16: hasFastBfloat16() };
}

function hasFastBfloat16(): boolean {
  const forced = switchValue("BATCH_CAM_BFLOAT16") ?? "auto";
  return forced === "auto" ? cpuFeatures().fastBfloat16 : forced === "on";
}
