/**
 * A row of a CSV file (RFC 4180) with its line end. Null and undefined are empty fields. An apostrophe marks text that a spreadsheet would
 * take for a formula.
 */
export const csvRow = (values: readonly unknown[]): string => `${values.map(csvCell).join(",")}\n`;

function csvCell(value: unknown): string {
  const text = value === null || value === undefined ? "" : asText(String(value));
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Keeps a class called "=1+1" as text. Numbers may begin with a sign and stay numbers. */
function asText(text: string): string {
  return /^[=+\-@\t\r]/.test(text) && !Number.isFinite(Number(text)) ? `'${text}` : text;
}
