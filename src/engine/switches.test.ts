import { describe, expect, it } from "vitest";
import { expectSwitches, KERNEL_LEVELS, switchValue } from "./switches.ts";

describe("switchValue", () => {
  it("gives each value that a variable may have, and nothing where it is not set or empty", () => {
    for (const level of KERNEL_LEVELS)
      expect(switchValue("BATCH_CAM_KERNELS", { BATCH_CAM_KERNELS: level })).toBe(level);
    expect(switchValue("BATCH_CAM_BFLOAT16", { BATCH_CAM_BFLOAT16: "off" })).toBe("off");
    expect(switchValue("BATCH_CAM_KERNELS", {})).toBeUndefined();
    expect(switchValue("BATCH_CAM_KERNELS", { BATCH_CAM_KERNELS: "" })).toBeUndefined();
  });

  it.each([
    [
      "BATCH_CAM_KERNELS",
      "garbage",
      'expected one of baseline, avx2, avx512, avx512bf16, tiles, got "garbage"; set it',
    ],
    ["BATCH_CAM_KERNELS", "AVX-512", '(did you mean "avx512"?)'],
    ["BATCH_CAM_KERNELS", " avx2", 'got " avx2"'],
    ["BATCH_CAM_BFLOAT16", "1", 'expected one of auto, on, off, got "1"'],
  ])("refuses %s=%s", (name, value, said) => {
    const refusal = { code: "E_CONFIG", message: expect.stringMatching(`^environment variable ${name}: `) };
    expect(() => expectSwitches({ [name]: value })).toThrow(expect.objectContaining(refusal));
    expect(() => expectSwitches({ [name]: value })).toThrow(said);
  });
});
