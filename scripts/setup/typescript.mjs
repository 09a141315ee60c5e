import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { diskFailure, SetupFailure, tail } from "./failure.mjs";
import { hashFiles, listFiles, readJson, remove, writeJson } from "./files.mjs";
import { run } from "./tools.mjs";

/** @import { FileStep } from "./types.d.ts" */

const COMPILER = "node_modules/typescript/bin/tsc";

/** @type {FileStep} */
export const typescript = {
  /** Whether dist/ was built from these sources by this compiler. */
  isFresh({ root }) {
    if (!existsSync(join(root, "src"))) return true; // an installed package, which contains dist/
    // The stamp's name begins with a dot, so `rm -rf dist/*` does not remove it.
    return existsSync(join(root, "dist/index.js")) && readJson(stampPath(root))?.hash === sourceHash(root);
  },

  async run({ root, env, progress }) {
    const hash = sourceHash(root);
    const args = [COMPILER, "-p", "tsconfig.build.json", "--noEmitOnError", "--listEmittedFiles", "--pretty", "false"];
    // A build that is killed leaves old and new files in dist/. If the sources were then restored, the old stamp would call them up to
    // date.
    remove(stampPath(root));
    await progress.step("TypeScript", async () => {
      const { code, output } = await run(process.execPath, args, { cwd: root, env });
      if (code !== 0) throw explain(output);
      sweep(root, output);
    });
    writeJson(stampPath(root), { hash });
  },
};

/** @param {string} root */
const stampPath = (root) => join(root, "dist/.stamp");

/** @param {string} root */
function sourceHash(root) {
  const sources = listFiles(join(root, "src")).filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"));
  const compiler = readJson(join(root, "node_modules/typescript/package.json"))?.version;
  return `${hashFiles(root, [...sources.map((path) => `src/${path}`), "tsconfig.json", "tsconfig.build.json"])} ${compiler}`;
}

/**
 * Removes files from dist/ whose sources no longer exist.
 *
 * @param {string} root
 * @param {string} output
 */
function sweep(root, output) {
  const emitted = new Set(
    [...output.matchAll(/^TSFILE:\s+(.*)$/gm)].map(([, path = ""]) => relative(join(root, "dist"), path.trim())),
  );
  if (emitted.size === 0) return;
  for (const path of listFiles(join(root, "dist"))) {
    if (!emitted.has(path)) remove(join(root, "dist", path));
  }
}

/** @param {string} output */
function explain(output) {
  const disk = diskFailure("the TypeScript compiler", output, "dist");
  if (disk) return disk;
  const errors = output.split("\n").filter((line) => /error TS\d+/.test(line));
  return new SetupFailure(
    "the TypeScript build failed",
    "fix the errors that the compiler reports; `npx tsc --noEmit` shows all of them",
    {
      details: errors.length > 0 ? errors.slice(0, 12).join("\n") : tail(output),
    },
  );
}
