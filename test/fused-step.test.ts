import { afterAll, describe, expect, it } from "vitest";
import { runProgram } from "./support/program.ts";

interface Errors {
  loss: number;
  gradient: number;
}

interface Found {
  name: string;
  amp: boolean;
  distance: string;
  fused: Errors;
  /** Of the layers one by one in the same dtype. */
  plain: Errors;
}

const before = process.env.BATCH_CAM_KERNELS;

afterAll(() => {
  if (before === undefined) delete process.env.BATCH_CAM_KERNELS;
  else process.env.BATCH_CAM_KERNELS = before;
});

// A processor runs the highest that it has: the others must be right for those that have less.
describe.each(["baseline", "avx2", "avx512", "tiles"])("a guided step by the kernels of level %s", (level) => {
  it("is as near to float32 as the layers one by one, for every network, dtype and distance", async () => {
    process.env.BATCH_CAM_KERNELS = level;
    const { code, stderr, result } = await runProgram("fused-step.mjs");
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(result).toHaveLength(24);
    for (const { name, amp, distance, fused, plain } of result as Found[]) {
      const what = `${name}, ${amp ? "bfloat16" : "float32"}, ${distance}`;
      expect(fused.loss, what).toBeLessThan(amp ? 2 * plain.loss + 2e-3 : 1e-5);
      expect(fused.gradient, what).toBeLessThan(amp ? 1.3 * plain.gradient + 1e-3 : 1e-4);
    }
  });
});
