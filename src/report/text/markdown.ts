/** A table in Markdown; cells are Markdown already. */
export function markdownTable(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(columns), line(columns.map(() => "---")), ...rows.map(line)].join("\n");
}

/** Text that keeps to its cell of a table. */
export const inCell = (text: string): string => withoutControls(text).replace(/\s+/g, " ").replaceAll("|", "\\|");

/** Text of any contents within a paragraph, as it is: nothing in it is read as Markdown or HTML. */
export const inText = (text: string): string =>
  withoutControls(text)
    .replace(/\s+/g, " ")
    .replace(/[\\`*_{}[\]<>#|!&~]/g, "\\$&");

/**
 * Text without control characters, but for white space, and without marks that turn the direction of text: names of files and
 * classes can hold them, and whoever prints the page in a terminal would run them.
 */
export function withoutControls(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to find.
  return text.replace(/[\u0000-\u0008\u000e-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "");
}
