import { describe, expect, it } from "vitest";
import { runProgram } from "./support/program.ts";

async function outcome(scenario: string) {
  const { code, signal, stderr, result } = await runProgram("worker.mjs", [scenario]);
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: "" });
  return result;
}

describe("the engine in worker threads", () => {
  it("gives the same bits for the same seed as the main thread", async () => {
    expect(await outcome("sameBits")).toEqual({ equal: true, differs: true });
  });

  it("serves two workers at once, each with its own generator", async () => {
    expect(await outcome("twoAtOnce")).toEqual({ a: true, b: true });
  });

  it("keeps grad mode and autocast separate", async () => {
    expect(await outcome("modesApart")).toEqual({
      here: ["float32 true true"],
      there: ["bfloat16 false", "bfloat16 false"],
    });
  });

  it("frees a worker's tensors when it ends, and counts tensors per thread", async () => {
    const { live, code, peak, left, mine } = await outcome("freedAtExit");
    expect({ live, code, left, mine }).toEqual({ live: 3, code: 0, left: 0, mine: 0 });
    expect(peak).toBeGreaterThanOrEqual(2 ** 24);
  });

  it("survives workers that are terminated while they compute", async () => {
    expect(await outcome("terminated")).toEqual({ sum: 1e6 });
  });

  it("lets the process end while a worker computes", async () => {
    expect(await outcome("abandoned")).toEqual({ leaving: true });
  });

  it("can be loaded only by workers, repeatedly", async () => {
    expect(await outcome("workersOnly")).toEqual({ codes: [0, 0, 0, 0], equal: true });
  });

  it("survives workers that fail or exit", async () => {
    expect(await outcome("failures")).toEqual({ failed: ["on purpose", 1], exited: 3, still: 2 });
  });

  it("keeps nothing of many workers", async () => {
    expect(await outcome("many")).toEqual({ codes: [0], bytes: 0 });
  });

  it("refuses a tensor that was sent from another thread", async () => {
    expect(await outcome("sentTensor")).toMatch(
      /^BatchCamError E_ARGUMENT add: other: expected a Tensor, got Object: .*does not travel between threads/,
    );
  });
});

describe("two processes at once", () => {
  it("compute the same, and both end with code 0", async () => {
    const endings = await Promise.all(
      ["sameBits", "workersOnly"].map((scenario) => runProgram("worker.mjs", [scenario])),
    );
    expect(endings.map(({ code }) => code)).toEqual([0, 0]);
    expect(endings[0]?.result.equal).toBe(true);
  });
});
