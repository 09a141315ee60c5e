#!/usr/bin/env node
// Compiles a program that imports every entry of the packed package, with the oldest supported TypeScript, without skipLibCheck, and with
// each module resolution that can read the package's entries. It needs `npm run build` and npm's registry.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const OLDEST = "5.4.5";
const RESOLUTIONS = {
  node16: ["--module", "node16"],
  nodenext: ["--module", "nodenext"],
  bundler: ["--module", "esnext", "--moduleResolution", "bundler"],
};

const root = fileURLToPath(new URL("..", import.meta.url));
const { exports, devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const folder = mkdtempSync(join(tmpdir(), "batch-cam-types-"));
/**
 * @param {string} command
 * @param {...string} args
 */
const run = (command, ...args) => execFileSync(command, args, { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });

try {
  writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
  run("npm", "pack", root, "--ignore-scripts", "--silent");
  const packages = [`typescript@${OLDEST}`, `@types/node@${devDependencies["@types/node"]}`];
  run("npm", "install", "--ignore-scripts", "--silent", "--no-audit", ...packages, ...tarballs());
  const entries = Object.keys(exports).filter((path) => path !== "./package.json");
  const imports = entries.map((path, i) => `export * as entry${i} from "batch-cam${path.slice(1)}";\n`);
  writeFileSync(join(folder, "program.mts"), imports.join(""));
  const common = ["--strict", "--noEmit", "--target", "es2022", "--types", "node", "--skipLibCheck", "false"];
  for (const [resolution, options] of Object.entries(RESOLUTIONS)) {
    execFileSync(join(folder, "node_modules/.bin/tsc"), [...common, ...options, "program.mts"], {
      cwd: folder,
      stdio: "inherit",
    });
    process.stdout.write(`types: ${entries.length} entries compile with TypeScript ${OLDEST}, ${resolution}\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function tarballs() {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return [join(folder, `batch-cam-${version}.tgz`)];
}
