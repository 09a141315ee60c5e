import { createRequire } from "node:module";
import { addonPath, explainLoadFailure } from "./find.ts";
import { expectSwitches, type KernelLevel } from "./switches.ts";

/** All functions of the C++ addon: this interface and native/binding/ are the whole native surface. Handles and operators are int32. */
export interface NativeAddon {
  /** Shares the buffer that arguments and results pass through; once, before anything else. */
  bindArena(arena: Float64Array): void;
  /** Index of an operator for `run`, or -1 if this libtorch does not have it. */
  resolve(name: string, overload: string): number;
  /** Handle of the one tensor that results, else 0 with the results in the arena; -1 on failure. */
  run(operator: number): number;
  /** For operators that write to an argument: 0, or -1 on failure. */
  runInPlace(operator: number): number;
  internString(text: string): number;
  schemas(): string[];

  /** The arena holds rank and shape. */
  fromBytes(data: ArrayBufferView, dtype: number): number;
  readBytes(handle: number, offset: number, target: Uint8Array): number;
  writeBytes(handle: number, offset: number, source: Uint8Array): number;
  /** dtype, device type, device index, requires grad, is leaf, is contiguous, rank, sizes... in the arena. */
  describeTensor(handle: number): number;
  /** How often a tensor was changed in place. */
  versionOf(handle: number): number;
  /** Frees the handles in the arena; `collected` says whether the garbage collector found them unreachable. */
  release(count: number, collected: boolean): number;

  /** Outputs, inputs and seeds as three lists in the arena; gradients come back in it, -1 for an unused input. */
  grad(retainGraph: boolean, createGraph: boolean, allowUnused: boolean): number;
  backward(retainGraph: boolean, createGraph: boolean): number;
  setRequiresGrad(handle: number, value: boolean): number;
  gradientOf(handle: number): number;
  setGradient(handle: number, gradient: number): number;
  setGradMode(enabled: boolean): boolean;
  /** The state before comes back in the arena: enabled, dtype. */
  enterAutocast(enabled: boolean, dtype: number): void;
  leaveAutocast(enabled: boolean, dtype: number): void;
  /** Sets whether autograd copies the tensors that it saves in this thread; returns the previous state. */
  copySaved(enabled: boolean): boolean;

  lastError(): string;
  /** From here on, calls `listener` for warnings of libtorch's: once for each place in its source that gives them. */
  onWarning(listener: (text: string) => void): void;
  manualSeed(seed: number): void;
  rngState(): number;
  setRngState(handle: number): number;
  setThreads(count: number): void;
  getThreads(): number;
  /** Live tensors, bytes, peak bytes, cached bytes in the arena. */
  memory(): void;
  resetPeak(): void;
  emptyCache(): void;
  capabilities(): NativeCapabilities;
  /** Whether `batch_cam::winograd_conv` supports a 3x3 convolution of these sizes; `inner` and `outer` are channels. */
  supportsWinograd(
    images: number,
    inner: number,
    outer: number,
    height: number,
    width: number,
    padding: number,
  ): boolean;

  /** Starts to record operators, backward nodes and spans, at most `limit` of each; -1 if a recording has begun already. */
  startRecording(limit: number): number;
  /** Opens a span until `endSpan`, as a row of the recording; operators are recorded only within spans. */
  beginSpan(kind: number, name: string): void;
  endSpan(): void;
  stopRecording(): NativeRecording | undefined;
}

/** Rows in the layout of native/binding/profiler.cc; names and shapes are numbers of strings. */
export interface NativeRecording {
  rows: Float64Array;
  strings: string[];
  /** Rows that the limit left out. */
  dropped: number;
}

/** What the loaded libtorch says of itself. */
export interface NativeCapabilities {
  version: string;
  /** The instruction set that its kernels chose, as libtorch names it: DEFAULT, AVX2, AVX512. */
  cpuCapability: string;
  /** The level of the package's own kernels that runs, and those that this processor has. */
  kernelLevel: KernelLevel;
  kernelLevels: KernelLevel[];
  mkldnn: boolean;
  mkl: boolean;
  gloo: boolean;
  /** Whether oneDNN's products of small matrices exist for a dtype; `convnext_mlp` needs them. */
  productsFloat32: boolean;
  productsBfloat16: boolean;
}

function load(): NativeAddon {
  expectSwitches();
  const path = addonPath();
  // Threads of libtorch's OpenMP spin for about a millisecond at each barrier, which starves them all as soon as another
  // process wants a core; a shorter spin costs an idle machine next to nothing. Read when the library loads.
  process.env.GOMP_SPINCOUNT ??= "10000";
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
