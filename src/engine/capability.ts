import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Parses a CPU list: "0-2,5" is [0, 1, 2, 5]. */
function cpuList(text: string): number[] {
  return text
    .trim()
    .split(",")
    .filter((part) => part !== "")
    .flatMap((part) => {
      const [first = 0, last = first] = part.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
}

/** The CPU quota of the container, in CPUs, from cgroup v2 or v1; Infinity without a limit. */
function quota(root: string): number {
  const bounds: number[] = [];
  for (const line of read(join(root, "proc/self/cgroup")).split("\n")) {
    const [, controllers = "", path = ""] = line.split(":");
    if (controllers === "") {
      const parts = path.split("/").filter(Boolean);
      for (let depth = parts.length; depth >= 0; depth--) {
        const [most, period] = read(join(root, "sys/fs/cgroup", ...parts.slice(0, depth), "cpu.max")).split(/\s+/);
        bounds.push(Number(most) / Number(period));
      }
    } else if (controllers.split(",").includes("cpu")) {
      for (const folder of [join(root, "sys/fs/cgroup/cpu", path), join(root, "sys/fs/cgroup/cpu")]) {
        bounds.push(
          Number(read(join(folder, "cpu.cfs_quota_us")) || Number.NaN) /
            Number(read(join(folder, "cpu.cfs_period_us")) || Number.NaN),
        );
      }
    }
  }
  return Math.min(Number.POSITIVE_INFINITY, ...bounds.filter((bound) => bound > 0));
}

/**
 * Number of physical cores that this process may use: the cores in its affinity mask, counting hyper-threads of one
 * core once, limited by the container's quota. At least 1.
 *
 * @param root folder of /proc and /sys
 */
export function usableCores({ root = "/" }: { root?: string } = {}): number {
  const allowed = cpuList(read(join(root, "proc/self/status")).match(/^Cpus_allowed_list:\s*(\S+)/m)?.[1] ?? "");
  const cores = new Set(
    allowed.map(
      (cpu) =>
        read(join(root, `sys/devices/system/cpu/cpu${cpu}/topology/thread_siblings_list`)).trim() || `cpu ${cpu}`,
    ),
  );
  const physical = cores.size > 0 ? cores.size : availableParallelism();
  return Math.max(1, Math.min(physical, Math.ceil(quota(root))));
}

export interface CpuFeatures {
  avx2: boolean;
  avx512: boolean;
  amx: boolean;
  /**
   * Whether matrix products in bfloat16 are faster than in float32, because the processor has instructions for them
   * (AVX-512, AMX or Arm).
   */
  fastBfloat16: boolean;
}

export function cpuFeatures({ root = "/" }: { root?: string } = {}): CpuFeatures {
  const text = read(join(root, "proc/cpuinfo")).match(/^(?:flags|Features)\s*:(.*)$/m)?.[1] ?? "";
  const flags = new Set(text.trim().split(/\s+/));
  const amx = flags.has("amx_tile");
  return {
    avx2: flags.has("avx2"),
    avx512: flags.has("avx512f"),
    amx,
    fastBfloat16: flags.has("amx_bf16") || flags.has("avx512_bf16") || flags.has("bf16"),
  };
}

/** Whether the machine has an NVIDIA GPU that this process can see. */
export function hasGpu({ root = "/" }: { root?: string } = {}): boolean {
  return existsSync(join(root, "dev/nvidia0"));
}
