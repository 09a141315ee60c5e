import { describe, expect, it } from "vitest";
import { BatchCamError, type ErrorCode } from "../errors.ts";
import { reportFailure } from "./exit.ts";

function report(error: unknown, env: Record<string, string> = {}) {
  let text = "";
  const code = reportFailure(error, { stderr: { write: (part: string) => (text += part) }, env });
  return { code, text };
}

describe("a failure", () => {
  it.each<[ErrorCode, number]>([
    ["E_CONFIG", 2],
    ["E_DATA", 2],
    ["E_CHECKPOINT", 2],
    ["E_IO", 2],
    ["E_ARGUMENT", 2],
    ["E_SHAPE", 1],
    ["E_NUMERIC", 2],
    ["E_NATIVE", 1],
  ])("of code %s exits with %d and prints its message", (code, expected) => {
    expect(report(new BatchCamError(code, "train: x must be y"))).toEqual({
      code: expected,
      text: "batch-cam: train: x must be y\n",
    });
  });

  it("that the user can correct is printed on one line, whatever its message", () => {
    expect(report(new BatchCamError("E_DATA", "two\n  lines")).text).toBe("batch-cam: two lines\n");
  });

  it("of loading keeps the lines that list what was tried", () => {
    expect(report(new BatchCamError("E_NATIVE", "not found:\n  a\n  b")).text).toBe(
      "batch-cam: not found:\n  a\n  b\n",
    );
  });

  it("that is unexpected exits with 1 and shows its stack", () => {
    const { code, text } = report(new TypeError("x is not a function"));
    expect(code).toBe(1);
    expect(text).toMatch(/^batch-cam: unexpected error: x is not a function\n {4}at .*exit\.test/);
    expect(report("thrown text")).toEqual({ code: 1, text: "batch-cam: unexpected error: thrown text\n\n" });
  });

  it("shows its stack and its cause with BATCH_CAM_DEBUG=1", () => {
    const error = new BatchCamError("E_IO", "cannot read", { cause: new Error("EACCES") });
    expect(report(error).text).toBe("batch-cam: cannot read\n");
    expect(report(error, { BATCH_CAM_DEBUG: "1" }).text).toMatch(
      /cannot read\n {4}at .*\n(.*\n)*caused by: Error: EACCES/,
    );
  });
});
