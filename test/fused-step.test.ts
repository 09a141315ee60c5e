import { afterEach, describe, expect, it } from "vitest";
import { native } from "../src/engine/addon.ts";
import { KERNEL_LEVELS } from "../src/engine/switches.ts";
import { faultsOf, type GuidedSteps } from "./support/guided-step.ts";
import { runProgram } from "./support/program.ts";

const before = process.env.BATCH_CAM_KERNELS;

afterEach(() => {
  if (before === undefined) delete process.env.BATCH_CAM_KERNELS;
  else process.env.BATCH_CAM_KERNELS = before;
});

async function guidedSteps(...args: string[]): Promise<GuidedSteps> {
  const { code, stderr, result } = await runProgram("fused-step.mjs", args);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  return result;
}

const NETWORKS = ["simple-cnn", "simple-cnn, pooled", "resnet18", "convnextv2_atto"];
const stepsOf = ({ found }: GuidedSteps, network: string) => found.filter(({ name }) => name === network);

const { kernelLevels } = native.capabilities();

/**
 * Whether the block of ConvNeXt-V2 has its products of small matrices: in float32 at every level but the lowest, in bfloat16 at the level
 * that has the instructions, and at each level if libtorch multiplies with AMX.
 */
function hasBlock(level: string, amp: boolean): boolean {
  const limit = process.env.ONEDNN_MAX_CPU_ISA;
  const amx = kernelLevels.includes("tiles") && (limit === undefined || limit.includes("AMX"));
  return amp ? amx || level === "avx512bf16" || level === "tiles" : level !== "baseline";
}

/** SSIM without fused kernels is composed of libtorch's operators in C++, so these kernels run in any case. */
const OF_THE_LAYERS = ["ssim"];

/** The kernels that a step must run. If others ran instead, the test would compare an implementation with itself. */
function expectedKernels(level: string, network: string, amp: boolean): string[] {
  const shared = ["cam_maps", "map_distance"];
  const convolved = amp && level === "tiles" ? ["amx_weight_gradient"] : ["winograd"];
  const own = {
    "simple-cnn": ["conv_relu", "flat_linear", ...convolved],
    "simple-cnn, pooled": ["conv_relu", ...convolved],
    resnet18: ["batch_norm_act", "convolution", ...convolved],
    convnextv2_atto: ["layer_norm", ...(hasBlock(level, amp) ? ["convnext_mlp", "depthwise_conv"] : [])],
  }[network] as string[];
  return [...shared, ...own].sort();
}

describe.each(KERNEL_LEVELS.map((level) => ({ level, here: kernelLevels.includes(level) })))(
  "a guided step with the kernels of level $level (this processor supports them: $here)",
  ({ level, here }) => {
    it.skipIf(!here)("runs them, and is as close to float32 as without fused kernels", async () => {
      process.env.BATCH_CAM_KERNELS = level;
      const steps = await guidedSteps();
      expect(steps.level).toBe(level);
      for (const { name, amp, fused, kernels } of steps.ran)
        expect(kernels, `${name}, ${amp ? "bfloat16" : "float32"}`).toEqual(
          fused ? expectedKernels(level, name, amp) : OF_THE_LAYERS,
        );
      expect(steps.found).toHaveLength(48);
      for (const network of NETWORKS) expect(faultsOf(stepsOf(steps, network))).toEqual([]);
    });
  },
);

describe("the bounds on a guided step", () => {
  it("catch kernels that leave out the last channel, in every network and dtype", async () => {
    const steps = await guidedSteps("fault");
    for (const network of NETWORKS)
      for (const dtype of ["float32", "bfloat16"])
        expect(faultsOf(stepsOf(steps, network)).filter((fault) => fault.includes(dtype))).not.toEqual([]);
  });
});
