// The parts of the command line that the library's entries export.
import { expectPath, optionsOf } from "../arguments.ts";
import type { EvaluateOptions } from "../workflows/index.ts";

/**
 * Writes `report.html` of a run directory, for its best epoch so far, which is tested again: results, maps, curves and options, on one
 * page that needs no network. For a run whose model or images a program passed, they must be passed again.
 *
 * @returns the path of the page
 * @throws E_CHECKPOINT if the run has no checkpoint of an epoch, or if one of its files cannot be read; the errors of `evaluate`
 */
export async function writeReport(runDirectory: string, options: EvaluateOptions = {}): Promise<string> {
  expectPath("writeReport: run", runDirectory);
  const known = ["batchSize", "dataDir", "acceptNewData", "data", "model", "onWarning"] as const;
  const given = optionsOf("writeReport", options, known);
  const { reportRun } = await import("./report/run-report.ts"); // the charts take long to load
  return reportRun(runDirectory, given);
}
