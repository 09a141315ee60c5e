import { oneLine } from "./safe-output.ts";

/** An aligned text table. The first `left` columns are aligned to the left; the others contain numbers and are aligned to the right. */
export function formatTable(headers: readonly string[], given: readonly (readonly string[])[], left = 1): string {
  const rows = given.map((row) => row.map(oneLine));
  const widths = headers.map((header, column) =>
    Math.max(header.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    widths
      .map((width, column) =>
        column < left ? (cells[column] ?? "").padEnd(width) : (cells[column] ?? "").padStart(width),
      )
      .join("  ")
      .trimEnd();
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  return [line(headers), rule, ...rows.map(line)].join("\n").concat("\n");
}

/**
 * Splits a table that is wider than `width` characters. The columns that do not fit follow in further tables, each of which repeats the
 * left columns. Every table has at least one column of numbers, even if it is then too wide.
 */
export function formatTables(
  headers: readonly string[],
  rows: readonly (readonly string[])[],
  { width, left = 1 }: { width: number | undefined; left?: number },
): string {
  const part = (first: number, end: number) => {
    const cut = (cells: readonly string[]) => [...cells.slice(0, left), ...cells.slice(first, end)];
    return formatTable(cut(headers), rows.map(cut), left);
  };
  const fits = (text: string) =>
    width === undefined || Math.max(...text.split("\n").map((line) => line.length)) <= width;
  const parts: string[] = [];
  for (let first = left; first < headers.length; ) {
    let end = first + 1;
    while (end < headers.length && fits(part(first, end + 1))) end++;
    parts.push(part(first, end));
    first = end;
  }
  return parts.join("\n");
}

/** Breaks a text between words into lines of at most `width` characters. A longer word gets its own line. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
