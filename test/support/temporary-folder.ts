import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

// The folders of one test file, because each test file runs in a separate process with its own copy of this module.
const made: string[] = [];

// Registered on import, before any hook of the test file, so that it runs after all of them.
afterAll(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function makeIn(parent: string, name: string): string {
  const folder = mkdtempSync(join(parent, `batch-cam-${name}-`));
  made.push(folder);
  return folder;
}

/** Makes an empty folder, which is removed after the test file has run. It may be called at the top of a file, in a hook or in a test. */
export const temporaryFolder = (name = "test"): string => makeIn(tmpdir(), name);

/** Makes a folder inside the package, so that programs in it can import the package as "batch-cam". Git and the linter ignore runs/. */
export function temporaryFolderInPackage(name: string): string {
  const runs = join(import.meta.dirname, "../../runs");
  mkdirSync(runs, { recursive: true });
  return makeIn(runs, name);
}
