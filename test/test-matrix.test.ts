import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { copyOfCheckout } from "../scripts/test-matrix/checkout.mjs";
import { combinations } from "../scripts/test-matrix/processors.mjs";
import { runTests } from "../scripts/test-matrix/run-tests.mjs";
import { markdownTable } from "../scripts/test-matrix/table.mjs";
import { runNode } from "./support/node-process.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

let place: string;
beforeEach(() => {
  place = temporaryFolder("matrix");
});

interface Combination {
  name: string;
  env: Record<string, string>;
  lacks: string | null;
}

describe("the processors that are emulated", () => {
  it("are those whose features this processor has, and the others name what it lacks", () => {
    const all: Combination[] = combinations(new Set(["avx2", "avx512f"]));
    const lacking = Object.fromEntries(all.map(({ name, lacks }) => [name, lacks]));
    expect(lacking["no vectors (1 thread)"]).toBeNull();
    expect(lacking["avx512 (2 threads)"]).toBeNull();
    expect(lacking["avx512 with bfloat16 (1 thread)"]).toBe("this processor has no avx512_bf16");
    expect(lacking["amx (1 thread)"]).toBe("this processor has no avx512_bf16, amx_tile, amx_bf16");
  });

  it("use each level of kernels, one and two threads, and bfloat16 forced on and off", () => {
    const of = (name: string) => new Set(combinations(new Set()).map(({ env }: Combination) => env[name]));
    expect(of("BATCH_CAM_KERNELS")).toEqual(new Set(["baseline", "avx2", "avx512", "avx512bf16", "tiles"]));
    expect(of("ATEN_CPU_CAPABILITY")).toEqual(new Set(["default", "avx2", "avx512"]));
    expect(of("ONEDNN_MAX_CPU_ISA")).toEqual(
      new Set(["SSE41", "AVX2", "AVX512_CORE", "AVX512_CORE_BF16", "AVX512_CORE_AMX"]),
    );
    expect(of("OMP_NUM_THREADS")).toEqual(new Set(["1", "2"]));
    expect(of("BATCH_CAM_BFLOAT16")).toEqual(new Set(["on", "off"]));
  });

  it("are listed as a Markdown table, and an unknown name is refused", async () => {
    const { out } = await runNode(["scripts/test-processors.mjs", "--list", "--only", "avx2 (1"]);
    expect(out.trimEnd().split("\n")).toHaveLength(3);
    expect(out).toMatch(/^\| combination +\| environment +\| here +\|\n\| ---/);
    const { code, err } = await runNode(["scripts/test-processors.mjs", "--only", "z80"]);
    expect(err).toBe("test-processors: --only z80: no combination has that in its name; --list prints them\n");
    expect(code).toBe(2);
  });
});

describe("runTests", () => {
  it("counts passed, failed and skipped tests, and names the failures", async () => {
    const file = join("test", "support", `matrix-${process.pid}.test.ts`);
    const text = `import { expect, it } from "vitest";
it("holds", () => {});
it("fails", () => expect(1).toBe(2));
it.skip("is left out", () => {});`;
    writeFileSync(file, text);
    try {
      const outcome = await runTests({ root: process.cwd(), env: process.env, files: [file] });
      expect(outcome).toMatchObject({ passed: 1, failed: 1, skipped: 1 });
      expect(outcome.failures).toEqual([
        expect.stringMatching(/^test\/support\/matrix-\d+\.test\.ts: fails: .*to be 2/),
      ]);
    } finally {
      rmSync(file);
    }
  });

  it("treats a run without results as a failure", async () => {
    mkdirSync(join(place, "node_modules/vitest"), { recursive: true });
    writeFileSync(join(place, "node_modules/vitest/vitest.mjs"), "console.error('no such file'); process.exit(3);");
    const outcome = await runTests({ root: place, env: process.env, files: [] });
    expect(outcome).toMatchObject({
      passed: 0,
      failed: 1,
      failures: [expect.stringMatching(/exit 3.*\n.*no such file/)],
    });
  });
});

describe("copyOfCheckout", () => {
  it("copies files that git tracks or would add, in their current state, and none that it ignores", () => {
    const git = (...args: string[]) => execFileSync("git", args, { cwd: place, stdio: "ignore" });
    git("init");
    mkdirSync(join(place, "src"));
    for (const [name, text] of Object.entries({ ".gitignore": "build\n", "src/a": "old", gone: "", build: "b" }))
      writeFileSync(join(place, name), text);
    git("add", ".");
    writeFileSync(join(place, "src/a"), "new");
    writeFileSync(join(place, "added"), "");
    rmSync(join(place, "gone"));
    const copy = copyOfCheckout(place, join(place, "build-copy"));
    expect(readFileSync(join(copy, "src/a"), "utf8")).toBe("new");
    expect(existsSync(join(copy, "added"))).toBe(true);
    for (const name of ["gone", "build", ".git"]) expect(existsSync(join(copy, name))).toBe(false);
  });
});

describe("markdownTable", () => {
  it("aligns its columns, and escapes bars in cells", () => {
    expect(markdownTable(["a", "longer"], [["x|y", 1]])).toBe(
      "| a    | longer |\n| ---  | ---    |\n| x\\|y | 1      |",
    );
  });
});
