import { parse } from "csv-parse/sync";
import { dataError, type ReadContext, readFileBytes } from "../../io/internal.ts";

/** A row of a CSV file: its cells by column name, in lower case. */
export interface CsvRow {
  readonly cells: Readonly<Record<string, string>>;
  /** Line of the file on which the row ends, starting at 1. */
  readonly line: number;
}

/** The columns that a CSV file must have, and those that it may have. */
export interface CsvColumns {
  readonly required: readonly string[];
  readonly optional: readonly string[];
}

const MOST_BYTES = 2 ** 28;
const SEPARATORS = [",", ";", "\t", "|"];

/**
 * Reads a CSV file with a header line. The text is UTF-8, or UTF-16 with a byte-order mark. Cells are separated by
 * commas, or by semicolons, tabs or bars if the header uses these. Column names are matched without regard to case. A
 * first column without a name is ignored, because pandas writes its index there.
 *
 * @throws E_DATA, with the line number if there is one, for text in another encoding, unclosed quotes, rows of
 *   different lengths, and a header that lacks a column, repeats one or has an unknown one
 */
export async function readCsv(path: string, columns: CsvColumns, context: ReadContext): Promise<CsvRow[]> {
  const fault: Fault = (problem, remedy = context.remedy, cause) => {
    throw dataError(path, problem, { ...context, remedy }, cause);
  };
  const text = textOf(await readFileBytes(path, context), fault);
  const [first, ...rows] = recordsOf(text, separatorOf(text, columns), fault);
  const names = headerOf(first?.record ?? [], columns, fault);
  return rows.map(({ record, info }) => ({
    cells: Object.fromEntries(names.flatMap((name, i) => (name === "" ? [] : [[name, record[i] ?? ""]]))),
    line: info.lines,
  }));
}

type Fault = (problem: string, remedy?: string, cause?: unknown) => never;

const SAVE_UTF8 = "save it as UTF-8 (in Excel: CSV UTF-8)";

function textOf(bytes: Uint8Array, fault: Fault): string {
  if (bytes.length > MOST_BYTES) fault(`expected at most ${MOST_BYTES} bytes, got ${bytes.length}`);
  const mark = (bytes[0] ?? 0) * 256 + (bytes[1] ?? 0);
  const encoding = mark === 0xfffe ? "utf-16le" : mark === 0xfeff ? "utf-16be" : "utf-8";
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes); // this also removes the byte-order mark
    const zero = text.indexOf("\0");
    if (zero >= 0) fault(`line ${lineAt(text, zero)}: is not UTF-8: it contains a zero byte`, SAVE_UTF8);
    return text;
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    const where = encoding === "utf-8" ? `line ${firstBrokenLine(bytes)}: is not UTF-8` : `is not ${encoding}`;
    return fault(where, SAVE_UTF8, cause);
  }
}

const lineAt = (text: string, end: number): number => text.slice(0, end).split("\n").length;

/**
 * Number of the first line that is not valid UTF-8. Splitting at line breaks is safe, because no byte of a multi-byte
 * character equals that of a line break.
 */
function firstBrokenLine(bytes: Uint8Array): number {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for (let start = 0, line = 1; ; line++) {
    const end = bytes.indexOf(0x0a, start);
    try {
      decoder.decode(bytes.subarray(start, end < 0 ? undefined : end));
    } catch {
      return line;
    }
    if (end < 0) return line;
    start = end + 1;
  }
}

/** The separator that gives the header the most known columns. The comma wins ties. */
function separatorOf(text: string, { required, optional }: CsvColumns): string {
  const [line = ""] = text.trimStart().split(/[\r\n]/, 1);
  const known = [...required, ...optional];
  const matches = (separator: string) =>
    line.split(separator).filter((cell) => known.includes(cell.replaceAll('"', "").trim().toLowerCase())).length;
  return SEPARATORS.reduce((best, separator) => (matches(separator) > matches(best) ? separator : best));
}

interface CsvRecord {
  record: string[];
  info: { lines: number };
}

function recordsOf(text: string, delimiter: string, fault: Fault): CsvRecord[] {
  try {
    const options = { delimiter, trim: true, skip_empty_lines: true, info: true } as const;
    return parse(text, options) as unknown as CsvRecord[];
  } catch (cause) {
    return fault(`is not a valid CSV file (${(cause as Error).message})`, undefined, cause);
  }
}

/** The column names in lower case. An ignored column has the name "". */
function headerOf(header: readonly string[], { required, optional }: CsvColumns, fault: Fault): string[] {
  const names = header.map((name) => name.toLowerCase());
  const missing = required.filter((name) => !names.includes(name));
  if (missing.length > 0) {
    const got = names.length === 0 ? "it is empty" : `its header is "${header.join(",")}"`;
    fault(`lacks the column ${missing.join(" and ")}; ${got}`);
  }
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) fault(`names the column "${twice}" twice in its header "${header.join(",")}"`);
  const own = names.map((name, i) => (i === 0 && /^(unnamed: 0)?$/.test(name) ? "" : name));
  const known = [...required, ...optional];
  const unknown = own.findIndex((name, i) => !(name === "" && i === 0) && !known.includes(name));
  if (unknown >= 0) fault(`has an unknown column "${header[unknown]}"; known are ${known.join(", ")}`, "leave it out");
  return own;
}
