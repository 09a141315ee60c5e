import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { native } from "../native/addon.ts";
export interface Capabilities { version: string; cpuCapability: string; cores: number; fastBfloat16: boolean; }
export function capabilities(): Capabilities {
  const { version, cpuCapability } = native.capabilities();
  return { version, cpuCapability, cores: availableParallelism(), fastBfloat16: /avx512_bf16|amx_bf16/.test(readFileSync("/proc/cpuinfo", "utf8")) };
}
