import { describe, expect, it } from "vitest";
import { formatTable, formatTables } from "./table.ts";

describe("a table", () => {
  it("keeps a name with a line feed on one line", () => {
    const lines = formatTable(["class", "images"], [["cat\ndog", "1"]])
      .trimEnd()
      .split("\n");
    expect(lines).toHaveLength(3);
    expect(lines[2]).toContain("cat\ufffddog");
  });

  it("aligns the first column to the left and the numbers to the right", () => {
    const table = formatTable(
      ["", "accuracy", "L1"],
      [
        ["plain", "98.8%", "0.155"],
        ["guided", "98.78%", "0.1"],
      ],
    );
    expect(table).toBe(
      [
        "        accuracy     L1",
        "------  --------  -----",
        "plain      98.8%  0.155",
        "guided    98.78%    0.1",
        "",
      ].join("\n"),
    );
  });

  it("leaves a missing cell empty, and needs no rows", () => {
    expect(formatTable(["a", "b"], [["x"]])).toBe("a  b\n-  -\nx\n");
    expect(formatTable(["a", "b"], [])).toBe("a  b\n-  -\n");
  });
});

describe("a table for a narrow terminal", () => {
  const headers = ["metric", "GradCAM", "LayerCAM", "ScoreCAM"];
  const rows = [["energy", "0.5", "0.4", "0.3"]];

  it("puts columns that do not fit into tables below, each with the names of the rows", () => {
    expect(formatTables(headers, rows, { width: 26 })).toBe(
      [
        formatTable(headers.slice(0, 3), [["energy", "0.5", "0.4"]]),
        formatTable(["metric", "ScoreCAM"], [["energy", "0.3"]]),
      ].join("\n"),
    );
  });

  it.each([undefined, 80])("is one table if it fits (%s columns)", (width) => {
    expect(formatTables(headers, rows, { width })).toBe(formatTable(headers, rows));
  });

  it("has one column of numbers even if none fits", () => {
    expect(formatTables(headers, rows, { width: 5 }).match(/metric/g)).toHaveLength(3);
  });
});
