import { describe, expect, it } from "vitest";
import { safeText } from "../../cli/safe-output.ts";
import { inCell } from "./markdown.ts";

describe("a cell of a Markdown table", () => {
  it("is on one line whatever separates the lines of its text", () => {
    expect(inCell("a\r\nb\u2028c\u2029d\u000be\tf")).toBe("a b c d e f");
  });

  it("has no character that the command line would replace", () => {
    const every = Array.from({ length: 0x2100 }, (_, code) => String.fromCharCode(code)).join("");
    expect(safeText(inCell(every))).toBe(inCell(every));
    expect(inCell(every)).toContain("é");
  });

  it("escapes vertical bars", () => {
    expect(inCell("a|b")).toBe("a\\|b");
  });
});
