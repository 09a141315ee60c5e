import type { EvaluateConfig } from "../../config/index.ts";
import { dataFields, MODEL_DATA_KEYS } from "../../config/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { type LoadedRun, openExportedOn, openRun } from "../../workflows/internal.ts";
import { kebabCase } from "../flags.ts";

/**
 * Opens the run, or the exported model with its data set, that a config names.
 *
 * @param call the config, and the options that were given, because a default does not decide the size of an exported model's images
 */
export async function openSubject(
  { input, config }: { input: Readonly<Record<string, unknown>>; config: EvaluateConfig },
  onWarning: (message: string) => void,
): Promise<LoadedRun> {
  const { run, model, camLayer, dataDir, acceptNewData } = config;
  const fail = (message: string): never => {
    throw new BatchCamError("E_CONFIG", `evaluate: ${message}`);
  };
  if (run !== undefined && model !== undefined) return fail("give either a run or --model, not both");
  if (model !== undefined) {
    if (acceptNewData) fail("--accept-new-data is for a run, which recorded its data");
    const data = Object.fromEntries(MODEL_DATA_KEYS.map((key) => [key, input[key]]));
    const subject = await openExportedOn(
      { ...data, model, dataDir, camLayer } as Parameters<typeof openExportedOn>[0],
      "evaluate",
      config.split,
    );
    for (const note of subject.notes) onWarning(note);
    return subject;
  }
  if (run === undefined)
    throw new BatchCamError(
      "E_CONFIG",
      "evaluate needs RUN, which is missing: run directory, or a checkpoint in it. Write `batch-cam evaluate RUN`, or name an exported model with --model FILE.pt2",
    );
  const fields: Readonly<Record<string, { parse: (value: undefined) => unknown }>> = dataFields;
  const ofModel = [...MODEL_DATA_KEYS, "output", "camLayer"] as const;
  const stray = ofModel.find((key) => config[key] !== fields[key]?.parse(undefined));
  if (stray !== undefined) fail(`--${kebabCase(stray)} is only for --model: a run's is recorded in it`);
  return openRun(run, "evaluate", { dataDir, acceptNewData, onWarning });
}
