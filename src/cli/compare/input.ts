import { readdirSync } from "node:fs";
import { basename, extname } from "node:path";
import { fileURLToPath } from "node:url";
import { CompareConfig, type CompareConfigInput, TrainConfig } from "../../config/index.ts";
import { hint, numberIn } from "../../config/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { gridFault } from "../../workflows/study/grid-lists.ts";

/** The grid's file that the command line names: its own, or that of a preset. */
export function gridFileOf({ grid, preset }: CompareConfigInput): string | undefined {
  if (grid !== undefined && preset !== undefined)
    throw gridFault(`--preset must be left out with a grid's file, got "${preset}" and ${grid}`);
  return preset === undefined ? grid : presetFile(preset);
}

/** Calls `read`. Its errors about a row or an option that the grid's file contains then begin with the name of the file. */
export function inGridFile<Result>(config: CompareConfigInput, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    const file = gridFileOf(config);
    if (file === undefined || !(error instanceof BatchCamError) || isFromFlags(error.detail, config)) throw error;
    throw new BatchCamError(error.code, `compare: ${file}: ${error.detail}`, { cause: error, options: error.options });
  }
}

/** Whether a message is about a list that a flag gave as text, or about an option that `--set` gave. */
function isFromFlags(message: string, config: CompareConfigInput): boolean {
  const [, list, key = ""] =
    message.match(/^(base|models|datasets|methods|seeds)\b(?:: (?:unknown option )?(\w+))?/) ?? [];
  if (list === undefined) return false;
  if (list === "base") return Object.hasOwn(settings(config.set ?? []), key);
  return typeof config[list as "models"] === "string";
}

/** Options of `compare` that say how to run a grid rather than what it contains. */
const NO_PART_OF_A_GRID: ReadonlySet<string> = new Set<keyof CompareConfigInput>([
  ...(["output", "jobs", "threads", "shard", "keepFailed", "keepRuns", "report", "name"] as const),
]);

/** Whether the flags name no file, no preset and no row. Training the default grid would take hours, so nobody intends it by accident. */
export const namesNoGrid = (flags: CompareConfigInput): boolean =>
  Object.keys(flags).every((key) => NO_PART_OF_A_GRID.has(key));

const isOfGrid = (key: string): boolean => Object.hasOwn(CompareConfig.shape, key);

const strayFault = (key: string): string =>
  `${key}${hint(key, Object.keys(CompareConfig.shape))} is a train option: put it under base`;

/**
 * Merges flags into a grid's file: flags replace keys of the file, `--set` replaces keys of its `base`, and objectives replace its methods.
 */
export function mergeGrid(file: CompareConfigInput, flags: CompareConfigInput): CompareConfigInput {
  for (const key of ["grid", "preset", "set"] as const)
    if (Object.hasOwn(file, key))
      throw gridFault(`${key} cannot be set in a grid's file${key === "set" ? ": use base" : ""}`);
  const stray = Object.keys(file).filter((key) => Object.hasOwn(TrainConfig.shape, key) && !isOfGrid(key));
  if (stray.length > 0) throw gridFault(`${gridFileOf(flags) ?? "the grid"}: ${stray.map(strayFault).join("; ")}`);
  const { methods, ...others } = file;
  const kept = flags.objectives === undefined && methods !== undefined ? { methods } : {};
  const path = gridFileOf(flags);
  const name = path === undefined ? {} : { name: basename(path, extname(path)) };
  const merged = { ...name, ...others, ...kept, ...flags };
  return flags.set === undefined ? merged : { ...merged, base: { ...merged.base, ...settings(flags.set) } };
}

/**
 * Reads texts such as `epochs=2` or `limit-train=2` as options. Values that look like numbers or switches become such. The last one of a
 * name counts.
 */
function settings(texts: readonly string[]): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  for (const text of texts) {
    const [, name, value] = text.match(/^([\w-]+)=(.+)$/s) ?? [];
    if (name === undefined || value === undefined)
      throw gridFault(`--set must be option=value, got ${JSON.stringify(text)}`);
    const key = name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
    options[key] = typed(value);
  }
  return options;
}

function typed(value: string): unknown {
  if (value === "true" || value === "false") return value === "true";
  return numberIn(value) ?? value;
}

const FOLDER = new URL("../../../presets/", import.meta.url);

/**
 * The file of a preset.
 * @throws E_CONFIG for an unknown preset
 */
export function presetFile(name: string): string {
  const known = readdirSync(FOLDER).flatMap((file) => file.match(/^(.+)\.yaml$/)?.[1] ?? []);
  if (known.includes(name)) return fileURLToPath(new URL(`${name}.yaml`, FOLDER));
  throw gridFault(
    `--preset must be one of ${known
      .sort()
      .map((each) => JSON.stringify(each))
      .join(", ")}, got ${JSON.stringify(name)}${hint(name, known)}`,
  );
}
