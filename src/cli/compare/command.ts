import { CompareConfig } from "../../config/index.ts";
import { type Command, defineCommand } from "../command.ts";
import type { CompareParts, Comparison } from "./compare.ts";
import { gridFileOf, mergeGrid, namesNoGrid } from "./input.ts";

/** Makes the `compare` command. `load` imports the part that handles a finished grid. */
function createCompareCommand(load: () => Promise<CompareParts>): Command {
  return defineCommand({
    name: "compare",
    summary: "Train every combination of models, data sets, methods and seeds, and compare the results.",
    config: CompareConfig,
    operand: { key: "grid", name: "GRID" },
    fileOf: gridFileOf,
    merge: mergeGrid,
    isIdle: namesNoGrid,
    interruptible: "each run after its step with a checkpoint",
    async run(call) {
      const { runCompare } = await import("./compare.ts");
      return runCompare(await load(), call);
    },
  });
}

/** Writes `runs.csv` and the report into the results folder. */
async function writeReport(comparison: Comparison, warn: (message: string) => void): Promise<string> {
  const { writeGridReport } = await import("../report/grid-report.ts");
  return writeGridReport(comparison, warn);
}

export const compareCommand = createCompareCommand(async () => ({ onFinished: writeReport }));
