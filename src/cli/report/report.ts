import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ReportConfig } from "../../config/index.ts";
import { BatchCamError } from "../../errors.ts";
import { statOf } from "../../regular-file.ts";
import { MOST_NAMED, runsIn } from "../../workflows/internal.ts";
import type { CommandCall, Outcome } from "../command.ts";
import { warnTo } from "../warn.ts";

type ReportCall = Pick<CommandCall, "stdout" | "stderr"> & { config: ReportConfig };

/** `batch-cam report`: writes the report of a grid's results folder or of a run directory. */
export async function runReport({ config, stdout, stderr }: ReportCall): Promise<Outcome> {
  const folder = config.path.replace(/(?<=.)\/+$/, "");
  const { dataDir, acceptNewData } = config;
  const warn = warnTo(stderr);
  const written =
    kindOf(folder) === "grid"
      ? await (await import("./grid-report.ts")).reportStore(folder, warn)
      : `report: ${await (await import("./run-report.ts")).reportRun(folder, { dataDir, acceptNewData, onWarning: warn })}\n`;
  stdout.write(written);
  return "done";
}

function kindOf(folder: string): "grid" | "run" {
  const found = statOf(folder);
  if (found === undefined)
    throw fault(`${folder} does not exist: name the results folder of a grid, or a run directory`);
  if (!found.isDirectory()) throw fault(`${folder} is a file: name the results folder of a grid, or a run directory`);
  const has = (name: string) => existsSync(join(folder, name));
  if (has("cells")) {
    if (has("grid.yaml")) return "grid";
    throw fault(`${folder} has records of a grid (cells/) but no grid.yaml, which defines its rows: copy it there`);
  }
  if (has("config.json")) return "run";
  const runs = runsIn(folder).slice(0, MOST_NAMED);
  throw fault(
    `${folder} is neither a grid's results folder (it has no cells/) nor a run directory (it has no config.json)${runs.length === 0 ? "" : `; it contains the runs ${runs.join(", ")}`}`,
  );
}

const fault = (message: string): BatchCamError => new BatchCamError("E_CONFIG", `report: ${message}`);
