import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  circlesOf,
  faultsOf,
  headerFaultsOf,
  includeFaultsOf,
  readIncludeTable,
  readOpenFiles,
  readTable,
} from "../scripts/check-imports.mjs";

const markdown = readFileSync("ARCHITECTURE.md", "utf8");
const table = readTable(markdown);
const openFiles = readOpenFiles(markdown);

describe("the import table", () => {
  it("is obeyed by every source file", () => {
    expect(execFileSync("node", ["scripts/check-imports.mjs"], { encoding: "utf8" })).toMatch(/^imports: \d{2,} files/);
  });

  it.each([
    ["src/nn/a.ts", 'import { x } from "../tensor/index.ts";'],
    ["src/cam/a.ts", 'import { BatchCamError } from "../errors.ts";'],
    ["src/cam/a.ts", 'import { b } from "./b.ts";'],
    ["src/tensor/a.ts", 'import { arena } from "../engine/internal.ts";'],
    ["src/cli/a.ts", 'import { ownDataset } from "../data/sources/own-dataset.ts";'],
    ["src/report/a.ts", 'import type { TrainResult } from "../train/index.ts";'],
    ["src/cli/a.ts", 'const x = await import("../train/index.ts");'],
    ["src/losses/a.ts", 'import { join } from "node:path";'],
    ["src/report/a.ts", 'const { Resvg } = await import("@resvg/resvg-js");'],
    ["src/config/a.ts", 'import { z } from "zod";'],
  ])("allows in %s: %s", (file, source) => {
    expect(faultsOf(file, source, table, openFiles)).toEqual([]);
  });

  it.each([
    [
      "src/nn/a.ts",
      '\nimport { native } from "../engine/addon.ts";',
      /^src\/nn\/a\.ts:2: src\/nn may not import src\/engine/,
    ],
    ["src/losses/a.ts", 'import { batchCam } from "../cam/index.ts";', /src\/losses may not import src\/cam/],
    ["src/losses/a.ts", 'export * from "../cam/index.ts";', /src\/losses may not import src\/cam/],
    ["src/report/a.ts", 'import { train } from "../train/index.ts";', /may not import more than types/],
    ["src/cli/a.ts", 'import { native } from "../engine/addon.ts";', /src\/cli may not import src\/engine/],
    [
      "src/tensor/a.ts",
      'import { arena } from "../engine/dispatch.ts";',
      /is private to src\/engine; import src\/engine\/internal/,
    ],
    ["src/cli/a.ts", 'import { train } from "../train/loop/loop.ts";', /is private to src\/train/],
    ["src/workflows/a.ts", 'import { norm } from "../data/splits/split.ts";', /is private to src\/data/],
    ["src/report/a.ts", 'import type { Store } from "../workflows/study/store.ts";', /is private to src\/workflows/],
    ["src/train/a.ts", 'import { camFigure } from "../report/index.ts";', /src\/train may not import src\/report/],
    ["src/tensor/a.ts", 'const x = await import("../cam/index.ts");', /src\/tensor may not import src\/cam/],
    ["src/tensor/a.ts", 'import x from "../../native/build/batch_cam.node";', /only src\/engine may load the addon/],
    ["src/nn/a.ts", 'import { z } from "zod";', /src\/nn may not import the package zod/],
    ["src/data/a.ts", 'const y = await import("@scope/name/deep.js");', /may not import the package @scope\/name/],
    ["src/new/a.ts", "", /has no row in the import table/],
  ])("refuses in %s: %s", (file, source, expected) => {
    expect(faultsOf(file, source, table, openFiles).join("\n")).toMatch(expected);
  });

  it("must be there", () => {
    expect(() => readTable("# no table")).toThrow(/no import table/);
  });
});

describe("the addon's sources", () => {
  it.each(["ATen/ATen.h", "ATen/Functions.h", "torch/all.h", "torch/torch.h"])(
    "may not include %s, which declares every operator",
    (header) => {
      const source = `// A comment.\n\n#include <${header}>\n`;
      expect(headerFaultsOf("native/ops/a.cc", source).join("\n")).toMatch(
        new RegExp(`^native/ops/a\\.cc:3: ${header} declares every operator; include ATen/core/Tensor\\.h`),
      );
    },
  );

  it("may include an operator by its name, and what a comment names", () => {
    const source = "#include <ATen/core/Tensor.h>\n#include <ATen/ops/empty.h>\n// #include <ATen/ATen.h>\n";
    expect(headerFaultsOf("native/ops/a.cc", source)).toEqual([]);
  });

  const includes = readIncludeTable(readFileSync("ARCHITECTURE.md", "utf8"));

  it.each([
    ["native/kernels/a.h", '#include "kernels/table.h"\n#include <string.h>'],
    ["native/ops/a.cc", '#include <ATen/core/Tensor.h>\n#include "memory/allocator.h"\n#include "kernels/table.h"'],
    ["native/binding/a.cc", '#include <node_api.h>\n#include "ops/winograd.h"'],
  ])("allows %s the includes of its folder", (file, source) => {
    expect(includeFaultsOf(file, source, includes)).toEqual([]);
  });

  it.each([
    [
      "native/kernels/a.h",
      "\n#include <c10/util/BFloat16.h>",
      /^native\/kernels\/a\.h:2: native\/kernels may not include libtorch/,
    ],
    ["native/kernels/a.h", '#include "ops/dtypes.h"', /native\/kernels may not include native\/ops/],
    ["native/ops/a.cc", "#include <node_api.h>", /native\/ops may not include node-api-headers/],
    ["native/memory/a.cc", '#include "binding/engine.h"', /native\/memory may not include native\/binding/],
    ["native/binding/a.cc", '#include "engine.h"', /native\/binding may not include engine\.h/],
    ["native/other/a.cc", "", /has no row in the import table/],
  ])("refuses in %s: %s", (file, source, expected) => {
    expect(includeFaultsOf(file, source, includes).join("\n")).toMatch(expected);
  });
});

describe("circular imports", () => {
  it("are found, and named by their files from the first one on", () => {
    const imports = {
      "a.ts": ["b.ts"],
      "b.ts": ["c.ts", "d.ts"],
      "c.ts": ["a.ts"],
      "d.ts": ["d.ts"],
      "e.ts": ["a.ts"],
    };
    expect(circlesOf(new Map(Object.entries(imports)))).toEqual(["a.ts -> b.ts -> c.ts -> a.ts", "d.ts -> d.ts"]);
  });

  it("do not include two files that import a third", () => {
    const imports = { "a.ts": ["c.ts", "b.ts"], "b.ts": ["c.ts"], "c.ts": [] };
    expect(circlesOf(new Map(Object.entries(imports)))).toEqual([]);
  });
});

describe("the files of a folder", () => {
  it("are private to it, except its index.ts and its internal.ts", () => {
    const faults = (target: string) => faultsOf("src/cam/a.ts", `import { x } from "${target}";`, table).join();
    expect(faults("../tensor/core.ts")).toMatch(/src\/tensor\/core\.ts is private .* import src\/tensor\/internal\.ts/);
    for (const door of ["../tensor/index.ts", "../tensor/internal.ts", "./gradients.ts"]) expect(faults(door)).toBe("");
  });
});

describe("descriptions of features", () => {
  it("may be imported from any folder, and do not import the engine", () => {
    expect(faultsOf("src/config/a.ts", 'import { x } from "../models/description.ts";', table)).toEqual([]);
    const faults = faultsOf("src/models/resnet/description.ts", 'import { x } from "../../tensor/index.ts";', table);
    expect(faults.join()).toMatch(/may not import src\/tensor/);
  });
});
