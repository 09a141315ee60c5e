import { describe, expect, it } from "vitest";
import { runProgram } from "./support/program.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

async function measure(scenario: string, { args = [], execArgv = [] }: { args?: string[]; execArgv?: string[] } = {}) {
  const { code, stderr, result } = await runProgram("memory.mjs", [scenario, ...args], execArgv);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  return result;
}

describe("memory of a program that disposes nothing", () => {
  it("stays bounded if the event loop runs, because V8 knows the size of tensors", async () => {
    const { made, growth, live } = await measure("forgotten");
    expect(made).toBe(3200); // MiB
    expect(growth).toBeLessThan(400);
    expect(live).toBeLessThan(1000);
  });

  it("does not fill up with small tensors", async () => {
    const { made, live } = await measure("forgottenSmall");
    expect(live).toBeLessThan(made / 2);
  });

  it("is freed by the garbage collector, tensor by tensor", async () => {
    expect(await measure("collected", { execArgv: ["--expose-gc"] })).toEqual({ made: 1000, left: 0, bytes: 0 });
  });
});

describe("memory of training steps within tidy", () => {
  it("is constant: live tensors, bytes and the process", async () => {
    const marks: { liveTensors: number; bytes: number; rss: number }[] = await measure("steps");
    const [, ...warm] = marks;
    const [first, last] = [warm[1], warm.at(-1)];
    if (!first || !last) throw new Error("no marks");
    expect(new Set(warm.map(({ liveTensors }) => liveTensors)).size).toBe(1);
    expect(new Set(warm.map(({ bytes }) => bytes)).size).toBe(1);
    expect(last.rss / first.rss).toBeLessThan(1.1);
  });
});

describe("the trainer, over 2,000 guided steps", () => {
  it("has the same tensors and bytes at the end of every epoch, and after warm-up the same process memory within 2 %", async () => {
    const folder = temporaryFolder("memory");
    const marks: { step: number; liveTensors: number; bytes: number; rss: number }[] = await measure("training", {
      args: [folder],
      execArgv: ["--expose-gc", "--max-semi-space-size=1"], // else V8's young generation grows by steps of its own, in MB
    });
    const warm = marks.slice(2).map(({ rss }) => rss);
    expect(marks.map(({ step }) => step)).toEqual(Array.from({ length: 20 }, (_, i) => (i + 1) * 100));
    expect(new Set(marks.map(({ liveTensors }) => liveTensors)).size).toBe(1);
    expect(new Set(marks.map(({ bytes }) => bytes)).size).toBe(1);
    expect(Math.max(...warm) / Math.min(...warm)).toBeLessThan(1.02);
  });
});

describe("a process that ends with tensors alive", () => {
  it.each(["exit", "exitWithinTidy"])("exits with code 0 (%s)", async (scenario) => {
    expect((await measure(scenario)).live).toBeGreaterThan(0);
  });
});
