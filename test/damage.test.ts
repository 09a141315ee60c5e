import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const script = async (name: string, ...args: string[]): Promise<string> => {
  const program = join(import.meta.dirname, "..", "scripts", name);
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...args]);
  return stdout;
};

// CONTRIBUTING.md lists the commands that run many more cases.
describe("damaged files", () => {
  it("are either read or refused by every reader, and never end the process", async () => {
    expect(await script("fuzz-readers.mjs", "--cases", "390")).toMatch(/^390 damaged files: .*, 0 faults\n$/);
  });

  it("whose graphs can still be read run or are refused, and never end the process or take all memory", async () => {
    expect(await script("fuzz-graphs.mjs", "--cases", "240")).toMatch(/^240 damaged graphs: .*, 0 faults\n$/);
  });

  it("in a run's folder are either used or refused by every command, and nothing outside the folder changes", async () => {
    expect(await script("damage-runs.mjs", "--cases", "40")).toMatch(/^40 damaged runs: .*, 0 faults\n$/);
  });
});
