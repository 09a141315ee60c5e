// The processors that are emulated, and the tests that are run for each. Three libraries choose kernels by the processor, and a variable
// limits each of them: ATEN_CPU_CAPABILITY libtorch, ONEDNN_MAX_CPU_ISA oneDNN, and BATCH_CAM_KERNELS this package. BATCH_CAM_BFLOAT16
// decides the precision of training if no option does.
import { readFileSync } from "node:fs";

/**
 * @typedef {object} Combination
 * @property {string} name
 * @property {Record<string, string>} env
 * @property {Record<string, string | number | boolean | RegExp | undefined>} expected the values that the engine must report
 * @property {string | null} lacks
 */

/** Test files whose numbers depend on the processor, as parts of their paths. */
export const NUMERICAL_TESTS = [
  ...["src/nn/", "src/losses/", "src/cam/", "src/metrics/", "src/tensor/"],
  ...[
    "test/batch-cam",
    "test/ops",
    "test/optim",
    "test/models",
    "test/resnet",
    "test/convnext-v2",
    "test/explain-fixtures",
  ],
  ...["test/fused-step", "test/train.test"],
];

/** The combination that CI runs besides the suite: tests of this package's kernels and operators, as on a processor without AVX-512. */
export const SMOKE = {
  combinations: ["avx2 (1 thread)"],
  files: [
    "src/nn/batch-norm-act",
    "src/nn/fused-convolution",
    "src/nn/fused/flat-linear",
    "src/cam/cam-maps",
    "test/ops",
  ],
};

const PLAIN = { ATEN_CPU_CAPABILITY: "default", ONEDNN_MAX_CPU_ISA: "SSE41", BATCH_CAM_KERNELS: "baseline" };
const AVX2 = { ATEN_CPU_CAPABILITY: "avx2", ONEDNN_MAX_CPU_ISA: "AVX2", BATCH_CAM_KERNELS: "avx2" };
const AVX512 = { ATEN_CPU_CAPABILITY: "avx512", ONEDNN_MAX_CPU_ISA: "AVX512_CORE", BATCH_CAM_KERNELS: "avx512" };

/**
 * The lines by which oneDNN confirms that it is limited to an instruction set.
 *
 * @type {Record<string, RegExp>}
 */
const ONE_DNN = {
  SSE41: /SSE4\.1/,
  AVX2: /AVX2/,
  AVX512_CORE: /AVX-512(?!.*(bfloat16|AMX))/,
  AVX512_CORE_BF16: /AVX-512.*bfloat16(?!.*AMX)/,
  AVX512_CORE_AMX: /AMX/,
};

/**
 * The processors, with the features that each needs and its numbers of threads. They are real processors and mixtures that no `auto`
 * would choose. Two threads split sums differently, so each kind of kernel also runs with two.
 */
const PROCESSORS = [
  { name: "no vectors", env: { ...PLAIN, BATCH_CAM_BFLOAT16: "off" }, needs: [], threads: [1] },
  { name: "avx2", env: { ...AVX2, BATCH_CAM_BFLOAT16: "off" }, needs: ["avx2"], threads: [1, 2] },
  { name: "avx2 with bfloat16 forced", env: { ...AVX2, BATCH_CAM_BFLOAT16: "on" }, needs: ["avx2"], threads: [1] },
  { name: "avx512", env: { ...AVX512, BATCH_CAM_BFLOAT16: "off" }, needs: ["avx512f"], threads: [1, 2] },
  {
    name: "avx512 with bfloat16",
    env: {
      ...AVX512,
      ONEDNN_MAX_CPU_ISA: "AVX512_CORE_BF16",
      BATCH_CAM_KERNELS: "avx512bf16",
      BATCH_CAM_BFLOAT16: "on",
    },
    needs: ["avx512f", "avx512_bf16"],
    threads: [1, 2],
  },
  {
    name: "avx512 with bfloat16 and kernels of avx512",
    env: { ...AVX512, ONEDNN_MAX_CPU_ISA: "AVX512_CORE_BF16", BATCH_CAM_BFLOAT16: "on" },
    needs: ["avx512f", "avx512_bf16"],
    threads: [1],
  },
  {
    name: "amx",
    env: { ...AVX512, ONEDNN_MAX_CPU_ISA: "AVX512_CORE_AMX", BATCH_CAM_KERNELS: "tiles", BATCH_CAM_BFLOAT16: "on" },
    needs: ["avx512f", "avx512_bf16", "amx_tile", "amx_bf16"],
    threads: [1, 2],
  },
  {
    name: "amx with kernels of avx512",
    env: { ...AVX512, ONEDNN_MAX_CPU_ISA: "AVX512_CORE_AMX", BATCH_CAM_BFLOAT16: "on" },
    needs: ["avx512f", "avx512_bf16", "amx_tile", "amx_bf16"],
    threads: [2],
  },
];

/**
 * Every combination: its name and environment, the values that the engine must report, and the features that this processor lacks for it
 * (or null).
 *
 * @param {ReadonlySet<string>} features
 * @returns {Combination[]}
 */
export function combinations(features = processorFeatures()) {
  return PROCESSORS.flatMap(({ name, env, needs, threads }) =>
    threads.map((count) => {
      const missing = needs.filter((feature) => !features.has(feature));
      return {
        name: `${name} (${count} thread${count === 1 ? "" : "s"})`,
        env: { ...env, OMP_NUM_THREADS: String(count) },
        expected: {
          cpuCapability: env.ATEN_CPU_CAPABILITY.toUpperCase(),
          kernels: env.BATCH_CAM_KERNELS,
          fastBfloat16: env.BATCH_CAM_BFLOAT16 === "on",
          threads: count,
          oneDnn: ONE_DNN[env.ONEDNN_MAX_CPU_ISA],
        },
        lacks: missing.length === 0 ? null : `this processor has no ${missing.join(", ")}`,
      };
    }),
  );
}

function processorFeatures() {
  let text = "";
  try {
    text = readFileSync("/proc/cpuinfo", "utf8");
  } catch {
    // Without /proc/cpuinfo (not on Linux), only combinations that need no feature are run.
  }
  return new Set(/^flags\s*:(.*)$/m.exec(text)?.[1]?.trim().split(/\s+/) ?? []);
}
