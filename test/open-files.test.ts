import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";

it("if no more files can be opened, reading ends with an error, and valid images are not skipped as bad ones", async () => {
  const program = join(import.meta.dirname, "programs", "open-files.mjs");
  const image = join(import.meta.dirname, "fixtures", "inputs", "two-by-two.png");
  const command = `ulimit -n 200; exec "${process.execPath}" "${program}" "${image}"`;
  const { stdout } = await promisify(execFile)("bash", ["-c", command]);
  expect(JSON.parse(stdout)).toEqual({ code: "E_IO", left: 0 });
});
