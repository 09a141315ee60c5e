/** A row of a CSV file (RFC 4180) with its line's end; what is not there is empty. */
export const csvRow = (values: readonly unknown[]): string => `${values.map(csvCell).join(",")}\n`;

function csvCell(value: unknown): string {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
