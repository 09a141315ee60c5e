import { describe, expect, it } from "vitest";
import { operator, run, runInPlace } from "./dispatch.ts";

describe("an operator that this libtorch lacks", () => {
  it.each([
    ["run", run],
    ["runInPlace", runInPlace],
  ])("fails by its name when it is called, and does not end the process (%s)", (_, call) => {
    const missing = operator("aten::no_such_operator", "out");
    expect(() => call(missing)).toThrow(
      expect.objectContaining({
        code: "E_NATIVE",
        message: expect.stringMatching(
          /^aten::no_such_operator\.out: this libtorch has no such operator; use libtorch/,
        ),
      }),
    );
  });
});
