import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";

const scratch = mkdtempSync(join(tmpdir(), "batch-cam-setup-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

let place: string;
beforeEach(() => {
  place = mkdtempSync(join(scratch, "case-"));
});

function setup(env: Record<string, string>) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["scripts/setup.mjs"], {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  return { status, said: `${stdout}${stderr}` };
}

describe("set-up", () => {
  it("says nothing and ends well where there is nothing to do", () => {
    expect(setup({}).status).toBe(0);
    expect(setup({})).toEqual({ status: 0, said: "" });
  });

  it.each([
    ["is no folder", "nowhere", /LIBTORCH=.*nowhere: no such folder/],
    ["holds no libtorch", "empty", /LIBTORCH=.*empty: .*(lib|include)/],
  ])("refuses a LIBTORCH that %s, with the remedy", (_, name, expected) => {
    mkdirSync(join(place, "empty"));
    const { status, said } = setup({ LIBTORCH: join(place, name) });
    expect(status).toBe(1);
    expect(said).toMatch(expected);
    expect(said).toMatch(/remedy: unset LIBTORCH/);
    expect(said).not.toMatch(/at .*\.mjs:\d+/); // no stack trace for a mistake of the user's
  });

  it("refuses a libtorch that is too old", () => {
    const old = join(place, "old");
    for (const folder of ["lib", "include/torch/csrc/api/include/torch"])
      mkdirSync(join(old, folder), { recursive: true });
    writeFileSync(join(old, "lib/libtorch_cpu.so"), "");
    writeFileSync(join(old, "lib/libc10.so"), "");
    const header =
      '#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 6\n#define TORCH_VERSION_PATCH 0\n#define TORCH_VERSION "2.6.0"\n';
    writeFileSync(join(old, "include/torch/version.h"), header);
    writeFileSync(join(old, "include/torch/csrc/api/include/torch/version.h"), header);
    const { status, said } = setup({ LIBTORCH: old });
    expect(status).toBe(1);
    expect(said).toMatch(/2\.6|2\.7 or newer/);
  });
});
