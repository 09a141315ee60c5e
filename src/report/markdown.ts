/** A table in Markdown; cells are Markdown already. */
export function markdownTable(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(columns), line(columns.map(() => "---")), ...rows.map(line)].join("\n");
}

/** Text that keeps to its cell of a table. */
export const inCell = (text: string): string => text.replace(/\s+/g, " ").replaceAll("|", "\\|");
