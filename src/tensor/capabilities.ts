import { native } from "../native/addon.ts";
import { cpuFeatures, usableCores } from "../native/capability.ts";
import { type KernelLevel, switchValue } from "../native/switches.ts";

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
  /** Whether bfloat16 products are faster than float32 ones here; `BATCH_CAM_BFLOAT16` (on, off) answers instead of the processor. */
  fastBfloat16: boolean;
}

/** What the engine has to work with. */
export function capabilities(): Capabilities {
  const { version, cpuCapability, kernelLevel, kernelLevels } = native.capabilities();
  const kernels = { kernels: kernelLevel, kernelLevels };
  return { version, cpuCapability, ...kernels, cores: usableCores(), fastBfloat16: hasFastBfloat16() };
}

function hasFastBfloat16(): boolean {
  const forced = switchValue("BATCH_CAM_BFLOAT16") ?? "auto";
  return forced === "auto" ? cpuFeatures().fastBfloat16 : forced === "on";
}
