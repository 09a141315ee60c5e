import { createRequire } from "node:module";
import { addonPath, explainLoadFailure } from "./find.ts";
import { setSpinCount } from "./preload.ts";
import { expectSwitches, type KernelLevel } from "./switches.ts";

/**
 * All functions of the C++ addon. This interface and native/binding/ are the whole interface between TypeScript and
 * C++. Handles and operators are int32.
 */
export interface NativeAddon {
  /** Shares the buffer through which arguments and results are passed. It must be called once, before anything else. */
  bindArena(arena: Float64Array): void;
  /** Index of an operator for `run`, or -1 if this libtorch does not have it. */
  resolve(name: string, overload: string): number;
  /**
   * Runs an operator on the arguments in the arena. Returns the handle of a single result tensor, 0 if the results are
   * in the arena, or -1 on failure.
   */
  run(operator: number): number;
  /** Runs an operator that writes to one of its arguments. Returns 0, or -1 on failure. */
  runInPlace(operator: number): number;
  internString(text: string): number;
  schemas(): string[];
  /** The schema of an operator that `resolve` found. */
  schemaOf(operator: number): string;

  /** Makes a tensor. Its rank and shape are read from the arena. */
  fromBytes(data: ArrayBufferView, dtype: number): number;
  readBytes(handle: number, offset: number, target: Uint8Array): number;
  writeBytes(handle: number, offset: number, source: Uint8Array): number;
  /** Writes to the arena: dtype, device type, device index, requires grad, is leaf, is contiguous, rank, sizes... */
  describeTensor(handle: number): number;
  /** Number of in-place changes of a tensor. */
  versionOf(handle: number): number;
  /** Frees the handles in the arena. `collected` says whether the garbage collector found them unreachable. */
  release(count: number, collected: boolean): number;

  /**
   * Reads outputs, inputs and output gradients as three lists from the arena, and writes the gradients of the inputs to
   * it, with -1 for an unused input.
   */
  grad(retainGraph: boolean, createGraph: boolean, allowUnused: boolean): number;
  backward(retainGraph: boolean, createGraph: boolean): number;
  setRequiresGrad(handle: number, value: boolean): number;
  gradientOf(handle: number): number;
  setGradient(handle: number, gradient: number): number;
  setGradMode(enabled: boolean): boolean;
  /** Writes the previous state to the arena: enabled, dtype. */
  enterAutocast(enabled: boolean, dtype: number): void;
  leaveAutocast(enabled: boolean, dtype: number): void;
  /** Sets whether autograd copies the tensors that it saves in this thread, and returns the previous state. */
  copySaved(enabled: boolean): boolean;

  /** The message of the last failed call. */
  lastError(): string;
  /** Its kind; native-error.ts lists them. */
  lastErrorKind(): string;
  /** Calls `listener` for warnings of libtorch from now on, once for each place in its source that warns. */
  onWarning(listener: (text: string) => void): void;
  manualSeed(seed: number): void;
  rngState(): number;
  setRngState(handle: number): number;
  setThreads(count: number): void;
  getThreads(): number;
  /** Writes to the arena: live tensors, bytes, peak bytes, cached bytes. */
  memory(): void;
  resetPeak(): void;
  emptyCache(): void;
  /** Lets this thread allocate at most this many bytes more, and returns the previous limit for `restoreMemoryLimit`. */
  limitMemory(bytes: number): number;
  restoreMemoryLimit(limit: number): void;
  capabilities(): NativeCapabilities;
  /** Whether `batch_cam::winograd_conv` supports a 3x3 convolution of these sizes; `inner` and `outer` are channels. */
  supportsWinograd(
    images: number,
    inner: number,
    outer: number,
    height: number,
    width: number,
    padding: number,
    bfloat16: boolean,
  ): boolean;

  /**
   * Starts to record operators, backward nodes and spans, at most `limit` of each. Returns -1 if a recording has
   * already started.
   */
  startRecording(limit: number): number;
  /** Opens a span of the recording, which ends at `endSpan`. Operators are recorded only within spans. */
  beginSpan(kind: number, name: string): void;
  endSpan(): void;
  stopRecording(): NativeRecording | undefined;
}

/** A recording in the layout of native/binding/profiler.cc. Names and shapes are indices into `strings`. */
export interface NativeRecording {
  rows: Float64Array;
  strings: string[];
  /** Number of rows that exceeded the limit. */
  dropped: number;
}

/** The properties of the loaded libtorch. */
export interface NativeCapabilities {
  version: string;
  /** The instruction set that libtorch's kernels use, by its name: DEFAULT, AVX2, AVX512. */
  cpuCapability: string;
  /** The level of the package's own kernels that is used, and the levels that this processor supports. */
  kernelLevel: KernelLevel;
  kernelLevels: KernelLevel[];
  mkldnn: boolean;
  mkl: boolean;
  gloo: boolean;
  /** Whether there are products of small matrices for a dtype; `convnext_mlp` needs them. */
  productsFloat32: boolean;
  productsBfloat16: boolean;
}

function load(): NativeAddon {
  expectSwitches();
  const path = addonPath();
  setSpinCount();
  const addon = loadFrom(path);
  addon.onWarning((text) => process.emitWarning(`libtorch: ${text}`));
  return addon;
}

function loadFrom(path: string): NativeAddon {
  try {
    return createRequire(import.meta.url)(path) as NativeAddon;
  } catch (error) {
    throw explainLoadFailure(error);
  }
}

export const native: NativeAddon = load();
