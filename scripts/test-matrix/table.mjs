/** @import { Outcome } from "./run-tests.mjs" */

/**
 * Formats rows of cells as a Markdown table with headings.
 *
 * @param {readonly string[]} heads
 * @param {readonly (readonly (string | number)[])[]} rows
 */
export function markdownTable(heads, rows) {
  const cells = [
    heads,
    heads.map(() => "---"),
    ...rows.map((row) => row.map((cell) => String(cell).replaceAll("|", "\\|"))),
  ];
  const widths = heads.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells
    .map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`)
    .join("\n");
}

/**
 * The result of a run in one line, which is printed before the table is complete.
 *
 * @param {Outcome} outcome
 */
export const outcomeLine = ({ passed, failed, skipped, seconds }) =>
  `${passed} passed, ${failed} failed, ${skipped} skipped in ${seconds} s`;

/**
 * The same result as the cells of its row.
 *
 * @param {Outcome} outcome
 * @returns {(string | number)[]}
 */
export const outcomeCells = ({ passed, failed, skipped, seconds }) => [passed, failed, skipped, `${seconds} s`];
export const OUTCOME_HEADS = ["passed", "failed", "skipped", "time"];
