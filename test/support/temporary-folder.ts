import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

// Each test file has a process, and therefore a copy of this module, of its own.
const made: string[] = [];

// The import registers it before any hook of the test file, so it runs after all of them.
afterAll(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function makeIn(parent: string, name: string): string {
  const folder = mkdtempSync(join(parent, `batch-cam-${name}-`));
  made.push(folder);
  return folder;
}

/** A new empty folder, which is removed when the test file has run. May be called at the top of a file, in a hook or in a test. */
export const temporaryFolder = (name = "test"): string => makeIn(tmpdir(), name);

/** One inside the package, where programs import the package itself as "batch-cam". Git and the linter ignore runs/. */
export function temporaryFolderInPackage(name: string): string {
  const runs = join(import.meta.dirname, "../../runs");
  mkdirSync(runs, { recursive: true });
  return makeIn(runs, name);
}
