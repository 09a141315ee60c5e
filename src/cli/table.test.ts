import { describe, expect, it } from "vitest";
import { formatTable } from "./table.ts";

describe("a table", () => {
  it("keeps a name with a line feed to its row", () => {
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
