import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { mutateProgram, storedEntries, zipWithoutSums } from "../../../scripts/fuzz/program.mjs";
import { randomSource } from "../../../scripts/fuzz/random.mjs";
import { exportedPath } from "../../../test/support/program-file.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { BatchCamError } from "../../errors.ts";
import { loadExportedModel } from "./load.ts";

const folder = temporaryFolder("fuzzed-programs");

// `node scripts/fuzz-readers.mjs --kind model.pt2` tries many more.
it.each(["2.6", "2.8", "2.15"])("a damaged program of torch %s is read or refused", async (version) => {
  const whole = readFileSync(exportedPath(`tiny-${version}.pt2`));
  const program = zipWithoutSums(storedEntries(whole));
  const outcomes = { read: 0, refused: 0 };
  for (let seed = 0; seed < 40; seed++) {
    const path = join(folder, "damaged.pt2");
    writeFileSync(path, mutateProgram(program, randomSource(seed)));
    try {
      (await loadExportedModel(path)).dispose();
      outcomes.read++;
    } catch (error) {
      if (!(error instanceof BatchCamError)) throw new Error(`seed ${seed}`, { cause: error });
      outcomes.refused++;
    }
  }
  expect(outcomes.refused).toBeGreaterThan(10);
});
