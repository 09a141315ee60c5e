import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { cpuFeatures, hasGpu, usableCores } from "./capability.ts";

function machine(files: Record<string, string>): { root: string } {
  const root = temporaryFolder("machine");
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return { root };
}

const siblings = (cpu: number) => `sys/devices/system/cpu/cpu${cpu}/topology/thread_siblings_list`;
const FOUR = { "proc/self/status": "Name:\tnode\nCpus_allowed_list:\t0-3\n" };

describe("usableCores", () => {
  it("counts the CPUs of the affinity mask where nothing is known of siblings", () => {
    expect(usableCores(machine(FOUR))).toBe(4);
    expect(usableCores(machine({ "proc/self/status": "Cpus_allowed_list:\t1,4-5\n" }))).toBe(3);
  });

  it("counts the threads of one core once", () => {
    expect(
      usableCores(
        machine({ ...FOUR, [siblings(0)]: "0,2", [siblings(2)]: "0,2", [siblings(1)]: "1,3", [siblings(3)]: "1,3" }),
      ),
    ).toBe(2);
  });

  it("respects the quota of a cgroup, its parents' too", () => {
    expect(
      usableCores(machine({ ...FOUR, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n" })),
    ).toBe(2);
    expect(
      usableCores(
        machine({
          ...FOUR,
          "proc/self/cgroup": "0::/a/b\n",
          "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
          "sys/fs/cgroup/a/cpu.max": "300000 100000\n",
        }),
      ),
    ).toBe(3);
  });

  it("respects the quota of an old cgroup", () => {
    const files = {
      "proc/self/cgroup": "4:cpu,cpuacct:/x\n",
      "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "150000",
      "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    };
    expect(usableCores(machine({ ...FOUR, ...files }))).toBe(2);
    expect(usableCores(machine({ ...FOUR, ...files, "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1" }))).toBe(4);
  });

  it("is at least one, also for a quota of half a CPU", () => {
    expect(
      usableCores(machine({ ...FOUR, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n" })),
    ).toBe(1);
  });

  it("falls back on what Node knows if there is no /proc", () => {
    expect(usableCores(machine({}))).toBe(availableParallelism());
  });

  it("is between one and Node's count on this machine", () => {
    expect(usableCores()).toBeGreaterThanOrEqual(1);
    expect(usableCores()).toBeLessThanOrEqual(availableParallelism());
  });
});

describe("cpuFeatures", () => {
  it("reads the flags of the first CPU", () => {
    const cpu = (flags: string) =>
      cpuFeatures(machine({ "proc/cpuinfo": `processor\t: 0\nflags\t\t: fpu ${flags}\n` }));
    expect(cpu("avx2 avx512f avx512_bf16")).toEqual({ avx2: true, avx512: true, amx: false, fastBfloat16: true });
    expect(cpu("avx2 avx512f amx_tile amx_bf16")).toEqual({ avx2: true, avx512: true, amx: true, fastBfloat16: true });
    expect(cpu("avx2")).toEqual({ avx2: true, avx512: false, amx: false, fastBfloat16: false });
  });

  it("promises nothing where nothing can be read", () => {
    expect(cpuFeatures(machine({}))).toEqual({ avx2: false, avx512: false, amx: false, fastBfloat16: false });
  });
});

describe("hasGpu", () => {
  it("looks for the driver's first device", () => {
    expect(hasGpu(machine({ "dev/nvidia0": "" }))).toBe(true);
    expect(hasGpu(machine({}))).toBe(false);
  });
});
