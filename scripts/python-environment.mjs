// Provides a Python with the packages that a comparison needs, in a separate virtual environment.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

/**
 * The interpreter of a virtual environment in `folder` with the packages of `requirements/<name>.txt`. An existing environment is used
 * again, and pip adds missing packages. If the list is `complete`, it names the dependencies too, and pip adds no others.
 *
 * @param {string} name
 * @param {string} folder
 * @param {{ complete?: boolean }} options
 */
export function installPython(name, folder, { complete = false } = {}) {
  /**
   * @param {string} command
   * @param {...string} args
   */
  const run = (command, ...args) => execFileSync(command, args, { stdio: ["ignore", "ignore", "inherit"] });
  const requirements = fileURLToPath(new URL(`requirements/${name}.txt`, import.meta.url));
  run("python3", "-m", "venv", folder);
  const python = join(folder, "bin", "python");
  const options = ["--quiet", "--disable-pip-version-check", ...(complete ? ["--no-deps"] : [])];
  run(python, "-m", "pip", "install", ...options, "-r", requirements);
  return python;
}

/**
 * Runs Python programs, with the packages of `requirements/<name>.txt`, that write fixtures into the folder given to them. Flags of the
 * command line: `--venv` names an environment to keep, and `--out` a folder other than the tests' own.
 *
 * @param {string} name
 * @param {readonly (string | URL)[]} programs
 * @param {{ complete?: boolean }} options
 */
export function writeFixtures(name, programs, options = {}) {
  const fixtures = fileURLToPath(new URL("../test/fixtures", import.meta.url));
  const { values } = parseArgs({ options: { venv: { type: "string" }, out: { type: "string", default: fixtures } } });
  const folder = values.venv === undefined ? mkdtempSync(join(tmpdir(), "batch-cam-fixtures-")) : undefined;
  try {
    const python = installPython(name, values.venv ?? join(folder ?? "", "venv"), options);
    for (const program of programs)
      execFileSync(python, ["-B", "-W", "ignore", fileURLToPath(program), values.out], { stdio: "inherit" });
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}
