import { oneLine } from "./safe-output.ts";

/** An aligned text table: the first `left` columns to the left, the others, which hold numbers, to the right. */
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
