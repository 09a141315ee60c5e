import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import * as cam from "../src/cam/index.ts";
import * as data from "../src/data/index.ts";
import * as losses from "../src/losses/index.ts";
import * as models from "../src/models/index.ts";
import * as nn from "../src/nn/index.ts";
import * as optim from "../src/optim/index.ts";
import * as engine from "../src/tensor.ts";
import * as train from "../src/train.ts";
import { runNode } from "./support/node-process.ts";
import { temporaryFolderInPackage } from "./support/temporary-folder.ts";

const root = join(import.meta.dirname, "..");
const page = readFileSync(join(root, "docs/coming-from-pytorch.md"), "utf8");
const snippets = page
  .split(/^## /m)
  .flatMap((section) => Array.from(section.matchAll(/```ts\n([\s\S]*?)```/g), ([, code = ""]) => ({ section, code })))
  .map(({ section, code }, i) => ({ title: section.slice(0, section.indexOf("\n")), code, name: `snippet-${i}` }));

const folder = temporaryFolderInPackage("pytorch");
// test/docs.test.ts checks the types of the snippets. Node 20 cannot run TypeScript, so the types are removed.
beforeAll(async () => {
  for (const { name, code } of snippets) writeFileSync(join(folder, `${name}.mts`), code);
  const compilerOptions = { module: "nodenext", target: "es2023", noCheck: true, skipLibCheck: true };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  const { code, out } = await runNode([join(root, "node_modules/typescript/bin/tsc"), "-p", "."], { cwd: folder });
  expect({ code, out }).toEqual({ code: 0, out: "" });
});

/** The pattern that the output of each snippet must match. */
const PRINTED: Record<string, RegExp> = {
  Tensors:
    /^tensor\(\[\[ 1\.5410, -0\.2934, -2\.1788\],\n.*requires_grad=True\)\n\[ 1, 3 \] \[ 0, 2, 4, 6, 8 \]\n\[ 2, 1 \] \[ 2 \]\n$/s,
  Gradients: /^\[ 12, 27 \] \[ 12, 18 \]\nfalse\n$/,
  "Modules and weights":
    /^Net\(\n {2}\(conv\): Conv2d\(3, 8, kernel_size=\(3, 3\), .*\n\{ missing: \[\], unexpected: \[\] \}\n\[ 4, 10 \]\n$/s,
  Training: /^0 0\.\d{3}\n(\d 0\.\d{3}\n){4}$/,
  "Grad-CAM": /^\[ 2, 32, 32 \] \[ 2, 5 \]\n$/,
};

describe("the page for PyTorch users", () => {
  it.each(snippets)("has code under $title that runs and prints the expected output", async ({ title, name }) => {
    const { code, out, err } = await runNode([`${name}.mjs`], { cwd: folder });
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(PRINTED[title] ?? /^never/);
  });

  it("names in its tables only functions that the package has", () => {
    const exported = new Set(
      Object.keys({ ...cam, ...data, ...engine, ...losses, ...models, ...nn, ...optim, ...train }),
    );
    const cells = [...page.matchAll(/^\| [^|]* \| (.*) \|$/gm)].map(([, ours = ""]) => ours);
    const called = cells.flatMap((cell) =>
      Array.from(cell.matchAll(/`[^`]*`/g), ([code]) => code).flatMap((code) =>
        Array.from(code.matchAll(/(?<![.\w])(\w+)\(/g), ([, name = ""]) => name),
      ),
    );
    const ownNames = ["forward", "schedule"];
    expect(called.length).toBeGreaterThan(25);
    expect(called.filter((name) => !exported.has(name) && !ownNames.includes(name))).toEqual([]);
  });
});
