import { describe, expect, it } from "vitest";
import { runProgram } from "./support/program.ts";

describe("random calls with good and bad arguments", () => {
  it.each([1, 2, 3])("end in a result or a BatchCamError, never in a crash (seed %d)", async (seed) => {
    const { code, signal, stderr, result } = await runProgram("fuzz.mjs", [String(seed), "4000"]);
    expect(
      { code, signal },
      `${stderr}\nto see the last call: node test/programs/fuzz.mjs ${seed} 4000 --trace`,
    ).toEqual({
      code: 0,
      signal: null,
    });
    expect(result.results).toBeGreaterThan(1000);
    expect(result.refused).toBeGreaterThan(1000);
  });
});
