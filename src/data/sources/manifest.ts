import { dirname } from "node:path";
import { counted, wordFor } from "../../counted.ts";
import type { BatchCamError } from "../../errors.ts";
import { dataError, type ReadContext } from "../../io/internal.ts";
import { type SplitName, splitNamed } from "../splits/split.ts";
import type { LabelledImage, LabelledImages } from "./class-folder.ts";
import { byCode, confusable } from "./class-names.ts";
import { type CsvColumns, readCsv } from "./csv-text.ts";
import { type InnerFile, innerFiles } from "./inner-file.ts";

const CONTEXT: ReadContext = {
  operation: "loadDataset: csv",
  remedy: "give a CSV file with the columns path and label, and optionally split and mask",
};
const COLUMNS: CsvColumns = { required: ["path", "label"], optional: ["split", "mask"] };

/**
 * Lists the images that a CSV file names. Its columns are:
 *
 * - `path`: a file in the folder of the CSV file or below it (`innerFiles` describes the forms);
 * - `label`: any text;
 * - `split` (optional): train, val, test or another usual name of one; an empty cell means train;
 * - `mask` (optional): an image that is bright at the pixels that should not affect the prediction. Either all rows of
 *   a split have a mask, or none.
 *
 * The classes are the labels of train, in Unicode form NFC, sorted.
 *
 * @throws E_DATA, with the line number, for everything that `readCsv` refuses, a missing or unknown value, a label that
 *   train lacks, labels that differ only in case, a path outside the folder, and an image that has two splits, classes
 *   or masks
 */
export async function readManifest(
  path: string,
  { followLinks = false }: { followLinks?: boolean } = {},
): Promise<LabelledImages> {
  const rows = await rowsOf(path);
  const classNames = classesOf(path, rows);
  const find = await innerFiles(dirname(path), { followLinks });
  const splits: Partial<Record<SplitName, LabelledImage[]>> = {};
  const seen = new Map<string, Row>();
  let repeated = 0;
  for (const row of rows) {
    const { split, label, line } = row;
    const place = (problem: string) => fault(path, line, problem);
    const inside = async (name: string): Promise<InnerFile> => {
      const found = await find(name);
      if (typeof found === "string") throw place(found);
      return found;
    };
    const image = await inside(row.path);
    const earlier = seen.get(image.target ?? image.path);
    if (earlier !== undefined) expectSame(earlier, row, place);
    if (earlier !== undefined) {
      repeated++;
      continue;
    }
    seen.set(image.target ?? image.path, row);
    const mask = row.mask === "" ? {} : { mask: (await inside(row.mask)).path };
    splits[split] = splits[split] ?? [];
    splits[split].push({ path: image.path, label: classNames.indexOf(label), ...mask });
  }
  expectMasks(path, splits);
  const rowsName = `${counted(repeated, "row")} ${wordFor(repeated, "names", "name")}`;
  const warnings =
    repeated === 0 ? [] : [`${path}: ${rowsName} an image that an earlier row names too; each image is used once`];
  return { classNames, splits, warnings };
}

const fault = (path: string, line: number, problem: string): BatchCamError =>
  dataError(path, `line ${line}: ${problem}`, CONTEXT);

interface Row {
  path: string;
  label: string;
  split: SplitName;
  mask: string;
  line: number;
}

async function rowsOf(path: string): Promise<Row[]> {
  const rows = await readCsv(path, COLUMNS, CONTEXT);
  return rows.map(({ cells: { path: own = "", label = "", split = "", mask = "" }, line }) => {
    const name = split === "" ? "train" : splitNamed(split);
    if (name === undefined) throw fault(path, line, `split must be train, val or test, got "${split}"`);
    if (own === "") throw fault(path, line, "path is empty");
    if (label === "") throw fault(path, line, "label is empty");
    return { path: own, label: label.normalize("NFC"), split: name, mask, line };
  });
}

/** The classes, which are the labels of train. The other splits must not have other labels. */
function classesOf(path: string, rows: readonly Row[]): string[] {
  const trained = rows.filter(({ split }) => split === "train").map(({ label }) => label);
  const classNames = [...new Set(trained)].sort(byCode);
  const pair = confusable(new Set(rows.map(({ label }) => label)));
  if (pair !== null) throw dataError(path, pair, { ...CONTEXT, remedy: "give them one name, or two" });
  if (classNames.length < 2)
    throw dataError(path, `needs images of two classes or more in train, got ${classNames.length}`, CONTEXT);
  const known = new Set(classNames);
  const unknown = rows.find(({ label }) => !known.has(label));
  if (unknown !== undefined) throw fault(path, unknown.line, `label "${unknown.label}" is not in train`);
  return classNames;
}

/**
 * Refuses rows that name an image again with a different split, mask or label. In two splits, the model would be
 * evaluated on an image that it was trained on; with two labels, the image teaches nothing.
 */
function expectSame(earlier: Row, row: Row, place: (problem: string) => BatchCamError): void {
  const which = `path "${row.path}", which line ${earlier.line} names too,`;
  if (earlier.split !== row.split) throw place(`${which} is in ${earlier.split} there and in ${row.split} here`);
  if (earlier.mask !== row.mask) throw place(`${which} has the mask "${earlier.mask}" there and "${row.mask}" here`);
  if (earlier.label !== row.label)
    throw place(`${which} has the label "${earlier.label}" there and "${row.label}" here`);
}

function expectMasks(path: string, splits: LabelledImages["splits"]): void {
  for (const [name, images] of Object.entries(splits)) {
    const masked = images.filter(({ mask }) => mask !== undefined).length;
    if (masked === 0 || masked === images.length) continue;
    const problem = `${masked} of ${counted(images.length, "image")} of ${name} ${wordFor(masked, "has", "have")} a mask; either all or none must have one`;
    throw dataError(path, problem, CONTEXT);
  }
}
