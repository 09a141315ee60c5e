// A Python with the packages that a comparison needs, in a virtual environment of its own.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * The interpreter of a virtual environment in `folder` with the packages of `requirements/<name>.txt`. An environment that is
 * already there is used again: pip adds what it lacks. A `complete` list names the dependencies too, and pip adds no others.
 */
export function installPython(name, folder, { complete = false } = {}) {
  const run = (command, ...args) => execFileSync(command, args, { stdio: ["ignore", "ignore", "inherit"] });
  const requirements = fileURLToPath(new URL(`requirements/${name}.txt`, import.meta.url));
  run("python3", "-m", "venv", folder);
  const python = join(folder, "bin", "python");
  const options = ["--quiet", "--disable-pip-version-check", ...(complete ? ["--no-deps"] : [])];
  run(python, "-m", "pip", "install", ...options, "-r", requirements);
  return python;
}
