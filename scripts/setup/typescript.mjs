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
    if (!existsSync(join(root, "src"))) return true; // an installed package: dist/ came with it
    // `rm -rf dist/*` leaves the stamp, whose name begins with a dot.
    return existsSync(join(root, "dist/index.js")) && readJson(stampPath(root))?.hash === sourceHash(root);
  },

  async run({ root, env, progress }) {
    const hash = sourceHash(root);
    const args = [COMPILER, "-p", "tsconfig.build.json", "--noEmitOnError", "--listEmittedFiles", "--pretty", "false"];
    // A kill in mid-build mixes old and new in dist/, which the old stamp would call fresh once the sources are put back.
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
 * Removes from dist/ what an earlier build made of sources that are gone.
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
    "mend what the compiler names; `npx tsc --noEmit` shows it all",
    {
      details: errors.length > 0 ? errors.slice(0, 12).join("\n") : tail(output),
    },
  );
}
