import { native } from "../native/addon.ts";
import { arena } from "../native/dispatch.ts";
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
 * Frees what this thread keeps only to save time (weights of resizings, weights that inference has folded), and gives the memory that
 * no tensor holds back to the system. Rarely needed: the first is bounded, and of the second the process never holds more than 1.5 times
 * what its tensors once needed together, and 64 MiB.
 */
export function emptyCache(): void {
  releaseCaches();
  native.emptyCache();
}
