import { inOneLine } from "./unsafe-characters.ts";

/** A Markdown table. The cells must be Markdown already. */
export function markdownTable(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(columns), line(columns.map(() => "---")), ...rows.map(line)].join("\n");
}

/** Text that cannot end its cell of a Markdown table: it is on one line, and its vertical bars are escaped. */
export const inCell = (text: string): string => inOneLine(text).replaceAll("|", "\\|");

/** Text that appears within a paragraph as it is: nothing in it is read as Markdown or HTML. */
export const inText = (text: string): string => inOneLine(text).replace(/[\\`*_{}[\]<>#|!&~]/g, "\\$&");
