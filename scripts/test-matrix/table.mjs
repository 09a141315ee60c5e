/** Rows of cells as a Markdown table under its heads. */
export function markdownTable(heads, rows) {
  const cells = [
    heads,
    heads.map(() => "---"),
    ...rows.map((row) => row.map((cell) => String(cell).replaceAll("|", "\\|"))),
  ];
  const widths = heads.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  return cells.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`).join("\n");
}

/** Counts and failures of a run as the cells of its row and the lines below the table. */
export const outcomeCells = ({ passed, failed, skipped, seconds }) => [passed, failed, skipped, `${seconds} s`];
export const OUTCOME_HEADS = ["passed", "failed", "skipped", "time"];
