import { join } from "node:path";
import { saveSafetensors } from "../../io/index.ts";
import type { ExportedModel } from "../../models/index.ts";
import { type RunData, writeRunData } from "../data/run-data.ts";
import { keepExported } from "./exported-run.ts";
import { type GivenToRun, writeGiven } from "./given-parts.ts";
import { writeJson } from "./run-directory.ts";
import { CONFIG, EXPORTED_FILE } from "./run-file-names.ts";
import { environmentOf, type Session } from "./session-state.ts";

/** Writes the files that a run has before its first step, if it is not resumed. */
export async function begin(
  session: Session,
  data: RunData,
  { given, exported }: { given: GivenToRun; exported: ExportedModel | null },
): Promise<void> {
  const { run, config, trained, reporting } = session;
  if (run.start === "restart") {
    reporting.emit({
      type: "warning",
      message: `${run.directory} has no checkpoint: the run starts from the beginning`,
    });
  }
  // The file of the new run may be the earlier run's copy, which is replaced only by a whole new one.
  await run.clear(exported === null ? [] : [EXPORTED_FILE]);
  await writeJson(join(run.directory, "environment.json"), environmentOf(session));
  await saveSafetensors(join(run.directory, "prototypes.safetensors"), new Map([["prototypes", trained.prototypes]]));
  await writeRunData(run.directory, data);
  await writeGiven(run.directory, given);
  if (exported !== null) await keepExported(run, config, exported);
  // The config is written last, because a folder counts as a run as soon as it has a config.
  const own = { resume: false, overwrite: false, profile: false, acceptNewData: false };
  await writeJson(join(run.directory, CONFIG), { ...config, ...own });
}
