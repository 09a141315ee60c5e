import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { csvRow } from "./table-files.ts";

describe("csvRow", () => {
  it("leaves no cell that a spreadsheet would take for a formula, and changes no number", () => {
    const row = csvRow(["=1+1", "+cmd", "-a", "@SUM(A1)", "\t=1", -0.5, "-0.5", "+3e2", 7, "a=b", null]);
    const [cells] = parse(row) as string[][];
    expect(cells).toEqual(["'=1+1", "'+cmd", "'-a", "'@SUM(A1)", "'\t=1", "-0.5", "-0.5", "+3e2", "7", "a=b", ""]);
  });

  it("gives back every other text", () => {
    const text = fc.string({ minLength: 1, unit: "grapheme" }).filter((value) => !/^[=+\-@\t\r]/.test(value));
    fc.assert(
      fc.property(fc.array(text, { minLength: 1 }), (values) => {
        expect((parse(csvRow(values), { relax_column_count: true }) as string[][])[0]).toEqual(values);
      }),
    );
  });
});
