/**
 * A row of a CSV file (RFC 4180) with its line's end; what is not there is empty. Text that a spreadsheet would take for a formula
 * is marked as text by an apostrophe before it.
 */
export const csvRow = (values: readonly unknown[]): string => `${values.map(csvCell).join(",")}\n`;

function csvCell(value: unknown): string {
  const text = value === null || value === undefined ? "" : asText(String(value));
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A class called "=1+1" stays that text; numbers, which may begin with a sign, stay numbers. */
function asText(text: string): string {
  return /^[=+\-@\t\r]/.test(text) && !Number.isFinite(Number(text)) ? `'${text}` : text;
}
