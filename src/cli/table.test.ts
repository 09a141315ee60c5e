import { describe, expect, it } from "vitest";
import { formatTable } from "./table.ts";

describe("a table", () => {
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
