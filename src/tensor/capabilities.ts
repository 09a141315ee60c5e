import { native } from "../native/addon.ts";
import { cpuFeatures, usableCores } from "../native/capability.ts";

export interface Capabilities {
  /** libtorch's version. */
  version: string;
  /** The instruction set that its kernels chose: DEFAULT, AVX2, AVX512. */
  cpuCapability: string;
  /** Physical cores that this process may use. */
  cores: number;
  /** Whether bfloat16 products are faster than float32 ones here. */
  fastBfloat16: boolean;
}

/** What the engine has to work with. */
export function capabilities(): Capabilities {
  const { version, cpuCapability } = native.capabilities();
  return { version, cpuCapability, cores: usableCores(), fastBfloat16: cpuFeatures().fastBfloat16 };
}
