import { realpath } from "node:fs/promises";
import { dirname, isAbsolute, join, relative, sep } from "node:path";
import { parse } from "csv-parse/sync";
import type { LabelledImage, LabelledImages, SplitName } from "./class-folder.ts";
import { dataError, type ReadContext, readFileBytes } from "./file-bytes.ts";

const CONTEXT: ReadContext = {
  operation: "loadDataset: csv",
  remedy: "give a CSV file with the columns path and label, and split and mask if there are such",
};
const SPLITS: readonly SplitName[] = ["train", "val", "test"];
const COLUMNS: readonly string[] = ["path", "label", "split", "mask"];
const MAX_ROWS = 10_000_000;

/**
 * The images that a CSV file names, with a header line: `path` (beside the file or below it), `label` (any text), and if wanted
 * `split` (train, val or test) and `mask` (an image that is bright where the other one holds what should not matter; all rows or
 * none of a split need one). Classes are the labels of train, sorted.
 *
 * @throws E_DATA, with the line, for a column or a value that is missing or unknown, for a label that train lacks, and for a path that
 *   leaves the file's folder
 */
export async function readManifest(path: string): Promise<LabelledImages> {
  const rows = await rowsOf(path);
  const folder = dirname(path);
  for (const { split, line } of rows)
    if (split !== "" && !SPLITS.includes(split as SplitName))
      throw dataError(path, `line ${line}: split must be train, val or test, got "${split}"`, CONTEXT);
  const trained = rows.filter(({ split }) => (split || "train") === "train");
  const classNames = [...new Set(trained.map(({ label }) => label))].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  if (classNames.length < 2)
    throw dataError(path, `needs images of two classes or more in train, got ${classNames.length}`, CONTEXT);
  const root = await realpath(folder);
  const splits: Partial<Record<SplitName, LabelledImage[]>> = {};
  for (const { path: own, label, split, mask, line } of rows) {
    const name = (split || "train") as SplitName;
    const place = (problem: string) => dataError(path, `line ${line}: ${problem}`, CONTEXT);
    const at = classNames.indexOf(label);
    if (label === "" || at < 0) throw place(label === "" ? "label is empty" : `label "${label}" is not in train`);
    const inside = (file: string) => insideOf(root, folder, file, place);
    const image = { path: await inside(own), label: at, ...(mask ? { mask: await inside(mask) } : {}) };
    splits[name] = splits[name] ?? [];
    splits[name].push(image);
  }
  for (const [name, images] of Object.entries(splits)) {
    const masked = images.filter(({ mask }) => mask !== undefined).length;
    if (masked > 0 && masked < images.length)
      throw dataError(
        path,
        `${masked} of ${images.length} images of ${name} have a mask: all or none need one`,
        CONTEXT,
      );
  }
  return { classNames, splits };
}

interface Row {
  path: string;
  label: string;
  split: string;
  mask: string;
  /** Of the file, where the row ends. */
  line: number;
}

async function rowsOf(path: string): Promise<Row[]> {
  const text = new TextDecoder().decode(await readFileBytes(path, CONTEXT));
  let records: { record: string[]; info: { lines: number } }[];
  try {
    const options = { bom: true, trim: true, skip_empty_lines: true, to_line: MAX_ROWS, info: true } as const;
    records = parse(text, options) as unknown as typeof records;
  } catch (cause) {
    throw dataError(path, `is no CSV (${(cause as Error).message})`, CONTEXT, cause);
  }
  const [first, ...rows] = records;
  const header = first?.record ?? [];
  const missing = ["path", "label"].filter((column) => !header.includes(column));
  if (missing.length > 0)
    throw dataError(path, `lacks the column ${missing.join(" and ")}; its header is "${header.join(",")}"`, CONTEXT);
  const unknown = header.find((column) => !COLUMNS.includes(column));
  if (unknown !== undefined) throw dataError(path, `has an unknown column "${unknown}"`, CONTEXT);
  const cell = (row: string[], column: string) => row[header.indexOf(column)] ?? "";
  return rows.map(({ record: row, info }) => ({
    ...{ path: cell(row, "path"), label: cell(row, "label"), split: cell(row, "split"), mask: cell(row, "mask") },
    line: info.lines,
  }));
}

/** The path of a file below the folder; links may not lead out of it either. One that is missing is left for its reader to name. */
async function insideOf(
  root: string,
  folder: string,
  file: string,
  place: (problem: string) => Error,
): Promise<string> {
  if (file === "") throw place("path is empty");
  const leaves = (from: string, to: string) => {
    const way = relative(from, to);
    return way === ".." || way.startsWith(`..${sep}`) || isAbsolute(way);
  };
  const path = join(folder, file);
  if (isAbsolute(file) || leaves(folder, path)) throw place(`path "${file}" leaves the folder`);
  const target = await realpath(path).catch(() => null);
  if (target !== null && leaves(root, target)) throw place(`path "${file}" is a link that leaves the folder`);
  return path;
}
